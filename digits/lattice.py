"""Choose how the pieces of a row are read: which of them make up a digit, which are marks, and which are dirt.

    cuts, what is believed of their candidates, pattern -> the reading that costs least

The cost of a reading is the negative log-likelihood of its digits, plus penalties for odd shapes, for
cuts through ink, and for what is a mark or left out. The least is found by dynamic programming over
cuts and states of the pattern (Viterbi 1967), as in segmentation-driven recognition since Burges, LeCun
and others (1992). Knows nothing of pictures.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from digits.cuts import FREE, Candidate, Cuts
from digits.judgements import DIGITS, PRESENCE, Judgements, Probabilities
from digits.pattern import ANYTHING, Digits, Pattern

CUT = 1.0  # for each stroke that a cut goes through
GAP = 2.0  # for each height of paper within a digit
LOW, LOW_COST = 0.8, 10.0  # heights below which a digit is too low, and what each height squared costs
WIDE, WIDE_COST = 0.9, 6.0  # the same for too wide
MARK = 0.3  # for a comma, a point or a dash
MARK_TALL = 0.42  # heights that it is tall at most
MARK_AREA = 0.9  # upright strokes of ink that a mark has at most
DIRT, DIRT_AREA = 1.0, 1.5  # for a piece that is left out, and for each upright stroke of its ink
POWER = 0.5  # of the presence of a digit: what stands in a row is likelier one than what stands alone
LEAST = 1e-6  # probability that a digit is given at least


@dataclass(frozen=True, slots=True)
class Token:
    """What a candidate, by its index, was taken for: a digit, or else a mark. A piece that is dirt is none."""

    candidate: int | None
    digit: int | None = None
    left_out: float = 0.0  # ink of a piece that was left out, in upright strokes


@dataclass(frozen=True, slots=True)
class Arrival:
    """The cheapest way to a cut and a state: what it costs, from where it came, and by which token."""

    cost: float
    before: tuple[int, int] | None = None
    token: Token | None = None


Arrivals = dict[int, Arrival]  # by state of the pattern


def best_reading(cuts: Cuts, believed: Probabilities, pattern: Pattern = ANYTHING) -> list[Token] | None:
    """Return the best reading that fits, or None where none does; `believed` are the (k, 10) `beliefs`."""
    last = len(cuts.costs) - 1
    arrivals: list[Arrivals] = [{} for _ in cuts.costs]
    arrivals[0][0] = Arrival(0.0)
    starting = by_start(cuts.candidates)
    for at in range(last):
        skip(arrivals[at], pattern)
        leave_out(arrivals, cuts, at)
        for index in starting[at]:
            take(arrivals, cuts, pattern, index, believed[index])
    skip(arrivals[last], pattern)
    return traced(arrivals, (last, pattern.end)) if pattern.end in arrivals[last] else None


def beliefs(judgements: Judgements) -> Probabilities:
    """Return for (k, 11) judgements of candidates, (k, 10): that it is a digit, more or less, and which."""
    return np.asarray(judgements[:, DIGITS] * judgements[:, PRESENCE:] ** POWER, np.float32)


def by_start(candidates: Sequence[Candidate]) -> defaultdict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        found[candidate.start].append(index)
    return found


def skip(here: Arrivals, pattern: Pattern) -> None:
    """Go past steps that may be left out; that costs nothing."""
    for state, step in enumerate(pattern.steps):
        if step.optional and state in here:
            arrive(here, state + 1, here[state])


def leave_out(arrivals: list[Arrivals], cuts: Cuts, at: int) -> None:
    """Take the piece after a cut for dirt."""
    dirt = Token(None, left_out=cuts.areas[at])
    cost = DIRT + DIRT_AREA * cuts.areas[at] + CUT * cuts.costs[at + 1]
    for state, arrival in arrivals[at].items():
        arrive(arrivals[at + 1], state, Arrival(arrival.cost + cost, (at, state), dirt))


def take(arrivals: list[Arrivals], cuts: Cuts, pattern: Pattern, index: int, row: Probabilities) -> None:
    """Take a candidate for the likeliest digit that each state allows, or for a mark; `row` are its (10,)."""
    candidate = cuts.candidates[index]
    at, there = candidate.start, arrivals[candidate.end]
    crossed = CUT * cuts.costs[candidate.end]
    strange = strangeness(candidate)
    likeliest: dict[Digits, tuple[Token, float]] = {}
    for state, arrival in arrivals[at].items():
        if is_mark(candidate):
            # What only a cut through ink makes small is a piece of something, and left out: of a letter, say.
            small = Token(index) if stands_free(cuts, candidate) else Token(None, left_out=candidate.area)
            arrive(there, state, Arrival(arrival.cost + MARK + crossed, (at, state), small))
        if state < pattern.end:
            digits = pattern.steps[state].digits
            if digits not in likeliest:
                digit = max(digits, key=row.item)
                likeliest[digits] = Token(index, digit), strange - math.log(max(row.item(digit), LEAST))
            token, cost = likeliest[digits]
            arrive(there, pattern.after(state), Arrival(arrival.cost + cost + crossed, (at, state), token))


def arrive(there: Arrivals, state: int, arrival: Arrival) -> None:
    known = there.get(state)
    if known is None or arrival.cost < known.cost:
        there[state] = arrival


def strangeness(candidate: Candidate) -> float:
    """Return what the shape of a candidate costs it as a digit."""
    too_low, too_wide = max(0.0, LOW - candidate.tall), max(0.0, candidate.wide - WIDE)
    return GAP * candidate.gap + LOW_COST * too_low**2 + WIDE_COST * too_wide**2


def is_mark(candidate: Candidate) -> bool:
    """Tell whether a candidate is a single piece, and so small that it may be a comma, a point or a dash."""
    alone = candidate.end - candidate.start == 1
    return alone and candidate.tall < MARK_TALL and candidate.area < MARK_AREA


def stands_free(cuts: Cuts, candidate: Candidate) -> bool:
    """Tell whether there is paper to both sides of a candidate."""
    return max(cuts.costs[candidate.start], cuts.costs[candidate.end]) <= FREE


def traced(arrivals: Sequence[dict[int, Arrival]], end: tuple[int, int]) -> list[Token]:
    """Follow the cheapest way back to the start."""
    tokens: list[Token] = []
    arrival = arrivals[end[0]][end[1]]
    while arrival.before is not None and arrival.token is not None:
        tokens.append(arrival.token)
        arrival = arrivals[arrival.before[0]][arrival.before[1]]
    return tokens[::-1]
