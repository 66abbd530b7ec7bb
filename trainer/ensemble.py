"""python -m trainer ensemble A B …: the mean of several models, published as one.

    models -> what each answers to the validation set -> one temperature, for their mean
           -> one network -> tested, proven and offered as a training's is

Nothing is trained. The members are what the kernel reads; that Keras, which puts them together, has
them answer alike is proven before anything else.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from digits import network
from digits.bundle import Bundle, Manifest
from digits.judgements import Probabilities
from trainer import calibrate, compare, dataset, named, parity
from trainer.config import Config, add_flag
from trainer.console import check_output, publish, say, say_tested, silence_imports, timed
from trainer.dataset import Dataset, Part
from trainer.errors import DONE, BadInput
from trainer.foreign import entry, is_number
from trainer.parallel import on_all_cores

if TYPE_CHECKING:  # these import Keras, which takes seconds
    from trainer.averaging import Ensemble
    from trainer.training import Tested

FLAGS = ("data", "output", "target_accuracy", "force")  # of a training that are flags here, too
VARIED = ("augmented", "strength", "hidden", "patch", "moved")  # how far a training varies its images
AS_TRAINED = ("validation", *VARIED)
FIGURES = ("accuracy", "loss", "images")  # kept of the test of a member


class BadMember(BadInput):
    """A model that cannot be part of an ensemble; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """A model, and what it answers to the validation images as it is served, (n, 10)."""

    bundle: Bundle
    answers: Probabilities


def main(arguments: list[str]) -> int:
    names, config = read(arguments)
    found = [named.find(name, config.output) for name in names]
    refuse(found)
    config = as_trained(config, [model.manifest for model in found])
    data = dataset.load(config.data, validation=config.validation)
    check_output(config)
    run(found, data, config)
    return DONE


def read(arguments: list[str]) -> tuple[list[str], Config]:
    made = argparse.ArgumentParser(
        prog="python -m trainer ensemble",
        description="Publish the mean of several models as one. Versions are looked up in the output. "
        "Exit codes: 0 published, 1 not good enough to be served, 2 bad models, data or flags.",
    )
    made.add_argument(
        "models", metavar="BUNDLE", nargs="+", help="folder or version of a bundle, folder of models, or .h5 file"
    )
    for item in fields(Config):
        if item.name in FLAGS:
            add_flag(made, item.name, item.default, item.metadata["help"])
    given = vars(made.parse_args(arguments))
    names, config = given.pop("models"), Config(**given)
    if len(names) < 2:
        made.error("an ensemble has two members at least")
    if problem := config.problem():
        made.error(problem)
    return names, config


def refuse(found: Sequence[Bundle]) -> None:
    """Raises `BadMember` for what adds nothing to a mean, or has no logits of its own to be tempered."""
    seen: dict[str, str] = {}
    for model in found:
        if "members" in model.manifest:
            raise BadMember(f"{model.version} is an ensemble itself; name its members instead")
        if model.sha256 in seen:
            raise BadMember(f"{model.version} and {seen[model.sha256]} are the same network")
        seen[model.sha256] = model.version


def as_trained(config: Config, manifests: Sequence[Manifest]) -> Config:
    """Hold out what the members' trainings did, if all agree, and vary images as far as any of them."""
    told = [entry(manifest, "training") for manifest in manifests]
    values = {name: [item[name] for item in told if is_number(item.get(name))] for name in AS_TRAINED}
    for name in ("patch", "moved"):
        if len(values[name]) < len(told):  # trained before it could be told
            values[name].append(getattr(config, name))
    held = values.pop("validation")
    agreed = {"validation": held[0]} if len(held) == len(told) and len(set(held)) == 1 else {}
    made = replace(config, **agreed, **{name: max(found) for name, found in values.items() if found})
    if problem := made.problem():
        raise BadMember(f"a manifest says what no training can have been told: {problem}")
    return made


def run(found: Sequence[Bundle], data: Dataset, config: Config) -> None:
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    lines = [line for model in found for line in compare.caveats(model.manifest, data, config, "validation")]
    for warning in dict.fromkeys(lines):
        say(f"warning: {warning}")
    with timed(seconds, "import"):
        silence_imports()
        from trainer import averaging
    with timed(seconds, "average"):
        members = [Member(model, ask(model, data.validation)) for model in found]
        ensemble = averaging.mean_of([load(model) for model in found])
        check(ensemble, members, data.validation)
        temperature = calibrated(ensemble, members, data.validation)
    say_validated(members, temperature, data.validation)
    with timed(seconds, "evaluate"):
        tested = test(ensemble, temperature, data.test)
    say_tested(tested)
    publish(lambda: offer(ensemble, members, tested, data, config, seconds), started)


def ask(model: Bundle, validation: Part) -> Probabilities:
    """Return the (n, 10) probabilities that are served. Raises `BadInput`."""
    with named.naming(model.version):
        return on_all_cores(network.load(model.h5), validation.pixels)


def load(model: Bundle) -> Any:
    """Return the keras.Model. Raises `BadInput`."""
    from trainer import averaging

    with named.naming(model.version):
        return averaging.load(model.h5)


def check(ensemble: Ensemble, members: Sequence[Member], validation: Part) -> None:
    """Prove that each member answers within the ensemble as it is served. Raises `BadMember`."""
    some = validation.pixels[: parity.IMAGES]
    for member, answers in zip(members, ensemble.answers(some)[1:], strict=True):
        difference = parity.difference(answers, member.answers[: len(some)])
        if not parity.holds(difference):
            raise BadMember(
                f"{member.bundle.version} answers {difference:.2g} away from what is served of it, once Keras has "
                "loaded it; it was saved by another version, perhaps"
            )


def calibrated(ensemble: Ensemble, members: Sequence[Member], validation: Part) -> float:
    """Divide the logits of all members by the temperature at which their mean does best, and return that.

    Raises `BadModel` if the kernel does not read what comes of it, so that the test set isn't asked for nothing.
    """
    temperature = calibrate.fit_temperature([member.answers for member in members], validation.labels)
    ensemble.cool(temperature)
    network.load(ensemble.h5())
    return temperature


def say_validated(members: Sequence[Member], temperature: float, validation: Part) -> None:
    for member in members:
        say(f"{member.bundle.version}: {accuracy(member.answers, validation):.2%} of the validation images right")
    mean = np.mean([calibrate.tempered(member.answers, temperature) for member in members], 0)
    say(f"their mean: {accuracy(mean, validation):.2%} of {len(validation):,}")


def accuracy(probabilities: Probabilities, part: Part) -> float:
    return float((probabilities.argmax(1) == part.labels).mean())


def test(ensemble: Ensemble, temperature: float, part: Part) -> Tested:
    from trainer import evaluate, reliability
    from trainer.training import Tested

    mean, *each = ensemble.answers(part.pixels)
    calibration = reliability.before_and_after(each, part.labels, temperature)
    return Tested(mean, evaluate.evaluate(mean, part.labels), calibration)


def offer(
    ensemble: Ensemble, members: Sequence[Member], tested: Tested, data: Dataset, config: Config,
    seconds: Mapping[str, float],
) -> Bundle:  # fmt: skip
    """Publish the mean with all that is known of it, if it is good enough. Raises as `publish.publish` does."""
    from trainer import publish, report, training

    pictures = training.draw(tested, data.test)
    page = partial(report.render, history={}, pictures=pictures)
    facts = training.describe(tested, data) | {
        "members": [as_facts(member, data.validation) for member in members],
        "training": {name: getattr(config, name) for name in AS_TRAINED},
        "seconds": dict(seconds),
    }
    files = training.in_folder(pictures)
    return publish.publish(publish.Offer(ensemble.model, tested.probabilities, facts, files, page), data, config)


def as_facts(member: Member, validation: Part) -> Manifest:
    """Return what the manifest keeps of a member: what its own says, and how it does on the validation set."""
    manifest = member.bundle.manifest
    test = entry(manifest, "test")
    return {
        "version": member.bundle.version,
        "model": entry(manifest, "model"),
        "data": entry(manifest, "data"),
        "training": entry(manifest, "training"),
        "validation": {"accuracy": accuracy(member.answers, validation), "images": len(validation)},
        "test": {name: test[name] for name in FIGURES if is_number(test.get(name))},
    }
