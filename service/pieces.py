"""JSON of any length, parsed in pieces: a parser holds the interpreter's lock from its first byte to its last.

    body -> its value, in which a list of very many numbers is a `Long`, and that -> lists of some of them

So a body of megabytes takes the lock for a millisecond or two at a time, and the event loop gets its
turn in between. What such a list lies in, and whatever else is sent, is small, or refused. What the
values mean is no matter of this module.

Two kinds of JSON are refused though there is nothing wrong with them: a string of more than `PIECE`
bytes that begins as a member which is a list does, with a colon and a bracket, and what has more
than `MOST_VALUES` values beside such lists.
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

    If a member's list contains no quotes or braces, it extends to the next quote or brace, minus a
    trailing comma. Within a string the quotes of the token are errors.
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

    If a cut is wrong, because brackets are, then a piece is no JSON.
    """
    start = 0
    while (comma := find_cut(text, start)) >= 0:
        yield text[start:comma]
        start = comma + 1
    yield text[start:]


def find_cut(text: bytes, start: int) -> int:
    """Return where the first comma is that lies in no list, a piece from the start or more; -1 for none.

    It is none either where brackets do not match, or open and close so often that to go on would
    take seconds: no piece may hold so many lists.
    """
    at = start + PIECE
    depth = depth_of(text[start:at])  # how many lists are open at `at`
    for _ in range(MOST_VALUES):
        if depth < 0:
            return -1
        end = text.find(b"]", at + depth - 1) if depth else text.find(b",", at)  # less would not close them all
        if end < 0:
            return -1
        depth += depth_of(text[at : end + 1])
        at = end + 1
        if depth == 0 and text[end] == COMMA:
            return end
    return -1


def depth_of(text: bytes) -> int:
    return text.count(b"[") - text.count(b"]")
