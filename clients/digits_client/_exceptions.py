"""What can go wrong between a client and the service.

    DigitsError
      Unreachable      no answer came: refused, timed out, cut off, or an address that is none
      Rejected         the service answered, and the answer was no
        Unavailable    … for now: it has no model yet (503), or too much to do (429)
      BadAnswer        what answered is not this service, or not this version of it

An image that cannot be read is no exception: its `Prediction` carries the error, so that the
others of the same call keep their digits.
"""

from __future__ import annotations


class DigitsError(Exception):
    """Base class: `except DigitsError` catches all that this library raises about the service."""


class Unreachable(DigitsError):
    """No answer came: connection refused, timed out, or cut off."""


class Rejected(DigitsError):
    """The service refused the request as a whole. `status` is that of HTTP, `code` says why, for programs."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class Unavailable(Rejected):
    """Not now: there is no model yet, or too many images wait. `retry_after` is in seconds, if the service said."""

    def __init__(self, status: int, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(status, code, message)
        self.retry_after = retry_after


class BadAnswer(DigitsError):
    """The answer is not one that this client understands; perhaps a proxy gave it."""
