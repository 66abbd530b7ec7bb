"""From what a caller has to what goes over the wire; knows nothing of HTTP clients or answers.

Arrays of shape (28, 28) or (n, 28, 28) are taken for pixels as a network reads them, ink bright,
and travel as they are. Everything else is a picture, which the service crops, scales and centres.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

SIDE = 28
PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}  # of Pillow; the others fit into a TIFF


@runtime_checkable
class PillowImage(Protocol):
    """What is used of `PIL.Image.Image`; Pillow itself isn't needed."""

    @property
    def mode(self) -> str: ...

    def save(self, fp: Any, format: str) -> None: ...


OneImage = str | os.PathLike[str] | bytes | bytearray | memoryview | PillowImage
ImageLike = OneImage | NDArray[Any]


def name(image: object) -> str | None:
    """Return the name of a file, which its prediction will have too; other images have none."""
    return Path(image).name if isinstance(image, str | os.PathLike) else None


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
            return Path(image).read_bytes()
    if isinstance(image, PillowImage):
        file = io.BytesIO()
        image.save(file, "PNG" if image.mode in PNG_MODES else "TIFF")
        return file.getvalue()
    kind = type(image).__name__
    raise TypeError(f"an image is a path, bytes, a NumPy array or a Pillow image, and several are a list; not {kind}")


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
