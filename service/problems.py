"""Why a request gets no answer: what any module here may raise. How it is told is for `service.errors`."""

from __future__ import annotations


class Late(Exception):
    """The turn of a caller did not come before its deadline."""


class NoModel(Exception):
    """Nothing can be predicted yet; the message says why."""


class QueueFull(Exception):
    """Too much is being answered already."""


class Problem(Exception):
    """A request that is refused as a whole, with the status and code that say why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
