"""Labelled images on disk: in folders by class, in a folder or zip with `labels.csv`, or in an `.npz`. Asks nobody."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits_client._images import is_image, is_stack

TABLE = "labels.csv"
BY_CLASS = re.compile(r"(?:.*/)?(?P<label>[0-9])/[^/]+")  # as in test/7/0001.png
ARRAYS = (("x_test", "y_test"), ("images", "labels"), ("x", "y"))  # of an .npz; the first pair that is there

MOST_BYTES = 64 << 20  # of a file in a zip, unpacked; a service takes 10 MiB by default

Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Sample:
    """An image that is read when it is needed, and the digits that it shows; other labels show that it holds none."""

    name: str
    label: str
    load: Callable[[], bytes | NDArray[Any]]


@contextmanager
def opened(path: Path) -> Iterator[list[Sample]]:
    """Lend the samples of a set. Raises `OSError`, and `ValueError` for what is no set."""
    if path.is_dir():
        names = sorted(found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file())
        yield from_files(str(path), names, lambda name: (path / name).read_bytes())
    elif path.suffix.lower() == ".npz":
        yield from_arrays(path)
    else:
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError) as exc:  # the latter of a version that zipfile doesn't know
            raise ValueError(f"{path} is no folder, zip or .npz of labelled images: {exc}") from exc
        with archive:
            names = sorted(entry.filename for entry in archive.infolist() if not entry.is_dir())
            yield from_files(str(path), names, partial(read_member, archive))


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a file of a zip. Raises `ValueError` for one that is damaged, encrypted or large once unpacked."""
    size = archive.getinfo(name).file_size  # of which no more is unpacked
    if size > MOST_BYTES:
        raise ValueError(f"{archive.filename}: {name} has {size:,} bytes; at most {MOST_BYTES:,} are read")
    try:
        return archive.read(name)
    except Exception as exc:  # each way to pack has its own kinds, and no common one
        raise ValueError(f"{archive.filename}: {name} cannot be read: {exc}") from exc


def from_files(place: str, names: Sequence[str], read: Read) -> list[Sample]:
    """Return what `labels.csv` lists, or else what lies in folders that are named 0 to 9, in `test` if there is one."""
    tables = [name for name in names if name.rpartition("/")[2] == TABLE]
    if len(tables) > 1:
        raise ValueError(f"{place} has several files {TABLE}; name the folder of one")
    if tables:
        return from_table(place, tables[0], set(names), read)
    matches = [(name, BY_CLASS.fullmatch(name)) for name in names if is_image(name)]
    found = [Sample(name, match["label"], partial(read, name)) for name, match in matches if match]
    held_out = [sample for sample in found if "test" in sample.name.split("/")[:-2]]
    if not found:
        raise ValueError(f"{place} has neither a {TABLE} nor images in folders that are named 0 to 9")
    return held_out or found


def from_table(place: str, table: str, names: set[str], read: Read) -> list[Sample]:
    """Return what the columns `file` and `label` say; files are looked for beside the table."""
    try:
        rows = as_rows(read(table).decode("utf-8-sig"))
    except (UnicodeDecodeError, csv.Error) as exc:
        raise ValueError(f"{place}: {TABLE} is not CSV in UTF-8: {exc}") from exc
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise ValueError(f"{place}: {TABLE} must have the columns file and label, and at least one row")
    folder = table[: -len(TABLE)]
    missing = [row["file"] for row in rows if folder + (row["file"] or "") not in names]
    if missing:
        more = f", and {len(missing) - 1} more like it" if len(missing) > 1 else ""
        raise ValueError(f"{place}: {TABLE} names {missing[0]!r}, which isn't there{more}")
    return [Sample(row["file"], (row["label"] or "").strip(), partial(read, folder + row["file"])) for row in rows]


def as_rows(text: str) -> list[dict[str, Any]]:
    """Return the rows by the names of their columns in small letters; spreadsheets part them by ";" in some places."""
    head = text.partition("\n")[0]
    delimiter = ";" if ";" in head and "," not in head else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    return list(reader)


def from_arrays(path: Path) -> list[Sample]:
    """Return (n, 28, 28) images and their n labels: `x_test` and `y_test`, `images` and `labels`, or `x` and `y`."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            pair = next((pair for pair in ARRAYS if set(pair) <= set(archive.files)), None)
            if pair is None:
                raise ValueError(f"it holds {', '.join(archive.files)}, and not x_test and y_test")
            images, labels = archive[pair[0]], archive[pair[1]]
    except OSError:
        raise
    except Exception as exc:  # zipfile, zlib, and NumPy's reader of a header, which is a Python literal, raise anything
        raise ValueError(f"{path} is no .npz of labelled images: {exc}") from exc
    if not is_stack(images) or not len(images) or labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{path}: {images.shape} images and {labels.shape} labels; give (n, 28, 28) and n whole numbers"
        )
    return [
        Sample(f"{pair[0]}[{index}]", str(label), partial(images.__getitem__, index))
        for index, label in enumerate(labels)
    ]
