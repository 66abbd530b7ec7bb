"""Draw what was read into a picture. Needs Pillow, which nothing else of this library does."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from digits_client._answers import Line, Reading
from digits_client._images import ImageLike, encode_picture

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

LINE, DIGIT = (30, 90, 200), (220, 60, 20)


def annotate(picture: ImageLike, reading: Reading, out: str | os.PathLike[str]) -> None:
    """Save a picture, given as to `read`, with the boxes of its lines and digits, and the text of each line above it.

    The suffix of `out` says in which format. Raises `ImportError` without Pillow, `OSError` and `ValueError` for what
    cannot be read or written, and `TypeError` for what is no picture.
    """
    check_pillow()
    from PIL import Image, ImageDraw, ImageOps

    with Image.open(io.BytesIO(encode_picture(picture))) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    pen = ImageDraw.Draw(image)
    for line in reading.lines:
        draw_line(pen, line, width=max(1, max(image.size) // 500))
    image.save(out)


def check_pillow() -> None:
    """Raise `ImportError` without Pillow, saying how to get it."""
    try:
        import PIL  # noqa: F401  # is it there?
    except ImportError as exc:
        raise ImportError("to draw into pictures takes Pillow: pip install pillow") from exc


def check_format(out: str) -> None:
    """Raise `ValueError` if its suffix is of no format that Pillow writes; `ImportError` without Pillow."""
    check_pillow()
    from PIL import Image

    suffix = Path(out).suffix.lower()
    if Image.registered_extensions().get(suffix) not in Image.SAVE:
        raise ValueError(f"{out}: pictures cannot be written as {suffix or 'what has no suffix'}; .png can")


def draw_line(pen: ImageDraw, line: Line, width: int) -> None:
    for digit in line.digits:
        pen.rectangle(corners(digit.box), outline=DIGIT, width=width)
    pen.rectangle(corners(line.box), outline=LINE, width=width)
    left, top, _, height = line.box
    size = max(12, height // 3)
    pen.text((left, max(0, top - size - 6)), line.text, fill=LINE, font_size=size)


def corners(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    left, top, width, height = box
    return left, top, left + width - 1, top + height - 1
