"""What the protocols of other model servers share: from JSON and numbers to pixels, all of them or none.

    numbers, 0 to 1 or 0 to 255 -> pixels
    pictures                    -> looked at as for `/predict` -> pixels

Such a protocol has no place for what is wrong with one image, so that refuses the request. How
each writes its requests and answers is not for here.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from digits.image import Pixels, Sight
from digits.sizes import SIDE
from service.intake import Intake
from service.items import Images, Item, check_count
from service.looks import DIGIT_LOOK, Allowance, gather
from service.pieces import Long, parse, pieces
from service.problems import Problem

INPUT, PROBABILITIES = "image", "probabilities"  # names of tensors
PIXELS = SIDE * SIDE
MOST_AXES = 8
ROUNDING = 1e-5  # share of the largest, by which floats that were scaled may end beyond it, or below 0
LAYOUTS = ((SIDE, SIDE), (PIXELS,))  # of one image, axes of length 1 aside

Input = Pixels | list[Item]  # (n, 28, 28), or n pictures
Shape = tuple[int, ...]


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body. Raises `Problem`."""
    value = parse(body)
    if not isinstance(value, dict):
        raise Problem(422, "invalid", "the JSON of a request is an object")
    return value


def to_numbers(values: list[Any] | Long, check: Callable[[int], None]) -> tuple[NDArray[np.float64], Shape]:
    """Return the numbers in nested lists of equal lengths, and their shape. Raises `Problem`.

    `check` is told how many elements the outermost list has at least, before anything is made of these.
    """
    parts, shapes = zip(*map(numbers_of, checked(pieces(values), check)), strict=True)
    if len({shape[1:] for shape in shapes}) > 1:
        raise uneven(1)
    return np.concatenate(parts) if len(parts) > 1 else parts[0], (sum(shape[0] for shape in shapes), *shapes[0][1:])


def checked(lists: Iterable[list[Any]], check: Callable[[int], None]) -> Iterator[list[Any]]:
    count = 0
    for some in lists:
        count += len(some)
        check(count)
        yield some


def numbers_of(values: list[Any]) -> tuple[NDArray[np.float64], Shape]:
    leaves, shape = unnest(values)
    return as_array(leaves), shape


def unnest(value: list[Any]) -> tuple[list[Any], Shape]:
    """Return what is in nested lists of equal lengths, and their shape. Raises `Problem`."""
    shape = [len(value)]
    while value and type(value[0]) is list:
        if len(shape) >= MOST_AXES:
            raise Problem(422, "invalid", f"Encountered list at unexpected level: {len(shape)}, deeper than any image")
        if set(map(type, value)) != {list} or len(lengths := set(map(len, value))) != 1:
            raise uneven(len(shape))
        shape += lengths
        value = list(chain.from_iterable(value))
    return value, tuple(shape)


def uneven(level: int) -> Problem:
    return Problem(422, "invalid", f"Encountered list at unexpected size: lists at level {level} differ")


def as_array(values: list[Any]) -> NDArray[np.float64]:
    """Return what must all be numbers, and not true or false, as an array. Raises `Problem`."""
    kinds = set(map(type, values)) - {int, float}
    if kinds:
        raise Problem(422, "bad_pixels", f"pixels are numbers, not {kinds.pop().__name__}")
    try:
        return np.frombuffer(array("d", values), np.float64)
    except OverflowError as exc:
        raise Problem(422, "bad_pixels", "a number is too large") from exc


def count_images(shape: Sequence[int], max_images: int) -> int:
    """Return n for (n, 28, 28), (n, 28, 28, 1), (n, 1, 28, 28), (n, 784) and the like. Raises `Problem`."""
    if not shape or tuple(size for size in shape[1:] if size != 1) not in LAYOUTS:
        expected = "[n,28,28], [n,28,28,1] or [n,784]"
        raise Problem(422, "bad_pixels", f"unexpected shape {list(shape)} of images; expected {expected}")
    check_count(shape[0], max_images)
    return shape[0]


def to_pixels(numbers: NDArray[Any]) -> Pixels:
    """Return n x 784 numbers as pixels, (n, 28, 28), rounded to their 256 levels. Raises `Problem`.

    Ink is 1 where no number is larger, as networks of Keras have it, and otherwise 255.
    All numbers of a tensor decide that together.
    """
    if numbers.dtype == np.uint8 or not numbers.size:
        return numbers.astype(np.uint8, copy=False).reshape(-1, SIDE, SIDE)
    low, high = float(numbers.min()), float(numbers.max())  # NaN, if there is one, which compares with nothing
    if not (low >= -ROUNDING and high <= 255 * (1 + ROUNDING)):
        raise Problem(422, "bad_pixels", f"pixels lie between 0 and 1, or 0 and 255; these from {low:g} to {high:g}")
    if 1 + ROUNDING < high < 2:  # rather overshoot of the one than the faintest ink of the other
        raise Problem(422, "bad_pixels", f"the largest pixel is {high:g}; send 0 to 1, or 0 to 255")
    levels: Pixels = np.rint(numbers * (255 if high < 2 else 1)).astype(np.uint8)
    return levels.reshape(-1, SIDE, SIDE)


async def decode(intake: Intake, request: Request, contents: Sequence[Input]) -> Images:
    """Return all images, in order. Raises `Problem` for one that can't be read."""
    batches, sights, allowance = list[Pixels](), list[Sight | None](), Allowance()
    for content in contents:
        if isinstance(content, list):
            images = await decode_pictures(intake, request, content, len(sights), allowance)
            batches.append(images.pixels)
            sights += images.sights
        else:
            batches.append(content)
            sights += [None] * len(content)
    return Images(batches[0] if len(batches) == 1 else np.concatenate(batches), sights=sights)


async def decode_pictures(
    intake: Intake, request: Request, items: list[Item], first: int, allowance: Allowance
) -> Images:
    images = gather(items, await intake.look(request, items, DIGIT_LOOK, allowance))
    if images.refused:
        index, why = min(images.refused.items())
        raise Problem(422, "invalid", f"image {first + index}: {why} ({why.code})")
    return images


def json_response(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
