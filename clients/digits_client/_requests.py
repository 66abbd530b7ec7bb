"""What is asked, as values: images and wishes to requests of a size that a service takes. Nothing is sent here.

    images -> chunks -> parts -> requests

A *chunk* is images as they were given, some hundred at most, and of a few megabytes at most where that can be told. A
*part* is what one request holds: pixels as an array, or files, which are read and encoded only now.
"""

from __future__ import annotations

import operator
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from digits_client._answers import Answer, Box, Prediction, Reading, read_predictions, read_readings, read_rows
from digits_client._images import (
    SIDE,
    as_uint8,
    encode,
    encode_picture,
    held,
    is_one,
    is_stack,
    name,
    npy,
    spread,
    spread_files,
)

T = TypeVar("T")

MOST_IMAGES = 256  # in a request: the service answers more of them no faster, and less is lost when one fails
MOST_PAGES = 4  # in a request to read them; a photo of a page takes a second or two, and a wait is 30 s by default
MOST_BYTES = 4 << 20  # of files in a request, unless one alone has more; a service takes 10 MiB by default
JSON, NPY = "application/json", "application/x-npy"

Spread = Callable[[Any], Iterator[Any]]  # an entry of many images to its images
File = tuple[str, bytes]  # name and content


@dataclass(frozen=True, slots=True)
class Request:
    """What one HTTP request needs: the arguments of `httpx.Client.stream`."""

    method: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some of the images of a call, of which the first is number `start`."""

    images: Sequence[Any] | NDArray[Any]
    start: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What goes into one request: uint8 (n, 28, 28), or n files; and the names that their answers get."""

    content: NDArray[np.uint8] | list[File]
    names: list[str | None]
    start: int

    def halves(self) -> tuple[Part, Part]:
        half = len(self.names) // 2
        return (
            Part(self.content[:half], self.names[:half], self.start),
            Part(self.content[half:], self.names[half:], self.start + half),
        )


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """What is asked of each image, and how its answer is read."""

    path: str
    params: Mapping[str, str | list[str]]
    are_many: Callable[[Any], bool]  # or is it one image?
    spread: Spread
    encoded: Callable[[Chunk], Iterator[Part]]
    read: Callable[[Answer, Sequence[str | None], int], list[T]]
    accept: str = JSON
    deadline: float | None = None  # seconds for all of it
    most: int = MOST_IMAGES  # in a request

    def request(self, part: Part) -> Request:
        headers = {"accept": self.accept}
        if isinstance(part.content, np.ndarray):
            body = {"content": npy(part.content), "headers": headers | {"content-type": NPY}}
        else:
            body = {"files": [("images", file) for file in part.content], "headers": headers}
        return Request("POST", self.path, body | {"params": self.params})


def predict_call(
    *, explain: bool = False, threshold: float | None = None, deadline: float | None = None
) -> Call[Prediction]:
    params = {"explain": "true"} if explain else {}
    params |= {} if threshold is None else {"threshold": str(float(threshold))}
    return Call("predict", params, are_many, spread, predict_parts, read_predictions, JSON, deadline)


def rows_call(deadline: float | None) -> Call[NDArray[np.float32]]:
    """Ask for probabilities and nothing else."""
    return Call("predict", {}, are_many, spread, predict_parts, read_rows, NPY, deadline)


def read_call(
    *,
    expect: int | None = None,
    pattern: str | None = None,
    boxes: Sequence[Box] = (),
    threshold: float | None = None,
    deadline: float | None = None,
) -> Call[Reading]:
    given = {"expect": expect, "pattern": pattern, "threshold": None if threshold is None else float(threshold)}
    params: dict[str, str | list[str]] = {key: str(value) for key, value in given.items() if value is not None}
    params |= {"boxes": [as_text(box) for box in boxes]} if len(boxes) else {}
    return Call("read", params, are_pictures, spread_files, read_parts, read_readings, JSON, deadline, MOST_PAGES)


def are_many(images: object) -> bool:
    """Tell images from one: an array of (n, 28, 28) is n, and what can be iterated over."""
    return is_stack(images) if isinstance(images, np.ndarray) else are_pictures(images)


def are_pictures(images: object) -> bool:
    """Tell pictures from one, which any array is."""
    return isinstance(images, Iterable | AsyncIterable) and not isinstance(images, np.ndarray) and not is_one(images)


def as_text(box: Box) -> str:
    """Return a box as the service reads it. Raises `ValueError` for what is not four whole numbers."""
    try:
        left, top, width, height = map(operator.index, box)
    except (TypeError, ValueError) as exc:
        raise ValueError(
            f"boxes are a list of (left, top, width, height), four whole numbers each, and not of {box!r}"
        ) from exc
    return f"{left},{top},{width},{height}"


# --- chunks -------------------------------------------------------------------------------------


async def chunks(entries: AsyncGenerator[Any, None], spread: Spread, most: int) -> AsyncGenerator[Chunk, None]:
    """Gather the images of entries, no more at a time than one request or a few will hold."""
    start, size, some = 0, 0, list[Any]()
    async with aclosing(entries):
        async for entry in entries:
            for image in spread(entry):
                if some and (len(some) == most or size + held(image) > MOST_BYTES):
                    yield Chunk(some, start)
                    start, size, some = start + len(some), 0, []
                some.append(image)
                size += held(image)
    if some:
        yield Chunk(some, start)


async def slices(pixels: NDArray[Any]) -> AsyncGenerator[Chunk, None]:
    """Cut (n, 28, 28) into chunks without a look at each image. Raises `ValueError` for what are no pixels."""
    pixels = as_uint8(pixels)
    for start in range(0, len(pixels), MOST_IMAGES):
        yield Chunk(pixels[start : start + MOST_IMAGES], start)


# --- parts --------------------------------------------------------------------------------------


def predict_parts(chunk: Chunk) -> Iterator[Part]:
    """Raises `OSError`, `ValueError` and `TypeError` for what is no image."""
    pixels = stacked(chunk.images)
    if pixels is None:
        yield from as_files(chunk, encode)
    else:
        yield Part(pixels, [None] * len(pixels), chunk.start)


def read_parts(chunk: Chunk) -> Iterator[Part]:
    """Raises `OSError`, `ValueError` and `TypeError` for what is no picture."""
    return as_files(chunk, encode_picture)


def stacked(images: Sequence[Any] | NDArray[Any]) -> NDArray[np.uint8] | None:
    """Return uint8 (n, 28, 28) if that is what the images are, or nothing but (28, 28) arrays are."""
    if isinstance(images, np.ndarray):
        return as_uint8(images)
    if not all(isinstance(image, np.ndarray) for image in images):
        return None
    arrays = [as_uint8(image) for image in images]
    return np.stack(arrays) if all(array.shape == (SIDE, SIDE) for array in arrays) else None


def as_files(chunk: Chunk, encoded: Callable[[object], bytes]) -> Iterator[Part]:
    """Read and encode images, and yield them as soon as they are enough for a request."""
    part, size = Part([], [], chunk.start), 0
    for index, image in enumerate(chunk.images, chunk.start):
        file = sent_name(image, index), encoded(image)
        if part.names and size + len(file[1]) > MOST_BYTES:
            yield part
            part, size = Part([], [], index), 0
        part.content.append(file)  # type: ignore[union-attr]
        part.names.append(name(image))
        size += len(file[1])
    yield part


def sent_name(image: object, index: int) -> str:
    """Return what a file is called on its way; a name that isn't UTF-8 on disk is so here."""
    return (name(image) or f"image-{index}").encode("utf-8", "replace").decode()
