"""A client for the Digits service: images in, digits out.

>>> from digits_client import Client
>>> with Client("http://localhost:8000") as client:
...     client.predict("seven.png").digit
7
"""

from digits_client._annotate import annotate
from digits_client._answers import Box, Health, Identity, ItemError, Line, Mark, Prediction, ReadDigit, Reading
from digits_client._client import AsyncClient, Client
from digits_client._exceptions import BadAnswer, DigitsError, Rejected, TimedOut, Unavailable, Unreachable
from digits_client._images import ImageLike
from digits_client._version import __version__

__all__ = [
    "AsyncClient",
    "BadAnswer",
    "Box",
    "Client",
    "DigitsError",
    "Health",
    "Identity",
    "ImageLike",
    "ItemError",
    "Line",
    "Mark",
    "Prediction",
    "ReadDigit",
    "Reading",
    "Rejected",
    "TimedOut",
    "Unavailable",
    "Unreachable",
    "__version__",
    "annotate",
]
