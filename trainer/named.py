"""Find a model by what people call it: the folder of a bundle, its version, a folder of models, or a `.h5`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from digits import bundle
from digits.bundle import Bundle
from digits.errors import BadBundle, BadModel
from trainer.config import Config
from trainer.errors import BadInput


def find(name: str, models: Path) -> Bundle:
    """Return the model; a version is looked for in `models`, then in what comes with the project. Raises `BadBundle`.

    A `.h5` comes as a bundle without facts, as one does that was dropped into a folder of models.
    """
    path = Path(name)
    if not exists(path):
        path = next((folder / name for folder in (models, bundle.DEFAULT_MODEL) if exists(folder / name)), path)
    if not exists(path):
        raise BadBundle("missing", f"there is no version, folder or file {name}; versions are looked for in {models}")
    if path.is_file():
        return bundle.read_bare(path)
    path = path.resolve()  # a bundle knows its version by the name of its folder, which "." has not
    return bundle.read(path) if exists(path / bundle.MANIFEST_NAME) else bundle.read_current(path)


@contextmanager
def naming(name: object) -> Iterator[None]:
    """Say with which model something is wrong: a `BadModel` from the block becomes a `BadInput` that names it."""
    try:
        yield
    except BadModel as exc:
        raise BadInput(f"{name}: {exc}") from exc


def add_models(parser: argparse.ArgumentParser) -> None:
    """Let a command be told where versions are looked for."""
    where = "folder in which versions are looked up (default: %(default)s)"
    parser.add_argument("--models", type=Path, default=Config().output, help=where)


def exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110  # says no where Path.exists raises: too long a name, links in a circle
