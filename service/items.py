"""Find the images in the body of a request.

    body, content type -> items -> pixels, or what is wrong with each

Each item stands for itself: a bad one is remembered as such and doesn't touch its neighbours. A
body that isn't what its content type says is a `Problem` for the whole request.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
from fastapi import Request
from numpy.lib import format as npy
from PIL.Image import Image
from pydantic_core import from_json
from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, parse_options_header

from digits import image
from digits.decode import decode, identify
from digits.errors import BadImage
from digits.image import SIDE, Pixels
from service.errors import Problem

T = TypeVar("T")

logger = logging.getLogger("uvicorn.error")

NPY_MAGIC = b"\x93NUMPY"
LARGE = 1 << 21  # pixels; decoding more than these two million takes tens of milliseconds and megabytes
BODY_SECONDS = 60.0  # until a body must have arrived
MAX_NAME = 256  # characters of a file name that are repeated in the answer
ACCEPTED = "multipart/form-data, application/json, application/x-npy, application/octet-stream or image/*"


class InThread(Protocol):
    """Runs a function with its arguments off the event loop."""

    def __call__(self, function: Callable[..., T], *arguments: Any) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a request: a file's bytes, or pixels, or what is wrong with it."""

    content: bytes | Pixels | BadImage
    name: str | None = None

    def pixels(self) -> Pixels | BadImage | Image:
        """Decode what has to be decoded, but leave a large picture as it is; meant for a thread."""
        if not isinstance(self.content, bytes):
            return self.content
        try:
            return read_array(self.content) if self.content.startswith(NPY_MAGIC) else read_small(self.content)
        except BadImage as exc:
            return exc
        except Exception:  # a defect of ours: for the log, and for this image, but not for its neighbours
            logger.exception("an image could not be decoded")
            return BadImage("broken", "the image could not be decoded")


def read_array(data: bytes) -> Pixels:
    """Return the pixels of an `.npy` file of one image. Raises `BadImage`."""
    array = read_npy(data)
    if array.shape != (SIDE, SIDE):
        raise BadImage("bad_pixels", f"the array is {array.shape}; one image is ({SIDE}, {SIDE})")
    return array


def read_small(data: bytes) -> Pixels | Image:
    """Return the pixels of a picture, or the picture itself if it is large. Raises `BadImage`."""
    picture = identify(data)
    large = picture.width * picture.height > LARGE
    return picture if large else image.normalise(decode(picture))


def decode_large(picture: Image) -> Pixels | BadImage:
    """Decode what `Item.pixels` left; a few of these at once would take gigabytes."""
    try:
        return image.normalise(decode(picture))
    except BadImage as exc:
        return exc
    except Exception:  # as above
        logger.exception("a large image could not be decoded")
        return BadImage("broken", "the image could not be decoded")


async def read_items(request: Request, in_thread: InThread, *, max_images: int) -> list[Item]:
    """Return the images of a request, at least one. Raises `Problem`."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "unsupported_encoding", "send the body as it is, without Content-Encoding")
    reader = find_reader(request.headers.get("content-type", ""), max_images)
    body = await read_body(request)
    if not body:
        raise Problem(400, "empty_body", "the request has no body")
    items = await in_thread(reader, body)
    if not items:
        raise Problem(422, "no_images", "the request holds no image")
    return items


async def read_body(request: Request, seconds: float = BODY_SECONDS) -> bytes:
    """Return the whole body, if it arrives in time. Raises `Problem`."""
    try:
        async with asyncio.timeout(seconds):
            return await request.body()
    except TimeoutError as exc:
        raise Problem(408, "timeout", f"the body did not arrive within {seconds:g} s") from exc


def find_reader(content_type: str, max_images: int) -> Callable[[bytes], list[Item]]:
    """Return the function for a kind of body; each counts the images before it makes anything of them."""
    kind, options = parse_options_header(content_type)
    match kind.decode("latin-1").split("/"):
        case ["multipart", "form-data"] if options.get(b"boundary"):
            return partial(from_multipart, options[b"boundary"], max_images)
        case ["multipart", "form-data"]:
            raise Problem(400, "malformed", "the Content-Type of multipart/form-data must name its boundary")
        case ["application", "json"]:
            return partial(from_json_body, max_images)
        case ["application", "x-npy"]:
            return partial(from_npy, max_images)
        case ["application", "octet-stream"] | ["image", _]:
            return lambda body: [Item(body)]
    sent = f"not {content_type[:MAX_NAME]}" if content_type else "but there is no Content-Type"
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
        check_field(None)

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


def from_json_body(max_images: int, body: bytes) -> list[Item]:
    """Read `{"images": [base64 or data URL, …]}` or `{"pixels": [28 rows of 28 numbers, …]}`."""
    check_brackets(body, max_images)
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise Problem(400, "malformed", f"the body is not JSON: {exc}") from exc
    if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= {"images", "pixels"}:
        raise Problem(422, "invalid", 'the body must be {"images": [...]} or {"pixels": [...]}, with nothing else')
    ((field, content),) = value.items()
    if not isinstance(content, list):
        raise Problem(422, "invalid", f"{field!r} must be a list")
    check_count(len(content), max_images)
    return [Item(from_base64(entry) if field == "images" else from_rows(entry)) for entry in content]


def check_brackets(body: bytes, max_images: int) -> None:
    """Refuse more lists or strings than so many images have, before a parser makes objects of them.

    Parsing holds the interpreter's lock, and millions of empty lists take a second.
    """
    lists, strings = body.count(b"[") + body.count(b"{"), body.count(b'"') // 2
    check_count(max(lists // (SIDE + 2), strings - 1), max_images)  # 29 lists an image, or one string; and the name


def from_base64(entry: Any) -> bytes | BadImage:
    """Decode standard base64, with or without `data:image/png;base64,` before it."""
    if not isinstance(entry, str):
        return BadImage("bad_base64", "an image must be a string of base64")
    head, comma, tail = entry.partition(",")
    text = tail if comma and head.startswith("data:") else entry
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return BadImage("bad_base64", "this is neither base64 nor a data URL that holds base64")


def from_rows(entry: Any) -> Pixels | BadImage:
    """Check 28 rows of 28 whole numbers from 0 to 255."""
    if not isinstance(entry, list) or len(entry) != SIDE:
        return BadImage("bad_pixels", f"pixels must be {SIDE} rows of {SIDE} whole numbers from 0 to 255")
    for row in entry:
        if not isinstance(row, list) or len(row) != SIDE or not all(type(value) is int for value in row):
            return BadImage("bad_pixels", f"each row must have {SIDE} whole numbers from 0 to 255")
    try:
        return np.array(entry, np.uint8)
    except OverflowError:
        return BadImage("bad_pixels", "a pixel is not between 0 and 255")


# --- application/x-npy --------------------------------------------------------------------------


def from_npy(max_images: int, body: bytes) -> list[Item]:
    """Read an `.npy` file of uint8, one image (28, 28) or several (n, 28, 28)."""
    try:
        array = read_npy(body)
    except BadImage as exc:
        raise Problem(422, "bad_pixels", str(exc)) from exc
    batch = array[np.newaxis] if array.ndim == 2 else array
    if batch.ndim != 3 or batch.shape[1:] != (SIDE, SIDE):
        raise Problem(422, "bad_pixels", f"the array is {array.shape}; send ({SIDE}, {SIDE}) or (n, {SIDE}, {SIDE})")
    check_count(len(batch), max_images)
    return [Item(pixels) for pixels in batch]


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
