"""The networks that can be trained, by name; one's own is a Python file, or an entry point of a package.

Each has a function `build()` that returns an untrained Keras model from (28, 28, 1) to ten, whose last
layer is a Dense with a softmax. One that takes `dropout` is told the rate of the recipe.
"""

from __future__ import annotations

import importlib
import inspect
import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from trainer.errors import BadInput

OURS = ("cnn", "resnet", "efficientnet")
GROUP = "digits.architectures"  # of entry points
TAKES, GIVES = (None, 28, 28, 1), (None, 10)

Build = Callable[..., Any]  # to a keras.Model


class BadArchitecture(BadInput):
    """There is none of that name, or it makes no network that can be trained; the message says why."""


def find(name: str) -> Build:
    """Return the `build` of one of ours, of a file that ends in `.py`, or of an entry point; it takes `dropout`.

    Raises `BadArchitecture`, as what is returned does. A file, and a package, is code that runs.
    """
    if name in OURS:
        return proven(name, importlib.import_module(f"{__name__}.{name}").build)
    if name.endswith(".py"):
        return proven(name, from_file(Path(name)))
    for point in entry_points(group=GROUP, name=name):
        with blaming(f"the architecture {name}"):
            build = point.load()
        return proven(name, build)
    theirs = [point.name for point in entry_points(group=GROUP)]
    raise BadArchitecture(f"there is no architecture {name!r}, but {', '.join([*OURS, *theirs])}, and files of .py")


def from_file(path: Path) -> Any:
    if not path.is_file():
        raise BadArchitecture(f"{path}: there is no such file")
    with blaming(str(path)):
        return runpy.run_path(str(path)).get("build")


def proven(name: str, build: Any) -> Build:
    """Return a function of `dropout`, whatever the given one takes, that makes a network or says why it cannot."""
    if not callable(build):
        raise BadArchitecture(f"{name} has no function build()")

    def made(dropout: float) -> Any:
        with blaming(f"build() of {name}"):
            takes_it = "dropout" in inspect.signature(build).parameters
            model = build(dropout=dropout) if takes_it else build()
        if problem := why_not(model):
            raise BadArchitecture(f"build() of {name} returns {problem}")
        return model

    return made


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Say in one sentence whose code it was that failed."""
    try:
        yield
    except Exception as exc:  # code of others may raise anything
        reason = " ".join(str(exc).split())
        raise BadArchitecture(f"{what} fails: {type(exc).__name__}{reason and f': {reason}'}") from exc


def why_not(model: Any) -> str | None:
    """Return what is wrong with a network that is to be trained, if anything is."""
    import keras

    if not isinstance(model, keras.Model):
        return f"{type(model).__name__}, not a keras.Model"
    takes, gives = (getattr(model, name, None) for name in ("input_shape", "output_shape"))
    if takes is None:
        return "a model without a keras.Input, of unknown shape"
    if (takes, gives) != (TAKES, GIVES):
        return f"a model from {takes} to {gives}, not from {TAKES} to {GIVES}"
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.activation is not keras.activations.softmax:
        return f"a model that ends in {last.name!r}, not in a Dense layer of ten with a softmax"
    return None
