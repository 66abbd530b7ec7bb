"""What can go wrong between a client and the service: `DigitsError`, and its kinds.

An image that cannot be read is no exception: its `Prediction` carries the error, so that the
others of the same call keep their digits. One that cannot even be sent raises `OSError`,
`ValueError` or `TypeError`.
"""

from __future__ import annotations


class DigitsError(Exception):
    """Base class: `except DigitsError` catches all that this library raises about the service.

    DigitsError
      Unreachable      no answer came: refused, cut off, or an address that is none
        TimedOut       … in the time there was
      Rejected         the service answered, and the answer was no
        Unavailable    … for now: no model yet, too much to do, or a gateway that waits (429, 502, 503, 504)
      BadAnswer        what answered is not this service, or not this version of it
    """


class Unreachable(DigitsError):
    """No answer came: connection refused, or cut off."""


class TimedOut(Unreachable):
    """No answer came in the time there was: `timeout` for each wait on the network, `deadline` for the whole call."""


class Rejected(DigitsError):
    """The service refused the request as a whole. `status` is that of HTTP, `code` says why, for programs."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class Unavailable(Rejected):
    """Not now, however often it was tried. `retry_after` is in seconds, if the service said."""

    def __init__(self, status: int, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(status, code, message)
        self.retry_after = retry_after


class BadAnswer(DigitsError):
    """The answer is not one that this client understands; perhaps a proxy gave it."""
