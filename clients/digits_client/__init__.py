"""A client for the Digits service: images in, digits out.

>>> from digits_client import Client
>>> with Client("http://localhost:8000") as client:  # doctest: +SKIP
...     client.predict("seven.png").digit
7
"""

try:
    import httpx as _httpx  # noqa: F401
    import numpy as _numpy  # noqa: F401
except ImportError as exc:
    raise ImportError("digits_client needs httpx and numpy: pip install 'digits[client]'") from exc

from digits_client._annotate import annotate
from digits_client._client import AsyncClient, Client
from digits_client._exceptions import BadAnswer, DigitsError, Rejected, Unavailable, Unreachable
from digits_client._images import ImageLike
from digits_client._messages import Box, Health, Identity, ItemError, Line, Mark, Prediction, ReadDigit, Reading

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
    "Unavailable",
    "Unreachable",
    "annotate",
]
