"""Read a Keras `.h5` file as data: its configuration and its weights, and nothing that could run.

A model file may come from anywhere, so everything is refused that a plain Keras model doesn't
need: links out of the file or within it, virtual and external datasets, text and objects, filters
(the library unpacks a chunk to whatever size it has, not to the one that is declared), and any
size above `MAX_BYTES`, in the file or declared by it. What the layers mean is no matter of this
module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from digits.errors import BadModel

MAX_BYTES = 64 << 20  # of the file, and of all arrays that it declares; the classic CNN has 2.7 MB
MAX_OBJECTS = 10_000  # groups and datasets; also ends the walk of a file whose groups contain each other
ZIP = b"PK\x03\x04"
KERAS = b"metadata.json"  # a file in each such archive that Keras writes
MAX_CONFIG = 1 << 20  # characters of model_config
MAX_PATH = 1_000  # characters of where a group or dataset lies


@dataclass(frozen=True, slots=True)
class SavedModel:
    """What a `.h5` file says.

    `weights` maps paths such as `conv2d/sequential/conv2d/kernel` (Keras 3) or
    `conv2d/conv2d/kernel:0` (Keras 2) to arrays.
    """

    config: dict[str, Any]
    weights: dict[str, NDArray[np.float32]]
    keras_version: str


def read(data: bytes) -> SavedModel:
    """Read the bytes of a `.h5` file that Keras 2 or 3 saved. Raises `BadModel`."""
    if len(data) > MAX_BYTES:
        raise BadModel("too_large", f"the file has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    if data.startswith(ZIP):
        kind = "a .keras file" if KERAS in data else "an archive, .npz or .zip"
        raise BadModel("not_hdf5", f"this is {kind}, not a .h5; save the model with model.save('mnist_cnn_model.h5')")
    try:
        file = h5py.File(h5py.h5f.open_file_image(data), "r")
    except MemoryError:  # which says nothing of the file
        raise
    except Exception as exc:  # the HDF5 library raises OSError, ValueError, RuntimeError, KeyError …
        raise BadModel("not_hdf5", "this is not an HDF5 file, or it is damaged") from exc
    try:
        with file:
            return read_model(file)
    except (BadModel, MemoryError):
        raise
    except Exception as exc:  # as above: any part of the file may be damaged
        raise BadModel("malformed", f"the file is damaged: {exc}") from exc


def read_model(file: h5py.File) -> SavedModel:
    """Read an open file. Raises `BadModel`, and whatever h5py raises where the file is damaged."""
    check(file)
    if "model_config" not in file.attrs or not isinstance(file.get("model_weights"), h5py.Group):
        raise BadModel("malformed", "the file holds no whole Keras model; save it with model.save, not save_weights")
    config = parse(read_text(file, "model_config"))
    version = read_text(file, "keras_version") if "keras_version" in file.attrs else "unknown"
    return SavedModel(config, read_weights(file["model_weights"]), version)


def parse(text: str) -> dict[str, Any]:
    if len(text) > MAX_CONFIG:
        raise BadModel("too_large", f"model_config has {len(text):,} characters; at most {MAX_CONFIG:,} are read")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadModel("malformed", "model_config is not JSON, or nested too deeply") from exc
    if not isinstance(config, dict):
        raise BadModel("malformed", "model_config is not a JSON object")
    return config


def read_text(file: h5py.File, name: str) -> str:
    """Return an attribute that must be one string; an array of them could name one long text many times."""
    attribute = h5py.h5a.open(file.id, name.encode())
    if attribute.shape != () or attribute.dtype.kind not in "OS" or h5py.check_string_dtype(attribute.dtype) is None:
        raise BadModel("malformed", f"the attribute {name} is not a string")
    if attribute.get_storage_size() > MAX_BYTES:
        raise BadModel("too_large", f"the attribute {name} is too long")
    value = file.attrs[name]
    return value.decode("utf-8", "strict") if isinstance(value, bytes) else str(value)


def read_weights(group: h5py.Group) -> dict[str, NDArray[np.float32]]:
    """Return every array below `model_weights` by its path, `<layer>/…/<name>`."""
    return {path: read_array(item) for path, item in walk(group) if isinstance(item, h5py.Dataset)}


def read_array(dataset: h5py.Dataset) -> NDArray[np.float32]:
    if dataset.dtype.kind != "f":
        raise BadModel("unsafe", f"the weight {dataset.name} holds {dataset.dtype}, not floats")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinity, which is refused
        array = np.asarray(dataset[()], np.float32)
    if not np.isfinite(array).all():
        raise BadModel("mismatch", f"the weight {dataset.name} holds NaN or infinity")
    return array


def check(file: h5py.File) -> None:
    """Refuse whatever a plain Keras model doesn't need, before any array is read."""
    total = 0
    for path, item in walk(file):
        if isinstance(item, h5py.Dataset):
            check_dataset(path, item)
            total += declared_bytes(item)
            if total > MAX_BYTES:
                raise BadModel("too_large", f"the arrays declare more than {MAX_BYTES:,} bytes")


def walk(group: h5py.Group) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Yield (path, object) for all that lies below a group. Follows hard links alone, and not for ever."""
    pending = [("", group)]
    seen = 0
    while pending:
        prefix, parent = pending.pop()
        for name in parent:
            seen += 1
            if seen > MAX_OBJECTS:
                raise BadModel("too_large", f"the file holds more than {MAX_OBJECTS:,} objects")
            path = f"{prefix}{name}"
            if len(path) > MAX_PATH:
                raise BadModel("too_large", f"a path has more than {MAX_PATH:,} characters")
            if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
                raise BadModel("unsafe", f"{path} is a soft or external link")
            item = parent[name]
            if not isinstance(item, h5py.Group | h5py.Dataset):
                raise BadModel("unsafe", f"{path} is neither a group nor an array")
            if isinstance(item, h5py.Group):
                pending.append((f"{path}/", item))
            yield path, item


def check_dataset(path: str, dataset: h5py.Dataset) -> None:
    if dataset.is_virtual or dataset.external:
        raise BadModel("unsafe", f"{path} lies outside the file")
    if dataset.shape is None or dataset.dtype.kind not in "fiu":
        raise BadModel("unsafe", f"{path} holds {dataset.dtype}, not numbers")
    if dataset.id.get_create_plist().get_nfilters():
        raise BadModel("unsafe", f"{path} is compressed or otherwise filtered; Keras writes plain arrays")


def declared_bytes(dataset: h5py.Dataset) -> int:
    """Return the bytes that reading a dataset takes, as float32 or more; a chunk is read whole for any part of it."""
    items = max(math.prod(dataset.shape), math.prod(dataset.chunks or ()))
    return int(items) * max(4, int(dataset.dtype.itemsize))
