"""The networks that can be trained, by name; one's own is a Python file, or an entry point of a package.

Each has a function `build()` that returns an untrained Keras model, whose last layer is a Dense of
ten with a softmax. One that takes `dropout` is told the rate of the recipe.
"""

from __future__ import annotations

import importlib
import inspect
import runpy
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

OURS = ("cnn", "resnet", "efficientnet")
GROUP = "digits.architectures"  # of entry points

Build = Callable[..., Any]  # to a keras.Model


class UnknownArchitecture(Exception):
    """There is none of that name; the message says which there are."""


def find(name: str) -> Build:
    """Return the `build` of one of ours, of a file that ends in `.py`, or of an entry point.

    Raises `UnknownArchitecture`. A file, and a package, is code that runs.
    """
    if name in OURS:
        return adapted(importlib.import_module(f"{__name__}.{name}").build)
    if name.endswith(".py"):
        return adapted(from_file(Path(name)))
    for point in entry_points(group=GROUP, name=name):
        return adapted(point.load())
    theirs = [point.name for point in entry_points(group=GROUP)]
    raise UnknownArchitecture(f"there is no architecture {name!r}, but {', '.join([*OURS, *theirs])}, and files of .py")


def from_file(path: Path) -> Build:
    if not path.is_file():
        raise UnknownArchitecture(f"{path}: there is no such file")
    build: Build | None = runpy.run_path(str(path)).get("build")
    if not callable(build):
        raise UnknownArchitecture(f"{path} has no function build()")
    return build


def adapted(build: Build) -> Build:
    """Return a function of `dropout`, whatever the given one takes."""
    return build if "dropout" in inspect.signature(build).parameters else lambda dropout: build()
