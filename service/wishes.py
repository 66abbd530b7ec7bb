"""What a request asks for beside its images, as its query says it. Other parameters are nobody's business.

But one that is nearly a known one is a mistake, of which whoever made it should hear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs

from digits import pattern
from digits.pattern import Pattern
from digits.reading import Box
from service.problems import Problem

NUMBER = re.compile(r"([0-9]+(\.[0-9]+)?|\.[0-9]+)([eE][+-]?[0-9]+)?")  # one way to match, so that none takes long
LONGEST = 100  # characters of a number
BOX = "[0-9]{1,6},[0-9]{1,6},[1-9][0-9]{0,5},[1-9][0-9]{0,5}"  # left,top,width,height
MOST_BOXES = 200  # on an image; a form has about as many fields, and each is looked at by itself
MOST_OTHERS = 20  # parameters that are looked at for what they may have meant
NEAR = 0.75  # of 1; "box" is as near to "boxes", and "text" less to "expect"
TRUTHS = {"true": True, "1": True, "": True, "false": False, "0": False}

ROUTES = {"/predict": ("explain", "threshold"), "/read": ("expect", "pattern", "boxes", "threshold")}
SEVERAL = {"boxes"}  # parameters that may be given more than once

Query = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class PredictWishes:
    """What a request asks for beside the digits."""

    explain: bool = False
    threshold: float | None = None  # presence below which there is no digit; None: the model's own


@dataclass(frozen=True, slots=True)
class ReadWishes:
    """What a request says of the numbers in its images."""

    pattern: Pattern | None = None  # that each fits
    boxes: tuple[Box, ...] = ()  # where there is one each
    threshold: float | None = None  # confidence below which a digit is null; None: the model's own


NONE = PredictWishes()


def for_predict(query: bytes) -> PredictWishes:
    """Read `explain=true&threshold=0.5`. Raises `Problem`."""
    if not query:
        return NONE
    with refusing():
        given = parsed(query, "/predict")
        return PredictWishes(explain=read_explain(given), threshold=read_threshold(given))


def for_read(query: bytes) -> ReadWishes:
    """Read `expect=5` or `pattern=[0-9]{4,6}`, any number of `boxes=12,40,180,36`, and `threshold=0.5`.

    Raises `Problem`.
    """
    with refusing():
        given = parsed(query, "/read")
        return ReadWishes(read_pattern(given), read_boxes(given.get("boxes", [])), read_threshold(given))


@contextmanager
def refusing() -> Iterator[None]:
    """Refuse a request for what any function below raises: a `ValueError` with a sentence. Raises `Problem`."""
    try:
        yield
    except ValueError as exc:
        raise Problem(422, "invalid", str(exc)) from exc


def parsed(query: bytes, route: str) -> Query:
    try:
        given = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_BOXES + 20)
    except ValueError as exc:
        raise ValueError("the query has too many parameters") from exc
    known = ROUTES[route]
    if given.keys() - known:
        check_names([name for name in given if name not in known], route)
    for name in known:
        if len(given.get(name, ())) > 1 and name not in SEVERAL:
            raise ValueError(f"{name} may be given once")
    return given


def check_names(others: Sequence[str], route: str) -> None:
    from difflib import get_close_matches  # as in `service.settings`

    for name in others[:MOST_OTHERS]:
        for other, known in ROUTES.items():
            if name in known:
                raise ValueError(f"{name} is a parameter of {other}, not of {route}")
        for near in get_close_matches(name[:LONGEST].lower(), ROUTES[route], 1, NEAR):
            raise ValueError(f"there is no parameter {name[:LONGEST]!r}; did you mean {near!r}?")


def only(given: Query, name: str) -> str | None:
    return given.get(name, [None])[-1]


def read_explain(given: Query) -> bool:
    text = given.get("explain", ["false"])[0].lower()
    if text not in TRUTHS:
        raise ValueError("explain must be true or false")
    return TRUTHS[text]


def read_threshold(given: Query) -> float | None:
    text = only(given, "threshold")
    if text is None:
        return None
    if len(text) > LONGEST or not NUMBER.fullmatch(text) or float(text) > 1:
        raise ValueError("threshold must be a number between 0 and 1")
    return float(text)


def read_pattern(given: Query) -> Pattern | None:
    expect, text = only(given, "expect"), only(given, "pattern")
    if expect is not None and text is not None:
        raise ValueError("expect and pattern say the same; give one of them")
    if expect is not None:
        if not re.fullmatch("[0-9]{1,4}", expect):
            raise ValueError(f"expect is a number of digits, not {expect[:20]!r}")
        return pattern.of_length(int(expect))
    return None if text is None else pattern.parse(text)


def read_boxes(texts: Sequence[str]) -> tuple[Box, ...]:
    if len(texts) > MOST_BOXES:
        raise ValueError(f"at most {MOST_BOXES} boxes may be given")
    return tuple(map(read_box, texts))


def read_box(text: str) -> Box:
    if not re.fullmatch(BOX, text):
        raise ValueError(f"a box is left,top,width,height in whole pixels, such as 12,40,180,36; not {text[:40]!r}")
    left, top, width, height = map(int, text.split(","))
    return left, top, width, height
