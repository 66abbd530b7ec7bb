"""How often a service is right about labelled images, and what it takes for what. Knows nothing of files and tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from digits_client._answers import Prediction, Reading
from digits_client._client import Client
from digits_client._output import harmless
from digits_client._sets import Sample

NONE = "–"  # in place of a digit
Z = 1.96  # standard deviations of a 95 % interval

Answers = Sequence[Prediction] | Sequence[Reading]
Follow = Callable[[Iterator[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Evaluation:
    """What was answered to each of n samples, n ≥ 1."""

    samples: Sequence[Sample]
    given: Answers

    @property
    def are_numbers(self) -> bool:
        return isinstance(self.given[0], Reading)

    @property
    def answers(self) -> list[str]:
        return [answer_of(item) for item in self.given]

    @property
    def expected(self) -> list[str]:
        return [sample.label if is_number(sample.label) else NONE for sample in self.samples]

    @property
    def wrong(self) -> list[int]:
        """Indices of the samples whose answer isn't their label; for a letter, say, that is any digit, or an error."""
        pairs = zip(self.expected, self.answers, strict=True)
        return [index for index, (label, answer) in enumerate(pairs) if label != answer or self.given[index].error]

    @property
    def worst(self) -> list[int]:
        """The wrong ones, the surest first, and last those without an answer."""

        def order(index: int) -> tuple[bool, float]:
            one = self.given[index]
            return answer_of(one) == NONE, -(one.confidence or 0.0)

        return sorted(self.wrong, key=order)

    @property
    def right(self) -> int:
        return len(self.samples) - len(self.wrong)

    @property
    def accuracy(self) -> float:
        return self.right / len(self.samples)

    @property
    def interval(self) -> tuple[float, float]:
        return interval(self.right, len(self.samples))

    @property
    def unanswered(self) -> Counter[str]:
        """How many got no digit, for what reason or error."""
        return Counter(reason_of(item) for item in self.given if answer_of(item) == NONE)

    @property
    def confusion(self) -> Counter[tuple[str, str]]:
        """How often each label got each answer."""
        return Counter(zip((sample.label for sample in self.samples), self.answers, strict=True))


def evaluate(
    client: Client,
    samples: Sequence[Sample],
    follow: Follow = lambda answers, total: answers,
    *,
    explain: bool = False,
    threshold: float | None = None,
) -> Evaluation:
    """Ask about every sample; a label of several digits has all of them read as numbers. Raises what `predict` does.

    `follow` is given the answers as they come, and their number, to pass them on.
    """
    images = (sample.load() for sample in samples)
    are_numbers = any(len(sample.label) > 1 and is_number(sample.label) for sample in samples)
    if are_numbers:
        return Evaluation(samples, list(follow(client.read_each(images, threshold=threshold), len(samples))))
    answers = client.predict_each(images, explain=explain, threshold=threshold)
    return Evaluation(samples, list(follow(answers, len(samples))))


def is_number(label: str) -> bool:
    return label.isascii() and label.isdigit()  # "²" and "٣" are digits to Python, and no answers of this service


def answer_of(given: Prediction | Reading) -> str:
    if isinstance(given, Reading):
        return given.text or NONE
    return NONE if given.digit is None else str(given.digit)


def reason_of(given: Prediction | Reading) -> str:
    if given.error:
        return given.error.code
    return (given.reason if isinstance(given, Prediction) else None) or "no_digits"


def interval(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Wilson 1927)."""
    p, spread = right / n, Z**2 / n
    middle = (p + spread / 2) / (1 + spread)
    reach = Z * math.sqrt(p * (1 - p) / n + spread / (4 * n)) / (1 + spread)
    return middle - reach, middle + reach


def as_matrix(evaluation: Evaluation) -> str:
    """Return the confusion matrix: a row for each label, a column for each answer."""
    counts = evaluation.confusion
    answers = [*map(str, range(10)), NONE]
    rows = [
        f"{harmless(label):>6}" + "".join(f"{counts[label, answer] or '·':>6}" for answer in answers)
        for label in sorted({label for label, _ in counts})
    ]
    return "\n".join([f"{'':6}" + "".join(f"{answer:>6}" for answer in answers), *rows])
