"""What a number may look like, for those who know their form: `[0-9]{4,6}`, `19\\d\\d`, `[1-6]?\\d`.

A pattern is written as a regular expression of digits: single ones, `\\d`, classes such as `[0-9]`
or `[1357]`, each perhaps with `?`, `*`, `+`, `{n}`, `{n,}` or `{m,n}`. Nothing else is known, so that
each one is a short row of states, and matching takes time in proportion to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST_STEPS = 64  # digits that a pattern may speak of
ITEM = re.compile(
    r"(?:(?P<one>[0-9])|(?P<any>\\d)|\[(?P<some>[0-9-]+)\])(?P<times>[?*+]|\{\d{1,3}(?:,\d{0,3})?\})?", re.ASCII
)
RANGE = re.compile(r"([0-9])-([0-9])|([0-9])", re.ASCII)

Digits = frozenset[int]
ANY: Digits = frozenset(range(10))


@dataclass(frozen=True, slots=True)
class Step:
    """Digits of which one comes next, or none if it may be left out; any number of them if it repeats."""

    digits: Digits
    optional: bool = False
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """State i is before step i, the last one at the end. `moves[i]` are the digits that lead on, and where to."""

    moves: tuple[tuple[tuple[Digits, int], ...], ...]
    final: frozenset[int]

    def fits(self, digits: str) -> bool:
        states = {0}
        for digit in digits:
            states = {end for state in states for some, end in self.moves[state] if int(digit) in some}
        return bool(states & self.final)


ANYTHING = Pattern((((ANY, 0),),), frozenset({0}))


def parse(text: str) -> Pattern:
    """Return a pattern. Raises `ValueError` with a sentence that says what is wrong with it."""
    steps: list[Step] = []
    at = 0
    while at < len(text):
        found = ITEM.match(text, at)
        if not found:
            raise ValueError(
                f"a pattern is made of digits, \\d, [0-9] and repeats such as {{4,6}}; not {text[at:][:20]!r}"
            )
        steps += repeated(digits_of(found), found["times"] or "")
        at = found.end()
        if len(steps) > MOST_STEPS:
            raise ValueError(f"a pattern may speak of {MOST_STEPS} digits at most")
    if not steps:
        raise ValueError("the pattern is empty")
    return compiled(steps)


def of_length(count: int) -> Pattern:
    """Return the pattern of numbers with so many digits. Raises `ValueError`."""
    if not 1 <= count <= MOST_STEPS:
        raise ValueError(f"1 to {MOST_STEPS} digits can be expected, not {count}")
    return compiled([Step(ANY)] * count)


def digits_of(item: re.Match[str]) -> Digits:
    if item["one"]:
        return frozenset({int(item["one"])})
    if item["any"]:
        return ANY
    some = {digit for found in RANGE.finditer(item["some"]) for digit in spanned(found)}
    if RANGE.sub("", item["some"]) or not some:
        raise ValueError(f"[{item['some']}] is no class of digits, such as [0-9] or [1357]")
    return frozenset(some)


def spanned(found: re.Match[str]) -> range:
    first, last = (int(found[1]), int(found[2])) if found[1] else (int(found[3]), int(found[3]))
    return range(first, last + 1)


def repeated(digits: Digits, times: str) -> Iterator[Step]:
    """Return the steps of a class that comes so many times."""
    least, most = bounds_of(times)
    if most is not None and (most < least or most == 0):
        raise ValueError(f"{times} is no number of times")
    yield from [Step(digits)] * min(least, MOST_STEPS + 1)
    if most is None:
        yield Step(digits, optional=True, repeats=True)
    else:
        yield from [Step(digits, optional=True)] * min(most - least, MOST_STEPS + 1)


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


def compiled(steps: list[Step]) -> Pattern:
    moves = tuple(tuple(moves_from(steps, state)) for state in range(len(steps) + 1))
    final = frozenset(state for state in range(len(steps) + 1) if all(step.optional for step in steps[state:]))
    return Pattern(moves, final)


def moves_from(steps: list[Step], state: int) -> Iterator[tuple[Digits, int]]:
    for index, step in enumerate(steps[state:], state):
        yield step.digits, index if step.repeats else index + 1
        if not step.optional:
            return
