"""Read the numbers in a picture, in two steps with a network between them.

    picture -> rows -> cuts -> candidates: pixels          (`survey`)
    judgements of the candidates -> lines of digits        (`Survey.lines`)

So that the candidates of many pictures can go through a network together. Knows nothing of networks
and HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from digits.cuts import Candidate, Cuts, Parting, cut
from digits.decode import Decoded, decode
from digits.errors import BadImage
from digits.image import Pixels
from digits.judgements import Judgements, Probabilities
from digits.lattice import beliefs, best_reading
from digits.pattern import ANYTHING, Pattern
from digits.rows import Extent, View, find_rows, pixels_looked_at
from digits.sizes import SIDE

Box = tuple[int, int, int, int]  # left, top, width, height, in pixels of the upright picture

MOST_CANDIDATES = 6_000  # in a picture; a page full of writing has about as many
MOST_BOXED = 4  # times the area of a picture that all boxes have together: those of a form hardly overlap
FLAT = 1.6  # times as wide as tall: a dash
LOW = 0.55  # of the height of a row, from its top, below which a point or comma stands
UPRIGHT = 1.4  # times as tall as wide: a comma rather than a point


@dataclass(frozen=True, slots=True)
class ReadDigit:
    """`probabilities` are (10,), the `beliefs` of the lattice: they sum to 1 if it is surely a digit, else to less."""

    digit: int
    box: Box
    probabilities: Probabilities

    @property
    def confidence(self) -> float:
        return float(self.probabilities[self.digit])


@dataclass(frozen=True, slots=True)
class Mark:
    """A comma, point, dash or apostrophe that stands after so many digits of its line."""

    mark: str
    after: int
    box: Box


@dataclass(frozen=True, slots=True)
class Line:
    """What was read in a row. `fits` says whether it is of the pattern that was asked for."""

    digits: list[ReadDigit]
    marks: list[Mark]
    box: Box
    fits: bool
    left_out: float = 0.0  # ink that is neither digit nor mark, in strokes as tall as the row

    @property
    def confidence(self) -> float:
        """The product of that of all digits, and less the more ink was left out; 0 for no digits."""
        sure = math.prod(digit.confidence for digit in self.digits)
        return sure * math.exp(-self.left_out) if self.digits else 0.0


@dataclass(frozen=True, slots=True)
class Region:
    """A row in pieces, and where it lies."""

    extent: Extent  # and not the row: its ink is not needed any more, and that of many pages is gigabytes
    cuts: Cuts
    view: View

    def box(self, candidate: Candidate) -> Box:
        return self.view.box(*self.extent.part(*candidate.box))

    @property
    def whole(self) -> Box:
        return self.view.box(*self.extent.whole)


@dataclass(frozen=True, slots=True)
class Found:
    """A row in pieces ahead of their pixels, and where it lies."""

    parting: Parting
    view: View

    def region(self) -> Region:
        return Region(self.parting.row.extent, self.parting.cuts(), self.view)


class TooMuchWriting(BadImage):
    """A picture holds more than `MOST_CANDIDATES`, which is known only once so many have been found."""

    def __init__(self, seen: int) -> None:
        super().__init__("too_large", "there is too much writing in the image to be read at once; send a part of it")
        self.seen = seen  # pixels that were looked at


@dataclass(frozen=True, slots=True)
class Survey:
    """All that may be a digit in a picture. A place is where a line is: a region, or a given box that is blank."""

    places: list[Region | Box]
    seen: int  # pixels that were looked at

    @property
    def count(self) -> int:
        """How many candidates there are in all regions."""
        return sum(len(place.cuts.candidates) for place in self.places if isinstance(place, Region))

    def pixels(self) -> Pixels:
        """Return (count, 28, 28): the candidates of all regions, in order."""
        found = [place.cuts.pixels for place in self.places if isinstance(place, Region)]
        return np.concatenate(found) if found else np.zeros((0, SIDE, SIDE), np.uint8)

    def lines(self, judgements: Judgements, pattern: Pattern | None = None) -> list[Line]:
        """Return the lines of the picture for (count, 11) judgements of its candidates, from top to bottom.

        With a pattern each line is the best that fits; one that cannot fit is read without.
        """
        lines: list[Line] = []
        believed = beliefs(judgements)
        at = 0
        for place in self.places:
            if not isinstance(place, Region):
                lines.append(Line([], [], place, pattern is None or pattern.fits_nothing))
                continue
            end = at + len(place.cuts.candidates)
            lines.append(read_line(place, believed[at:end], pattern))
            at = end
        return lines


def survey(identified: Image.Image, boxes: Sequence[Box] = (), most_pixels: float = math.inf) -> Survey:
    """Decode what was identified, and find what may be digits in it, or one number in each of the boxes.

    Raises `BadImage`, and `TooMuchWriting` for more than can be looked at in seconds, or more pixels than are allowed.
    """
    decoded = decode(identified)
    check_boxes(boxes, decoded.size)
    parts = [part_of(decoded, box) for box in boxes] if boxes else [(0, 0, *decoded.image.size)]
    seen = sum(pixels_looked_at((right - left, bottom - top)) for left, top, right, bottom in parts)
    if seen > most_pixels:
        raise TooMuchWriting(seen)
    places: list[Found | Box] = []
    count = 0
    for place in (in_box(decoded, box) for box in boxes) if boxes else in_rows(decoded):
        places.append(place)
        count += len(place.parting.candidates) if isinstance(place, Found) else 0
        if count > MOST_CANDIDATES:
            raise TooMuchWriting(seen)
    return Survey([place.region() if isinstance(place, Found) else place for place in places], seen)


def check_boxes(boxes: Sequence[Box], size: tuple[int, int]) -> None:
    """Refuse boxes without a pixel of the picture, and those that look at its parts again and again.

    Raises `BadImage`.
    """
    for number, (left, top, _, _) in enumerate(boxes, 1):
        if left >= size[0] or top >= size[1]:
            raise BadImage("outside", f"box {number} lies outside of the image, which is {size[0]} x {size[1]}")
    inside = sum(min(width, size[0]) * min(height, size[1]) for _, _, width, height in boxes)
    if inside > MOST_BOXED * size[0] * size[1]:
        raise BadImage("too_large", f"the boxes are more than {MOST_BOXED} times as large as the image")


def in_rows(decoded: Decoded) -> Iterator[Found]:
    sheet = find_rows(decoded.image)
    found = (Found(cut(row), sheet.view.magnified(decoded.by, decoded.size)) for row in sheet.rows)
    return (place for place in found if place.parting.candidates)


def in_box(decoded: Decoded, box: Box) -> Found | Box:
    """Return the row with the most ink in a part of a picture, or the box itself if it is blank. Raises `BadImage`."""
    left, top, right, bottom = part_of(decoded, box)
    sheet = find_rows(decoded.image.crop((left, top, right, bottom)))
    if not sheet.rows:
        return box
    row = max(sheet.rows, key=lambda row: row.extent.by * float(row.ink.sum()) / row.height)  # in pixels of the view
    return Found(cut(row), sheet.view.moved(left, top).magnified(decoded.by, decoded.size))


def part_of(decoded: Decoded, box: Box) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a box in a picture that was decoded smaller: at least a pixel."""
    picture, by = decoded.image, decoded.by
    left, top = (min(max(round(box[axis] / by), 0), picture.size[axis] - 1) for axis in (0, 1))
    right, bottom = (min(round((box[axis] + box[axis + 2]) / by), picture.size[axis]) for axis in (0, 1))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def read_line(place: Region, probabilities: Probabilities, pattern: Pattern | None) -> Line:
    tokens = best_reading(place.cuts, probabilities, pattern or ANYTHING)
    fits = tokens is not None
    digits: list[ReadDigit] = []
    marks: list[Mark] = []
    left_out = 0.0
    for token in tokens if tokens is not None else best_reading(place.cuts, probabilities) or []:
        left_out += token.left_out
        if token.candidate is None:
            continue
        candidate = place.cuts.candidates[token.candidate]
        if token.digit is not None:
            digits.append(ReadDigit(token.digit, place.box(candidate), probabilities[token.candidate]))
        else:
            marks.append(Mark(kind_of(candidate, place.extent.high), len(digits), place.box(candidate)))
    return Line(digits, marks, place.whole, fits, left_out)


def kind_of(mark: Candidate, high: int) -> str:
    """Tell a dash, comma or point by its shape and place in a row so high; what stands high is an apostrophe."""
    if mark.wide > FLAT * mark.tall:
        return "-"
    if mark.box[0] <= LOW * high:
        return "'"
    return "," if mark.tall > UPRIGHT * mark.wide else "."
