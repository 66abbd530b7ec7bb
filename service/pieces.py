"""JSON of any length, parsed in pieces: a parser holds the interpreter's lock from its first byte to its last.

    body -> its value, in which a list of very many numbers is a `Long`, and that -> lists of some of them

So a body of megabytes takes the lock for a millisecond or two at a time, and the event loop gets its
turn in between. What such a list lies in, and whatever else is sent, is small, or refused. What the
values mean is no matter of this module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

from service.problems import Problem

PIECE = 64 << 10  # bytes, which are parsed in a millisecond or two
MOST_VALUES = 1 << 20  # in what is parsed at once: some 50 ms
CONTAINER = 4  # values that a list or an object counts for: it takes as long
SHOWN = 100  # bytes that a message may repeat
DEPTH = 4  # of what can be long: {"inputs": [{"data": Long}]}
OPENING = re.compile(rb"\s*:\s*\[")
BLANK = b" \t\r\n"
COMMA = ord(",")


@dataclass(frozen=True, slots=True)
class Long:
    """The elements of a list that is not parsed yet: numbers, or lists of them."""

    text: bytes  # what stands between its brackets

    def __repr__(self) -> str:
        return f"[{self.text[:SHOWN].decode(errors='replace')}…]"

    def __iter__(self) -> Iterator[list[Any]]:
        """Yield the elements, some at a time. Raises `Problem`."""
        for piece in cut(self.text):
            some = load(b"[%b]" % piece, whole=False)
            if not some:
                raise Problem(400, "malformed", "JSON Parse error: an element of a list is missing")
            yield some


def parse(body: bytes) -> Any:
    """Return the value of a body of JSON. Raises `Problem`."""
    if len(body) <= PIECE:
        return load(body)
    check_values(body.count(b'"'))
    token = os.urandom(8).hex()  # no body can hold it: it is made once that has arrived
    longs: dict[str, Long] = {}
    parts = [shorten(part, token, longs) for part in body.split(b'"')]
    return restore(load(b'"'.join(parts), whole=False), longs, DEPTH) if longs else load(body)


def pieces(value: list[Any] | Long) -> Iterator[list[Any]]:
    """Yield the elements of a list, long or not, some at a time. Raises `Problem`."""
    return iter([value]) if isinstance(value, list) else iter(value)


def elements(value: list[Any] | Long) -> Iterator[Any]:
    """Yield the elements of a list, long or not, one by one. Raises `Problem`."""
    return chain.from_iterable(pieces(value))


def load(text: bytes, *, whole: bool = True) -> Any:
    """Parse a text at once, unless that would take too long; `whole` if it is what was sent. Raises `Problem`."""
    if len(text) > PIECE + 2:  # a piece and its brackets cannot hold too many
        check_values(text.count(b",") + CONTAINER * (text.count(b"[") + text.count(b"{")))
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise Problem(400, "malformed", f"JSON Parse error: {exc if whole else exc.msg}") from exc


def check_values(count: int) -> None:
    if count > MOST_VALUES:
        message = f"JSON may hold {MOST_VALUES:,} values at most, lists counting for {CONTAINER}, beside plain lists"
        raise Problem(413, "too_large", f"{message} of numbers; send fewer images at once, or binary ones")


def shorten(part: bytes, token: str, longs: dict[str, Long]) -> bytes:
    """Put a token in place of the elements of a long list; `part` is what stands between two quotes.

    Where a member of an object is a list without quotes and braces in it, all up to the next of
    these is that list, and a comma perhaps. Within a string the quotes of the token are errors.
    """
    head = OPENING.match(part) if len(part) > PIECE else None
    if head is None:
        return part
    brace = part.find(b"}")
    text = part[head.end() : len(part) if brace < 0 else brace].rstrip(BLANK).removesuffix(b",").rstrip(BLANK)
    inner = text.removesuffix(b"]")
    if not PIECE < len(inner) < len(text) or inner.isspace() or b"{" in inner:
        return part
    name = f"{token}{len(longs)}"
    longs[name] = Long(inner)
    return b'%b"%b"%b' % (head[0], name.encode(), part[head.end() + len(inner) :])


def restore(value: Any, longs: dict[str, Long], depth: int) -> Any:
    """Put the long lists where their tokens are, in lists of their own."""
    match value:
        case [str(name)] if name in longs:
            return longs[name]
        case dict() if depth:
            return {key: restore(item, longs, depth - 1) for key, item in value.items()}
        case list() if depth:
            return [restore(item, longs, depth - 1) for item in value]
    return value


def cut(text: bytes) -> Iterator[bytes]:
    """Yield the elements that are in a list, as text, some at a time: cut at commas that lie in no list within.

    If a cut is wrong, because brackets are, then a piece is no JSON. A list of lists is cut behind a bracket,
    of as many as are open: to look at millions one by one would take seconds, and no piece may hold so many.
    """
    start, at, looks = 0, PIECE, 0
    depth = depth_of(text[:at])
    while (
        depth >= 0 and looks <= MOST_VALUES and (end := text.find(b"]" if depth else b",", at + max(depth - 1, 0))) >= 0
    ):
        depth += depth_of(text[at : end + 1])
        at, looks = end + 1, looks + 1
        if text[end] == COMMA and not depth:
            yield text[start:end]
            start, at, looks = at, at + PIECE, 0
            depth = depth_of(text[start:at])
    yield text[start:]


def depth_of(text: bytes) -> int:
    return text.count(b"[") - text.count(b"]")
