"""Look at the items of a request: pictures, arrays, and what is wrong with them already.

    items -> looked at -> what a look makes of each, or why it makes nothing

Small pictures are decoded at once, large ones are deferred until their turn. How many visits to
which threads that takes is for `service.intake`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from PIL.Image import Image

from digits import image
from digits.decode import MAX_PIXELS, identify
from digits.errors import BadImage
from digits.image import Sight
from digits.plain import is_plain
from digits.sizes import SIDE
from service.items import Images, Item, read_array

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

logger = logging.getLogger("uvicorn.error")

NPY_MAGIC = b"\x93NUMPY"
LARGE = 1 << 21  # pixels; decoding more than these two million takes tens of milliseconds and megabytes
FREE = 1 << 18  # pixels; a picture that has no more is not counted, since the number of images is bounded too
MOST_PIXELS = 16 * MAX_PIXELS  # in all that are counted: as ten megabytes of photos have, decoded in half a minute


@dataclass(frozen=True, slots=True)
class Look(Generic[T_co]):
    """How to decode a file: in full, or by a shortcut for files recognised from their bytes."""

    whole: Callable[[Image], T_co]  # of a picture that was identified, but not decoded; raises `BadImage`
    short: Callable[[bytes], T_co | None] = lambda data: None  # None if it takes the whole picture; raises `BadImage`
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


def is_quick(item: Item, look: Look[Any]) -> bool:
    """Tell whether looking at an item takes no longer than a visit to a thread."""
    return not isinstance(item.content, bytes) or look.is_short(item.content)


def see(item: Item, look: Look[T]) -> T | BadImage | Deferred:
    """Look at an item, unless it is a picture that counts."""
    return outcome(look_at, item.content, look) if isinstance(item.content, bytes) else item.content


def see_at_last(item: Item, look: Look[T]) -> T | BadImage:
    """Look at an item, however large it is."""
    return outcome(look_anyway, item.content, look) if isinstance(item.content, bytes) else item.content


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


def outcome(act: Callable[..., T], *arguments: Any) -> T | BadImage:
    """Return what is seen of an image, or why it cannot be."""
    try:
        return act(*arguments)
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
    return image.as_given(read_array(data)) if data.startswith(NPY_MAGIC) else image.see_plain(data)


DIGIT_LOOK = Look(image.see, see_short, is_plain)
