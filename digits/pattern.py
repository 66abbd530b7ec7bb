"""What a number may look like, for those who know their form: `[0-9]{4,6}`, `19\\d\\d`, `[1-6]?\\d`.

A pattern is written as a regular expression of digits: single ones, `\\d`, classes such as `[0-9]`
or `[1357]`, each perhaps with `?`, `*`, `+`, `{n}`, `{n,}` or `{m,n}`. Nothing else is known, so that
each one is a short row of steps, and matching takes time in proportion to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from digits.sizes import CLASSES

MOST_STEPS = 64  # digits that a pattern may speak of
LONGEST = 1000  # characters in which it says so; `[0123456789]{1}` for each is less
ITEM = re.compile(
    r"(?:(?P<one>[0-9])|(?P<any>\\d)|\[(?P<some>[0-9-]+)\])(?P<times>[?*+]|\{\d{1,3}(?:,\d{0,3})?\})?", re.ASCII
)
RANGE = re.compile(r"([0-9])-([0-9])|([0-9])")

Digits = frozenset[int]
ANY: Digits = frozenset(range(CLASSES))


@dataclass(frozen=True, slots=True)
class Step:
    """Digits of which one comes next, or none if it may be left out; any number of them if it repeats."""

    digits: Digits
    optional: bool = False
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """State i is before step i, and the last one, `end`, after all of them.

    From a state before an optional step the next one is reached without a digit.
    """

    steps: tuple[Step, ...]

    @property
    def end(self) -> int:
        return len(self.steps)

    def after(self, state: int) -> int:
        """Return the state to which a digit of its step leads."""
        return state if self.steps[state].repeats else state + 1

    @property
    def fits_nothing(self) -> bool:
        """Whether there may be no digit at all."""
        return all(step.optional for step in self.steps)


ANYTHING = Pattern((Step(ANY, optional=True, repeats=True),))


def parse(text: str) -> Pattern:
    """Return a pattern. Raises `ValueError` with a sentence that says what is wrong with it."""
    if len(text) > LONGEST:  # to read thousands of digits in a class would take long
        raise ValueError(f"a pattern may have {LONGEST:,} characters at most")
    steps: list[Step] = []
    at = 0
    while at < len(text):
        found = ITEM.match(text, at)
        if not found:
            rest = text[at:][:20]
            raise ValueError(f"a pattern is made of digits, \\d, [0-9] and repeats such as {{4,6}}; not {rest!r}")
        steps += repeated(digits_of(found), found["times"] or "")
        at = found.end()
        if len(steps) > MOST_STEPS:
            raise ValueError(f"a pattern may speak of {MOST_STEPS} digits at most")
    if not steps:
        raise ValueError("the pattern is empty")
    return Pattern(tuple(steps))


def of_length(count: int) -> Pattern:
    """Return the pattern of numbers with so many digits. Raises `ValueError`."""
    if not 1 <= count <= MOST_STEPS:
        raise ValueError(f"1 to {MOST_STEPS} digits can be expected, not {count}")
    return Pattern((Step(ANY),) * count)


def digits_of(item: re.Match[str]) -> Digits:
    if item["one"]:
        return frozenset({int(item["one"])})
    if item["any"]:
        return ANY
    ranges = [spanned(found) for found in RANGE.finditer(item["some"])]
    if RANGE.sub("", item["some"]) or not all(ranges):
        raise ValueError(f"[{item['some']}] is no class of digits, such as [0-9] or [1357]")
    return frozenset(digit for digits in ranges for digit in digits)


def spanned(found: re.Match[str]) -> range:
    """Return the digits of a range such as `2-5`, none if it is reversed, or of a single digit."""
    first, last = (int(found[1]), int(found[2])) if found[1] else (int(found[3]), int(found[3]))
    return range(first, last + 1)


def repeated(digits: Digits, times: str) -> Iterator[Step]:
    """Yield the steps of a class that comes so many times."""
    least, most = bounds_of(times)
    if most is not None and (most < least or most == 0):
        raise ValueError(f"{times} is no number of times")
    yield from [Step(digits)] * least
    if most is None:
        yield Step(digits, optional=True, repeats=True)
    else:
        yield from [Step(digits, optional=True)] * (most - least)


def bounds_of(times: str) -> tuple[int, int | None]:
    match times:
        case "":
            return 1, 1
        case "?":
            return 0, 1
        case "*":
            return 0, None
        case "+":
            return 1, None
    least, comma, most = times.strip("{}").partition(",")
    return int(least), (int(most) if most else None) if comma else int(least)
