"""Find the images in the body of a request.

    body, content type -> pixels, or items: files that are still to be decoded

Each image stands for itself: a bad one is remembered as such and doesn't touch its neighbours. A
body that isn't what its content type says is a `Problem` for the whole request.
"""

from __future__ import annotations

import base64
import io
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.lib import format as npy
from PIL.Image import Image
from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, parse_options_header

from digits import image
from digits.decode import MAX_PIXELS, identify
from digits.errors import BadImage
from digits.image import SIDE, Pixels, Sight
from digits.plain import is_plain
from service.pieces import Long, elements, parse
from service.problems import Problem

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

logger = logging.getLogger("uvicorn.error")

ROWS = [SIDE] * SIDE  # lengths
NPY_MAGIC = b"\x93NUMPY"
SHORT = 16 << 10  # bytes of a body that is parsed in less time than it takes to get to a thread and back
LARGE = 1 << 21  # pixels; decoding more than these two million takes tens of milliseconds and megabytes
FREE = 1 << 18  # pixels; a picture that has no more is not counted, since the number of images is bounded too
MOST_PIXELS = 16 * MAX_PIXELS  # in the others of a request: as ten megabytes of photos have, read in half a minute
MAX_HEADER = 4 << 10  # bytes; to take one of sixty thousand apart would hold the event loop for a tenth of a second
MAX_NAME = 256  # characters of a file name that are repeated in the answer
ACCEPTED = "multipart/form-data, application/json, application/x-npy, application/octet-stream or image/*"


@dataclass(slots=True)
class Images:
    """The images of a request, as far as they could be read."""

    pixels: Pixels  # (n, 28, 28); zeros where an image was refused
    refused: dict[int, BadImage] = field(default_factory=dict)  # by index
    names: Sequence[str | None] = ()  # of the files, if there were any
    sights: Sequence[Sight | None] = ()  # how their pixels came about

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True, slots=True)
class Look(Generic[T_co]):
    """How to decode a file: in full, or by a shortcut for files recognised from their bytes."""

    whole: Callable[[Image], T_co]  # of a picture that was identified, but not decoded; raises `BadImage`
    short: Callable[[bytes], T_co | None] = lambda data: None  # likewise
    is_short: Callable[[bytes], bool] = lambda data: False  # and takes no longer than a visit to a thread
    is_slow: bool = False  # tens of milliseconds and more, in threads that nothing else waits for


@dataclass(frozen=True, slots=True)
class Deferred:
    """A picture that is not decoded yet. Nothing of it is held: some decoders keep all of a canvas from the first."""

    pixels: int


@dataclass(slots=True)
class Allowance:
    """How many pixels the pictures of a request may have together: a few bytes can declare millions of them."""

    pixels: int = MOST_PIXELS

    def refuse(self, picture: Deferred) -> BadImage | None:
        """Say that a picture is too much for what is left, or take its pixels off that, whatever it turns out to be."""
        if picture.pixels > self.pixels:
            return BadImage(
                "too_large", f"the pictures of a request may have {MOST_PIXELS:,} pixels; send fewer at once"
            )
        self.pixels -= picture.pixels
        return None


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a request: a file's bytes, or what is wrong with it."""

    content: bytes | BadImage
    name: str | None = None

    def is_quick(self, look: Look[Any]) -> bool:
        """Tell whether looking at it takes no longer than a visit to a thread."""
        return not isinstance(self.content, bytes) or look.is_short(self.content)

    def seen(self, look: Look[T]) -> T | BadImage | Deferred:
        """Look at it, unless it is a picture that counts."""
        return outcome(look_at, self.content, look) if isinstance(self.content, bytes) else self.content

    def seen_at_last(self, look: Look[T]) -> T | BadImage:
        """Look at it, however large it is."""
        return outcome(look_anyway, self.content, look) if isinstance(self.content, bytes) else self.content


def look_at(data: bytes, look: Look[T]) -> T | Deferred:
    """Look at a picture, or defer it if it counts. Raises `BadImage`."""
    if (seen := look.short(data)) is not None:
        return seen
    picture = identify(data)
    pixels = picture.width * picture.height
    return look.whole(picture) if pixels <= FREE else Deferred(pixels)


def look_anyway(data: bytes, look: Look[T]) -> T:
    seen = look.short(data)
    return look.whole(identify(data)) if seen is None else seen


def outcome(see: Callable[..., T], *arguments: Any) -> T | BadImage:
    """Return what is seen of an image, or why it cannot be."""
    try:
        return see(*arguments)
    except BadImage as exc:
        return BadImage(exc.code, str(exc))  # another one, for the traceback of this one holds the picture
    except Exception:  # a defect of ours: for the log, and for this image, but not for its neighbours
        logger.exception("an image could not be decoded")
        return BadImage("broken", "the image could not be decoded")


def gather(items: Sequence[Item], outcomes: Sequence[Sight | BadImage]) -> Images:
    """Put what was decoded into one array."""
    sights = [None if isinstance(outcome, BadImage) else outcome for outcome in outcomes]
    images = Images(np.zeros((len(items), SIDE, SIDE), np.uint8), names=[item.name for item in items], sights=sights)
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, BadImage):
            images.refused[index] = outcome
        else:
            images.pixels[index] = outcome.pixels
    return images


def see_short(data: bytes) -> Sight | None:
    """Look at an array, or at a plain PNG of 28x28 pixels. Raises `BadImage`."""
    return Sight(read_array(data), unchanged=True) if data.startswith(NPY_MAGIC) else image.see_plain(data)


def read_array(data: bytes) -> Pixels:
    """Return the pixels of an `.npy` file of one image. Raises `BadImage`."""
    array = read_npy(data)
    if array.shape != (SIDE, SIDE):
        raise BadImage("bad_pixels", f"the array is {array.shape}; one image is ({SIDE}, {SIDE})")
    return array


DIGIT_LOOK = Look(image.see, see_short, is_plain)


Content = Images | list[Item]


class BodyReader(NamedTuple):
    """How to read a kind of body."""

    read: Callable[[bytes], Content]  # counts the images before it makes anything of them
    in_place: bool = False  # without a copy, so that a long body takes no longer than a short one


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


def prefers_npy(accept: bytes) -> bool:
    """Tell whether an `Accept` names `application/x-npy`, and JSON no sooner (RFC 9110, section 12.5.1).

    One that is longer than any client's is as good as none.
    """
    if len(accept) > MAX_HEADER or b"application/x-npy" not in accept.lower():
        return False
    qualities = dict(map(quality, accept.decode("latin-1").lower().split(",")))
    return qualities.get("application/x-npy", 0.0) >= max(qualities.get("application/json", 0.0), 0.001)


def quality(preference: str) -> tuple[str, float]:
    """Return the media type and the weight, 1 by default, in a part of an `Accept`."""
    kind, *parameters = (word.strip() for word in preference.split(";"))
    weight = next((word[2:] for word in parameters if word.startswith("q=")), "1")
    return kind, float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight) else 0.0


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


def read_npy(data: bytes) -> Pixels:
    """Return a uint8 array from the bytes of an `.npy` file, without pickle. Raises `BadImage`.

    Format: numpy.lib.format, versions 1.0 and 2.0. The size is checked before anything is allocated.
    """
    file = io.BytesIO(data)
    try:
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(file)]
        shape, fortran_order, dtype = read_header(file)
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
