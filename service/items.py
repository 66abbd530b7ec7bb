"""Find the images in the body of a request.

    body, content type -> pixels, or items: files that are still to be decoded

Each image stands for itself: a bad one is remembered as such and doesn't touch its neighbours. A
body that isn't what its content type says is a `Problem` for the whole request.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.lib import format as npy
from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, parse_options_header

from digits.errors import BadImage
from digits.image import Pixels, Sight
from digits.sizes import SIDE
from service.pieces import Long, elements, parse
from service.problems import Problem

T = TypeVar("T")

ROWS = [SIDE] * SIDE  # lengths
MAX_NPY_HEADER = 256  # bytes; that of pixels has 118, and NumPy takes 35 ms to read 10,000
SHORT = 16 << 10  # bytes of a body that is parsed in less time than it takes to get to a thread and back
MAX_HEADER = 4 << 10  # bytes; to take one of sixty thousand apart would hold the event loop for a tenth of a second
MOST_TYPES = 64  # that are remembered; clients send the same again and again, but for boundaries of multipart
MAX_NAME = 256  # characters of a file name that are repeated in the answer
ACCEPTED = "multipart/form-data, application/json, application/x-npy, application/octet-stream or image/*"


@dataclass(slots=True)
class Images:
    """The images of a request, as far as they could be read."""

    pixels: Pixels  # (n, 28, 28); zeros where an image was refused
    refused: dict[int, BadImage] = field(default_factory=dict)  # by index
    names: Sequence[str | None] = ()  # of the files, if there were any
    sights: list[Sight | None] = field(default_factory=list)  # how their pixels came about; of none, if of arrays

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def wholes(self) -> dict[int, Sight]:
        """The sights of whole pictures, by index, where there are any."""
        return {index: sight.whole for index, sight in enumerate(self.sights) if sight and sight.whole}

    def replace(self, index: int, sight: Sight) -> None:
        self.sights[index], self.pixels[index] = sight, sight.pixels


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a request: a file's bytes, or what is wrong with it."""

    content: bytes | BadImage
    name: str | None = None


Content = Images | list[Item]


class BodyReader(NamedTuple):
    """How to read a kind of body."""

    read: Callable[[bytes], Content]  # counts the images before it makes anything of them
    in_place: bool = False  # without a copy, so that a long body takes no longer than a short one


@lru_cache(MOST_TYPES)
def find_reader(content_type: bytes, max_images: int) -> BodyReader:
    """Return what reads bodies of a Content-Type. Raises `Problem`."""
    if len(content_type) > MAX_HEADER:
        raise Problem(415, "unsupported_media_type", f"a Content-Type may have {MAX_HEADER:,} bytes")
    kind, options = parse_options_header(content_type)
    match kind.decode("latin-1").split("/"):
        case ["multipart", "form-data"] if options.get(b"boundary"):
            return BodyReader(partial(from_multipart, options[b"boundary"], max_images))
        case ["multipart", "form-data"]:
            raise Problem(400, "malformed", "the Content-Type of multipart/form-data must name its boundary")
        case ["application", "json"]:
            return BodyReader(partial(from_json, max_images))
        case ["application", "x-npy"]:
            return BodyReader(partial(from_npy, max_images), in_place=True)
        case ["application", "octet-stream"] | ["image", _]:
            return BodyReader(lambda body: [Item(body)], in_place=True)
    sent = f"not {content_type[:MAX_NAME].decode('latin-1')}" if content_type else "but there is no Content-Type"
    raise Problem(415, "unsupported_media_type", f"send {ACCEPTED}, {sent}")


def check_count(count: int, max_images: int) -> None:
    if count > max_images:
        raise Problem(413, "too_many_images", f"a request may hold at most {max_images:,} images")


# --- multipart/form-data ------------------------------------------------------------------------


def from_multipart(boundary: bytes, max_images: int, body: bytes) -> list[Item]:
    """Read the files in the field `images`."""
    items: list[Item] = []
    ended = False

    def on_file(file: File) -> None:
        check_field(file.field_name)
        check_count(len(items) + 1, max_images)
        file.file_object.seek(0)
        items.append(Item(file.file_object.read(), shorten(file.file_name)))
        file.close()

    def on_field(field: Field) -> None:
        check_field(field.field_name)
        raise Problem(422, "unknown_field", "'images' holds text; curl sends a file with an @: -F images=@seven.png")

    def on_end() -> None:
        nonlocal ended
        ended = True

    memory = {"MAX_MEMORY_FILE_SIZE": len(body)}  # no part needs a temporary file
    try:
        parser = FormParser("multipart/form-data", on_field, on_file, on_end, boundary, config=memory)
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as exc:
        raise Problem(400, "malformed", f"the body is not multipart/form-data: {exc}") from exc
    if not ended:
        raise Problem(400, "malformed", "the body is cut short: its last boundary is missing")
    return items


def check_field(name: bytes | None) -> None:
    if name != b"images":
        raise Problem(422, "unknown_field", "send files, each in a field named 'images', and nothing else")


def shorten(name: bytes | None) -> str | None:
    return name.decode("utf-8", "replace")[:MAX_NAME] if name else None


# --- application/json ---------------------------------------------------------------------------


def from_json(max_images: int, body: bytes) -> Images | list[Item]:
    """Read `{"images": [base64 or data URL, …]}` or `{"pixels": [28 rows of 28 numbers, …]}`."""
    value = parse(body)
    if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= {"images", "pixels"}:
        raise Problem(422, "invalid", 'the body must be {"images": [...]} or {"pixels": [...]}, with nothing else')
    ((field, content),) = value.items()
    if not isinstance(content, list | Long):
        raise Problem(422, "invalid", f"{field!r} must be a list")
    entries = counted(elements(content), max_images)
    if field == "images":
        return [Item(from_base64(entry)) for entry in entries]
    strange = b"u" in body or b"f" in body  # of `true` and `false`; to look for a byte takes no time
    return from_pixels(entries, check=from_strange_rows if strange else from_rows)


def counted(entries: Iterable[T], max_images: int) -> Iterator[T]:
    """Yield entries that are an image each, as long as there are not too many. Raises `Problem`."""
    for count, entry in enumerate(entries, 1):
        check_count(count, max_images)
        yield entry


def from_base64(entry: Any) -> bytes | BadImage:
    """Decode standard base64, with or without `data:image/png;base64,` before it."""
    if not isinstance(entry, str):
        return BadImage("bad_base64", "an image must be a string of base64")
    head, comma, tail = entry.partition(",")
    text = tail if comma and head.startswith("data:") else entry
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return BadImage("bad_base64", "this is neither base64 nor a data URL that holds base64")


def from_pixels(images: Iterable[Any], *, check: Callable[[Any], bytes]) -> Images:
    refused: dict[int, BadImage] = {}
    content: list[bytes] = []
    for index, rows in enumerate(images):
        try:
            content.append(check(rows))
        except BadImage as exc:
            refused[index] = BadImage(exc.code, str(exc))  # another one, for the traceback of this one holds frames
            content.append(bytes(SIDE * SIDE))
    return Images(np.frombuffer(b"".join(content), np.uint8).reshape(-1, SIDE, SIDE), refused)


def from_rows(rows: Any) -> bytes:
    """Return the 784 pixels in 28 rows of 28 whole numbers from 0 to 255. Raises `BadImage`."""
    try:
        return joined(rows)
    except TypeError:
        return from_strange_rows(rows)


def from_strange_rows(rows: Any) -> bytes:
    """Do as `from_rows` does where there may be `true`, `false`, or whole numbers such as 7.0."""
    try:
        return joined([[whole(value) for value in row] for row in rows])
    except TypeError as exc:
        raise BadImage("bad_pixels", f"pixels must be {SIDE} rows of {SIDE} whole numbers from 0 to 255") from exc


def joined(rows: Any) -> bytes:
    """Return the pixels in 28 rows of 28. Raises `TypeError` for what is none, and `BadImage`.

    `bytes` is the quickest judge of whole numbers that there is, but takes booleans for such.
    """
    try:
        if list(map(len, rows)) != ROWS:
            raise TypeError
        return b"".join(map(bytes, rows))
    except (ValueError, OverflowError) as exc:
        raise BadImage("bad_pixels", "a pixel is not between 0 and 255") from exc


def whole(value: Any) -> int:
    """Return a whole number, which JSON may write as 7.0 too. Raises `TypeError`."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise TypeError


# --- application/x-npy --------------------------------------------------------------------------


def from_npy(max_images: int, body: bytes) -> Images:
    """Read an `.npy` file of uint8, one image (28, 28) or several (n, 28, 28)."""
    try:
        array = read_npy(body)
    except BadImage as exc:
        raise Problem(422, "bad_pixels", str(exc)) from exc
    batch = array[np.newaxis] if array.ndim == 2 else array
    if batch.ndim != 3 or batch.shape[1:] != (SIDE, SIDE):
        raise Problem(422, "bad_pixels", f"the array is {array.shape}; send ({SIDE}, {SIDE}) or (n, {SIDE}, {SIDE})")
    check_count(len(batch), max_images)
    return Images(batch)


def read_array(data: bytes) -> Pixels:
    """Return the pixels of an `.npy` file of one image. Raises `BadImage`."""
    array = read_npy(data)
    if array.shape != (SIDE, SIDE):
        raise BadImage("bad_pixels", f"the array is {array.shape}; one image is ({SIDE}, {SIDE})")
    return array


def read_npy(data: bytes) -> Pixels:
    """Return a uint8 array from the bytes of an `.npy` file, without pickle. Raises `BadImage`.

    Format: numpy.lib.format, versions 1.0 and 2.0. The size is checked before anything is allocated.
    """
    file = io.BytesIO(data)
    try:
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(file)]
        shape, fortran_order, dtype = read_header(file, MAX_NPY_HEADER)
    except Exception as exc:  # the header is a Python literal, and NumPy's reader of it raises anything
        raise BadImage("bad_pixels", "the body is not an .npy file of format 1.0 or 2.0") from exc
    if dtype != np.uint8:
        raise BadImage("bad_pixels", f"the array holds {dtype}; pixels are uint8, 0 for paper and 255 for ink")
    content = memoryview(data)[file.tell() :]
    if len(shape) > 3 or any(type(n) is not int or not 0 <= n <= len(data) for n in shape):
        raise BadImage("bad_pixels", "the array has a shape that is not one of images")
    if math.prod(shape) != len(content):
        raise BadImage("bad_pixels", f"the array {shape} needs {math.prod(shape):,} bytes, but {len(content):,} follow")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran_order else "C")
