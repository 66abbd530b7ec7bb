"""Everything that a training run can be told, in one place; the flags are made from these fields."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, Self

from digits import bundle
from trainer.augment import Variation
from trainer.errors import BAD_INPUT

METAVARS: dict[type, str] = {Path: "PATH", int: "N", float: "X", str: "NAME"}
RECIPES: dict[str, dict[str, Any]] = {  # what differs from the defaults below
    "plain": {"epochs": 20, "augmented": 0.0, "drawn": 0.0, "outliers": 0.0, "dropout": 0.5, "label_smoothing": 0.05,
              "average": 0.999},
    "standard": {},
    "full": {"epochs": 52, "average": 0.999, "validation": 0.17},
    "mnist": {"epochs": 40, "hidden": 0.3, "patch": 8, "moved": 3.0, "drawn": 0.0, "outliers": 0.0,
              "label_smoothing": 0.05, "average": 0.999, "taught": 1.0},
    "sprint": {"epochs": 2, "augmented": 0.0, "drawn": 0.0, "outliers": 0.0, "dropout": 0.1, "learning_rate": 4e-3,
               "validation": 0.02},
}  # fmt: skip
QUICK: dict[str, Any] = {"epochs": 2, "share": 0.2, "target_accuracy": 0.9, "force": True}
QUICK_HELP = ", ".join(f"--{name.replace('_', '-')} {value}".removesuffix(" True") for name, value in QUICK.items())


def setting(default: Any, help: str, *, in_manifest: bool = True) -> Any:
    """Return a field, which may be kept with the hyper-parameters; what is done with the weights is not."""
    return field(default=default, metadata={"help": help, "in_manifest": in_manifest})


@dataclass(frozen=True, slots=True)
class Config:
    data: Path | None = setting(
        None, "an .npz with x_train, y_train, x_test and y_test, or a folder of IDX files, of train/ and test/ images "
        "by class, or of images with labels.csv (default: the MNIST that comes with the project)", in_manifest=False
    )  # fmt: skip
    output: Path = setting(Path("models"), "folder in which the bundle is published", in_manifest=False)
    recipe: str = setting("standard", "a set of other defaults: " + ", ".join(RECIPES))
    architecture: str = setting("cnn", "cnn, resnet, efficientnet, an entry point, or a .py file with build()")
    epochs: int = setting(16, "passes over the training set")
    batch_size: int = setting(128, "images per step")
    learning_rate: float = setting(2e-3, "peak rate of Adam; it rises for a tenth of the steps, then falls")
    dropout: float = setting(0.2, "dropout rate after the last hidden layer")
    label_smoothing: float = setting(0.0, "share of each target that is spread evenly over all digits")
    average: float = setting(0.0, "momentum of the moving average of the weights, which is kept at the end; 0: none")
    augmented: float = setting(0.7, "share of the images that are varied")
    strength: float = setting(
        1.0,
        "how far, and how often, they are varied: 1 as by hands and scanners, 0 not at all, except for hidden parts",
    )
    hidden: float = setting(0.1, "share of the varied images that have a hidden part")
    patch: int = setting(5, "pixels, the side of the square that hides a part")
    moved: float = setting(1.5, "pixels by which a varied image is moved at most in each direction, at strength 1")
    drawn: float = setting(0.2, "digits of other hands, drawn by the program, per image of the training set")
    outliers: float = setting(0.35, "images without a digit in each batch, per image with one")
    teacher: Path | None = setting(
        None, "a .h5 whose softened probabilities (their square roots, scaled to sum to 1) are a part of each target"
    )
    taught: float = setting(0.5, "size of that part, if there is a teacher")
    mixed_precision: bool = setting(False, "compute in bfloat16 if the processor has it; weights stay float32")
    validation: float = setting(1 / 12, "share of the training set that is held out for validation")
    seed: int = setting(0, "seed of the weights, the order, the variants and dropout")
    deterministic: bool = setting(
        False, "get the same weights, bit for bit, each time on the same machine, even if that is slower"
    )
    target_accuracy: float = setting(
        0.98, "share of the test set that must be right for the model to be served", in_manifest=False
    )
    force: bool = setting(
        False, "serve the model even if it is worse than the one that is served now", in_manifest=False
    )
    show_augmentation: Path | None = setting(
        None, "write a sheet of varied training images to PATH, and train nothing", in_manifest=False
    )
    share: float = setting(1.0, "share of the training set that is used")
    quick: bool = setting(False, "other defaults, to try things in a minute or two: " + QUICK_HELP)
    if_missing: bool = setting(False, "do nothing if a model is already published", in_manifest=False)
    tensorboard: bool = setting(
        False, "also write logs for TensorBoard, into the folder tensorboard/ of the output", in_manifest=False
    )

    @classmethod
    def from_args(cls, arguments: list[str], epilog: str = "") -> Self:
        """Read a command line, whose help ends so; a flag that makes no sense ends the program with exit code 2."""
        parser = Parser(
            prog="python -m trainer",
            description="Train a digit classifier, prove it, and publish it for the service. Exit codes: 0 published, "
            "1 trained but not good enough to be served, 2 bad data or flags.",
            epilog=epilog,
        )  # fmt: skip
        for item in fields(cls):
            add_flag(parser, item.name, item.default, item.metadata["help"])
        first = parser.parse_args(arguments)
        if first.recipe not in RECIPES:
            parser.error(f"--recipe must be one of {', '.join(RECIPES)}")
        parser.set_defaults(**RECIPES[first.recipe] | (QUICK if first.quick else {}))
        config = cls(**vars(parser.parse_args(arguments)))
        problem = config.problem()
        if problem:
            parser.error(problem)
        return config

    def problem(self) -> str | None:
        """Return what is wrong with a value, in a sentence."""
        checks = {
            "--epochs must be at least 1": self.epochs >= 1,
            "--batch-size must be at least 1": self.batch_size >= 1,
            "--learning-rate must be above 0 and below 1": 0 < self.learning_rate < 1,
            "--dropout must be at least 0 and below 1": 0 <= self.dropout < 1,
            "--label-smoothing must be at least 0 and below 1": 0 <= self.label_smoothing < 1,
            "--average must be at least 0 and below 1": 0 <= self.average < 1,
            "--augmented must be at least 0 and at most 1": 0 <= self.augmented <= 1,
            "--strength must be at least 0 and at most 2": 0 <= self.strength <= 2,
            "--hidden must be at least 0 and at most 1": 0 <= self.hidden <= 1,
            "--patch must be at least 1 and at most 20": 1 <= self.patch <= 20,
            "--moved must be at least 0 and at most 4": 0 <= self.moved <= 4,
            "--drawn must be at least 0 and at most 10": 0 <= self.drawn <= 10,
            "--outliers must be at least 0 and at most 10": 0 <= self.outliers <= 10,
            "--taught must be at least 0 and at most 1": 0 <= self.taught <= 1,
            "--validation must be above 0 and at most 0.5": 0 < self.validation <= 0.5,
            "--share must be above 0 and at most 1": 0 < self.share <= 1,
            "--seed must be at least 0 and at most 4294967295": 0 <= self.seed < 2**32,
            "--target-accuracy must be at least 0 and at most 1": 0 <= self.target_accuracy <= 1,
        }
        return next((message for message, holds in checks.items() if not holds), None)

    @property
    def variation(self) -> Variation:
        return Variation(self.augmented, self.strength, self.hidden, self.moved, self.patch)

    def hyper_parameters(self, teacher: bytes | None) -> dict[str, Any]:
        """Return what shapes the weights but the data, as a manifest keeps it; `teacher` is what its file held."""
        told = {item.name: getattr(self, item.name) for item in fields(self) if item.metadata["in_manifest"]}
        if self.teacher is None or teacher is None:
            return told | {"teacher": None}
        return told | {"teacher": {"file": self.teacher.name, "sha256": bundle.hash_of(teacher)}}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, which thirty flags before it would hide."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"error: {message}; {self.prog} --help lists all flags\n")


def add_flag(parser: argparse.ArgumentParser, name: str, default: Any, help: str) -> None:
    flag = "--" + name.replace("_", "-")
    if isinstance(default, bool):
        parser.add_argument(flag, action="store_true", help=help)
        return
    kind = Path if default is None or isinstance(default, Path) else type(default)
    shown = "" if default is None else f" (default: {default:.3g})" if kind is float else f" (default: {default})"
    parser.add_argument(flag, type=kind, default=default, help=f"{help}{shown}", metavar=METAVARS[kind])
