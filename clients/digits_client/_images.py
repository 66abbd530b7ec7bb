"""From what a caller has to what goes over the wire; knows nothing of HTTP clients or answers.

Arrays of shape (28, 28) or (n, 28, 28) are taken for pixels as a network reads them, ink bright,
and travel as they are. Everything else is a picture, which the service crops, scales and centres.
"""

from __future__ import annotations

import errno
import glob
import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

SIDE = 28
PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}  # of Pillow; the others fit into a TIFF
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".npy"}


@runtime_checkable
class PillowImage(Protocol):
    """What is used of `PIL.Image.Image`; Pillow itself isn't needed."""

    @property
    def mode(self) -> str: ...

    @property
    def size(self) -> tuple[int, int]: ...

    def save(self, fp: Any, format: str) -> None: ...


@runtime_checkable
class BinaryFile(Protocol):
    """What is used of a file that was opened with `"rb"`, and of what else can be read."""

    def read(self, size: int = ..., /) -> bytes: ...


OneImage = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | PillowImage
ImageLike = OneImage | NDArray[Any]


def is_one(image: object) -> bool:
    """Tell an image from several; an array is for the caller to judge."""
    return isinstance(image, str | os.PathLike | bytes | bytearray | memoryview | BinaryFile | PillowImage)


def is_stack(image: object) -> bool:
    """Tell whether this is an array of (n, 28, 28) or (n, 28, 28, 1)."""
    return isinstance(image, np.ndarray) and image.shape[1:] in {(SIDE, SIDE), (SIDE, SIDE, 1)}


def spread(entry: Any) -> Iterator[Any]:
    """Yield the images that an entry of a list stands for: one, or all of a folder, a pattern or (n, 28, 28).

    Raises `OSError` where there are none.
    """
    if is_stack(entry):
        yield from entry
    else:
        yield from spread_files(entry)


def spread_files(entry: Any) -> Iterator[Any]:
    """Do as `spread` does where an array is one picture."""
    if isinstance(entry, str | os.PathLike):
        yield from find(os.fspath(entry))
    else:
        yield entry


def find(path: str) -> list[str]:
    """Return the files that a path, a folder or a pattern stands for, in the order of their names. Raises `OSError`.

    A folder stands for the images in it, by their suffixes, and a pattern for the files that match, whatever they are.
    """
    if Path(path).is_dir():
        found = [entry.path for entry in os.scandir(path) if is_image(entry.name) and entry.is_file()]
    elif glob.has_magic(path) and not Path(path).exists():
        matches = glob.iglob(path, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute patterns
        found = [match for match in matches if Path(match).is_file()]
    else:
        return [path]  # which need not be there yet
    if not found:
        raise FileNotFoundError(errno.ENOENT, "there is no image here", path)
    return sorted(found)


def is_image(path: str) -> bool:
    """Tell by its name whether a file is an image; ._1.png, which a Mac lays beside 1.png, is none."""
    return Path(path).suffix.lower() in SUFFIXES and not Path(path).name.startswith(".")


def name(image: object) -> str | None:
    """Return the name of a file, which its prediction will have too; other images have none."""
    path = getattr(image, "name", None) if isinstance(image, io.IOBase) else image
    return Path(path).name if isinstance(path, str | os.PathLike) else None


def held(image: object) -> int:
    """Return how many bytes of memory an image takes before it is sent, as far as one can tell."""
    if isinstance(image, bytes | bytearray):
        return len(image)
    if isinstance(image, memoryview | np.ndarray):
        return image.nbytes
    if isinstance(image, PillowImage):
        width, height = image.size
        return 4 * width * height
    return 0


def encode(image: object) -> bytes:
    """Return an image as a file for `/predict`. Raises `OSError`, `ValueError` and `TypeError`."""
    if isinstance(image, np.ndarray) and (array := as_uint8(image)).shape == (SIDE, SIDE):
        return npy(array)
    return encode_picture(image)


def encode_picture(image: object) -> bytes:
    """Return an image as a picture, whatever its size. Raises `OSError`, `ValueError` and `TypeError`."""
    match image:
        case bytes() | bytearray() | memoryview():
            return bytes(image)
        case np.ndarray():
            return png(as_uint8(image))
        case str() | os.PathLike():
            return read_file(os.fspath(image))
    if isinstance(image, PillowImage):
        file = io.BytesIO()
        image.save(file, "PNG" if image.mode in PNG_MODES else "TIFF")
        return file.getvalue()
    if isinstance(image, BinaryFile) and isinstance(content := image.read(), bytes):
        return content
    kind = type(image).__name__
    raise TypeError(
        "an image is a path, bytes, a file opened in binary mode, a NumPy array or a Pillow image, and several are a "
        f"list; not {kind}"
    )


def read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except IsADirectoryError as exc:
        raise IsADirectoryError(exc.errno, "this is a folder; in a list it stands for the images in it", path) from exc
    except FileNotFoundError as exc:
        advice = "; in a list a pattern stands for all that match" if glob.has_magic(path) else ""
        raise FileNotFoundError(exc.errno, f"no such file{advice}", path) from exc


def as_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return values of 0 to 255, of floats in 0 to 1 or of any whole numbers in 0 to 255; (h, w, 1) becomes (h, w)."""
    array = array[..., 0] if array.ndim >= 3 and array.shape[-1] == 1 else array
    if array.dtype.kind == "b":
        return np.asarray(np.where(array, 255, 0), np.uint8)
    if array.dtype == np.uint8 or array.size == 0:
        return np.asarray(array, np.uint8)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"an array of {array.dtype} is no image: use whole numbers 0 to 255, or floats 0 to 1")
    low, high = array.min(), array.max()
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.asarray(np.rint(array * 255), np.uint8)
    if array.dtype.kind != "f" and low >= 0 and high <= 255:
        return np.asarray(array, np.uint8)
    raise ValueError(f"an array of {array.dtype} from {low} to {high}: use whole numbers 0 to 255, or floats 0 to 1")


def npy(array: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def png(array: NDArray[np.uint8]) -> bytes:
    """Encode an (h, w) array as a grey PNG, (h, w, 3) as RGB, (h, w, 4) as RGBA; W3C PNG, third edition."""
    colour = {2: 0, 3: {3: 2, 4: 6}.get(array.shape[-1])}.get(array.ndim)
    if colour is None or 0 in array.shape:
        raise ValueError(f"an array of shape {array.shape} is no image: use (h, w), (h, w, 3) or (h, w, 4)")
    height, width = array.shape[:2]
    rows = np.zeros((height, 1 + array[0].size), np.uint8)  # each row begins with filter type 0
    rows[:, 1:] = array.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
