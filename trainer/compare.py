"""python -m trainer compare A B: is one network better than another, or is it chance?

Both are read as the service reads them and asked about the same images. What both are right or
both are wrong about says nothing; what only one is right about is weighed by McNemar's test.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits import network
from digits.bundle import Bundle, Manifest
from digits.network import Network
from trainer import dataset, named
from trainer.config import Config
from trainer.dataset import Dataset, Part
from trainer.errors import DONE
from trainer.foreign import entry, is_number, word
from trainer.parallel import on_all_cores

SIGNIFICANT = 0.05  # chance below which a difference is taken to be one

Right = NDArray[np.bool_]  # (n,), of each image whether it was read rightly


@dataclass(frozen=True, slots=True)
class Comparison:
    """How often two networks were right about the same images."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def images(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def accuracies(self) -> tuple[float, float]:
        return (self.both + self.only_first) / self.images, (self.both + self.only_second) / self.images

    @property
    def p_value(self) -> float:
        """How likely a difference as large or larger is, in either direction, if neither is better.

        Each image that only one is right about is then as likely to favour either (McNemar 1947,
        Psychometrika 12, pp. 153-157). This is the exact binomial form, for any number of them,
        and not the approximation by chi-square, which few such images do not allow.
        """
        return min(1.0, 2 * lower_tail(min(self.only_first, self.only_second), self.only_first + self.only_second))

    @property
    def is_more_than_noise(self) -> bool:
        return self.p_value < SIGNIFICANT


def lower_tail(most: int, n: int) -> float:
    """Return how likely `most` heads or fewer are among n fair coins, from whole numbers and so exactly."""
    term = total = 1
    for k in range(most):
        term = term * (n - k) // (k + 1)
        total += term
    return float(total / 2**n)


def mcnemar(first_right: Right, second_right: Right) -> Comparison:
    """Compare two networks by which of the same n ≥ 1 images each was right about. Raises `ValueError`."""
    if first_right.shape != second_right.shape or first_right.ndim != 1 or not len(first_right):
        raise ValueError(f"answers to the same images are two of (n,), not {first_right.shape} {second_right.shape}")
    counts = [int(np.count_nonzero(which)) for which in (
        first_right & second_right, first_right & ~second_right, ~first_right & second_right,
        ~first_right & ~second_right,
    )]  # fmt: skip
    return Comparison(*counts)


def right(predict: Network, part: Part) -> Right:
    """Return (n,): which images of a part a network reads rightly."""
    return np.asarray(on_all_cores(predict, part.pixels).argmax(1) == part.labels)


def sentence(comparison: Comparison, first: str, second: str) -> str:
    """Say what the counts come to."""
    one, other = comparison.accuracies
    if not comparison.is_more_than_noise:
        chance = f"p = {comparison.p_value:.2g}"
        return f"no difference between {first} and {second} is proven: what there is may well be chance ({chance})"
    better, worse = (first, second) if one > other else (second, first)
    return f"{better} is better than {worse}: chance alone seldom does that (p = {comparison.p_value:.2g})"


def caveats(manifest: Manifest, data: Dataset, config: Config, on: str) -> list[str]:
    """Say why a model, or a member of an ensemble, may have been trained on the images of a part, if it may."""
    members = manifest.get("members")
    known = members if isinstance(members, list) else [manifest]
    found = [caveat(one if isinstance(one, dict) else {}, data, config, on) for one in known]
    return [line for line in found if line]


def caveat(manifest: Manifest, data: Dataset, config: Config, on: str) -> str | None:
    facts, training = entry(manifest, "data"), entry(manifest, "training")
    name = word(manifest.get("version"), "a model without a name")
    if not facts:
        return f"nothing says what {name} was trained on; it may know these images"
    if facts.get("sha256") != data.sha256:
        source = word(facts.get("source"), "from somewhere")
        return f"{name} was trained on other data ({source}), which may hold some of these images"
    if on != "validation":
        return None
    held = training.get("validation", config.validation)
    if not (is_number(held) and 0 < held < 1):
        return f"nothing says which images {name} was not trained on; it may know these"
    if held >= config.validation:  # these images, and perhaps more: see `dataset.split`
        return None
    return f"{name} was trained with --validation {held:g}, so that it may know these images"


# --- the command --------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    given = parser().parse_args(arguments)
    config = Config()
    first, second = (named.find(name, given.models) for name in (given.first, given.second))
    data = dataset.load(given.data, validation=config.validation)
    asked: Part = getattr(data, given.on)
    comparison = mcnemar(*(right(load(model), asked) for model in (first, second)))
    warnings = [line for model in (first, second) for line in caveats(model.manifest, data, config, given.on)]
    for warning in dict.fromkeys(warnings):
        print(f"warning: {warning}", file=sys.stderr)
    facts = as_facts(comparison, first, second, given.on)
    print(json.dumps(facts) if given.json else table(comparison, first, second, given.on))
    return DONE


def load(model: Bundle) -> Network:
    """Return the network of a model. Raises `BadInput`."""
    with named.naming(model.version):
        return network.load(model.h5)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m trainer compare",
        description="Tell whether the difference between two models is more than noise (McNemar's test).",
    )
    for name, which in (("first", "A"), ("second", "B")):
        made.add_argument(name, metavar=which, help="folder or version of a bundle, folder of models, or .h5 file")
    named.add_models(made)
    made.add_argument("--data", type=Path, metavar="PATH", help="as for training")
    asked = "images that both models are asked about; no training knows those of test (default: %(default)s)"
    made.add_argument("--on", choices=("validation", "test"), default="validation", help=asked)
    made.add_argument("--json", action="store_true", help="print JSON, for programs")
    return made


def as_facts(comparison: Comparison, first: Bundle, second: Bundle, on: str) -> dict[str, Any]:
    return {
        "first": first.version, "second": second.version, "on": on, "images": comparison.images,
        **asdict(comparison), "accuracies": comparison.accuracies, "p_value": comparison.p_value,
        "is_more_than_noise": comparison.is_more_than_noise,
    }  # fmt: skip


def table(comparison: Comparison, first: Bundle, second: Bundle, on: str) -> str:
    one, other = comparison.accuracies
    lines = [
        f"{comparison.images:,} images of the {on} set",
        f"A {first.version:<28} {one:8.3%} right  {comparison.only_first:6,} that B has wrong",
        f"B {second.version:<28} {other:8.3%} right  {comparison.only_second:6,} that A has wrong",
        f"{comparison.both:,} right by both, {comparison.neither:,} by neither",
        sentence(comparison, "A", "B"),
    ]
    return "\n".join(lines)
