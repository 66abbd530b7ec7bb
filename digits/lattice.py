"""Choose how the pieces of a row are read: which of them make up a digit, which are marks, and which are dirt.

    cuts, probabilities of their candidates, pattern -> the reading that costs least

A reading costs what its digits lack of certainty, and more where a digit has a strange shape or a
cut goes through ink: the sums of negative logarithms, least by dynamic programming over cuts and
states of the pattern (Viterbi 1967), as in segmentation-driven recognition since Burges, LeCun and
others (1992). Knows nothing of pictures.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from digits.cuts import LOWEST, Candidate, Cuts
from digits.network import Probabilities
from digits.pattern import ANYTHING, Pattern

CUT = 1.0  # for each stroke that a cut goes through
GAP = 2.0  # for each height of paper within a digit
LOW, LOW_COST = 0.8, 10.0  # heights below which a digit is too low, and what each height squared costs
WIDE, WIDE_COST = 0.9, 6.0  # the same for too wide
MARK = 0.3  # for a comma, a point or a dash
MARK_AREA = 0.9  # upright strokes of ink that a mark has at most
DIRT, DIRT_AREA = 1.0, 1.5  # for a piece that is left out, and for each upright stroke of its ink
LEAST = 1e-6  # probability that a digit is given at least


@dataclass(frozen=True, slots=True)
class Token:
    """What a candidate, by its index, was taken for: a digit, or a mark. Dirt is no candidate."""

    candidate: int | None
    digit: int | None = None
    is_mark: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """The cheapest way to a cut and a state: what it costs, from where it came, and by which token."""

    cost: float
    before: tuple[int, int] | None = None
    token: Token | None = None


def best_reading(cuts: Cuts, probabilities: Probabilities, pattern: Pattern = ANYTHING) -> list[Token] | None:
    """Return the best reading that fits, or None where none does; `probabilities` are (k, 10), of the candidates."""
    last = len(cuts.costs) - 1
    arrivals: list[dict[int, Arrival]] = [{} for _ in cuts.costs]
    arrivals[0][0] = Arrival(0.0)
    starting = by_start(cuts.candidates)
    for at in range(last):
        for state, arrival in arrivals[at].items():
            for cut, end, cost, token in continued(cuts, starting[at], probabilities, pattern, at, state):
                total = arrival.cost + cost + CUT * cuts.costs[cut]
                known = arrivals[cut].get(end)
                if known is None or total < known.cost:
                    arrivals[cut][end] = Arrival(total, (at, state), token)
    ends = [state for state in arrivals[last] if state in pattern.final]
    if not ends:
        return None
    return traced(arrivals, (last, min(ends, key=lambda state: arrivals[last][state].cost)))


def by_start(candidates: Sequence[Candidate]) -> defaultdict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        found[candidate.start].append(index)
    return found


def strangeness(candidate: Candidate) -> float:
    """Return what the shape of a candidate costs it as a digit."""
    too_low, too_wide = max(0.0, LOW - candidate.tall), max(0.0, candidate.wide - WIDE)
    return GAP * candidate.gap + LOW_COST * too_low**2 + WIDE_COST * too_wide**2


def continued(
    cuts: Cuts, indices: Sequence[int], probabilities: Probabilities, pattern: Pattern, at: int, state: int
) -> Iterator[tuple[int, int, float, Token]]:
    """Return the cuts and states that may come next, what that costs, and by which token."""
    yield at + 1, state, DIRT + DIRT_AREA * cuts.areas[at], Token(None)
    for index in indices:
        candidate = cuts.candidates[index]
        strange = strangeness(candidate)
        for digits, end in pattern.moves[state]:
            digit = max(digits, key=probabilities[index].item)
            cost = -math.log(max(probabilities[index].item(digit), LEAST))
            yield candidate.end, end, cost + strange, Token(index, digit)
        if is_mark(candidate) and candidate.end == at + 1:
            yield candidate.end, state, MARK, Token(index, is_mark=True)


def is_mark(candidate: Candidate) -> bool:
    return candidate.tall < LOWEST and candidate.area < MARK_AREA


def traced(arrivals: Sequence[dict[int, Arrival]], end: tuple[int, int]) -> list[Token]:
    """Follow the cheapest way back to the start."""
    tokens: list[Token] = []
    arrival = arrivals[end[0]][end[1]]
    while arrival.before is not None and arrival.token is not None:
        tokens.append(arrival.token)
        arrival = arrivals[arrival.before[0]][arrival.before[1]]
    return tokens[::-1]
