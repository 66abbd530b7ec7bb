"""From a request to the numbers in each of its images: `POST /read`.

items -> surveyed -> the candidates of all of them, as one batch -> lines
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
from PIL.Image import Image
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from digits import reading
from digits.errors import BadImage
from digits.image import SIDE, Pixels
from digits.network import COLUMNS, Judgements, Probabilities
from digits.pattern import Pattern
from digits.reading import Box, Line, ReadDigit, Survey
from service import wishes
from service.engine import Engine, Models
from service.errors import Problem
from service.intake import Intake
from service.items import Found, Images, Item, Look, find_reader
from service.verdicts import ALTERNATIVES, failure
from service.wishes import ReadWishes

MOST_IMAGES = 1_000  # in a request; each takes tens of milliseconds
MOST_CANDIDATES = 40_000  # in all images of a request
BOX = 20  # candidates that a box counts for, since it is looked at by itself
UNSURE = "?"  # stands in the text for a digit that is none


@dataclass(frozen=True, slots=True)
class Reader:
    """Answers requests with the lines of digits in their images."""

    intake: Intake
    models: Models

    async def answer(self, request: Request) -> Response:
        """Raises `NoModel`, `Problem`, `QueueFull` and `ClientDisconnect`."""
        engine = self.models.engine
        wished = wishes.for_read(request.scope["query_string"])
        look = Look(Surveyor(wished.boxes).survey, is_slow=True)

        async def answer(found: Found) -> Response:
            if isinstance(found, Images):
                raise Problem(422, "invalid", "numbers are read in pictures; send files, or base64 in 'images'")
            surveys = await self.intake.look(request, found, look)
            rows = await self._ask(engine, surveys)
            images = [
                await self._image(request, engine, index, *image, wished)
                for index, image in enumerate(zip(found, surveys, rows, strict=True))
            ]
            body = orjson.dumps({"model": engine.identity, "images": images}, option=orjson.OPT_SERIALIZE_NUMPY)
            status = 422 if all(isinstance(survey, BadImage) for survey in surveys) else 200
            return Response(body, status, media_type="application/json")

        headers = dict(request.scope["headers"])
        read = find_reader(headers.get(b"content-type", b""), min(self.intake.max_images, MOST_IMAGES))
        return await self.intake.serve(request, headers, read, answer)

    async def _image(
        self,
        request: Request,
        engine: Engine,
        index: int,
        item: Item,
        survey: Survey | BadImage,
        rows: Judgements,
        wished: ReadWishes,
    ) -> dict[str, Any]:
        if isinstance(survey, BadImage):
            return failure(index, item.name, survey)
        if index and await request.is_disconnected():
            raise ClientDisconnect
        head = {"index": index, "name": item.name}
        return head | await self.intake.off_loop_slowly(reading_of, engine, survey, rows, wished)

    async def _ask(self, engine: Engine, surveys: Sequence[Survey | BadImage]) -> list[Judgements]:
        """Return the judgements of the candidates of each image; all go through the network together."""
        pixels = await self.intake.off_loop_slowly(together, surveys)
        rows = await self.intake.ask(engine, pixels) if len(pixels) else np.zeros((0, COLUMNS), np.float32)
        counts = [survey.count if isinstance(survey, Survey) else 0 for survey in surveys]
        return [rows[start:end] for start, end in pairwise(np.cumsum([0, *counts]).tolist())]


class Surveyor:
    """Surveys the images of a request, as long as they hold no more than can be read at once."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self.boxes = boxes
        self.left = MOST_CANDIDATES

    def survey(self, identified: Image) -> Survey:
        """Raises `BadImage`."""
        self._spend(BOX * len(self.boxes))
        found = reading.survey(identified, self.boxes)
        self._spend(found.count)
        return found

    def _spend(self, count: int) -> None:
        if count > self.left:
            raise BadImage("too_large", "the request holds too much writing to be read at once; send fewer images")
        self.left -= count


def together(surveys: Sequence[Survey | BadImage]) -> Pixels:
    """Return the candidates of all images, (k, 28, 28)."""
    pixels = [survey.pixels() for survey in surveys if isinstance(survey, Survey)]
    return np.concatenate(pixels) if pixels else np.zeros((0, SIDE, SIDE), np.uint8)


# --- answers ------------------------------------------------------------------------------------


def reading_of(engine: Engine, survey: Survey, rows: Judgements, wished: ReadWishes) -> dict[str, Any]:
    threshold = engine.threshold("confidence") if wished.threshold is None else wished.threshold
    lines = [line for line in survey.lines(rows, wished.pattern) if line.digits or wished.boxes]
    said = [line_as_json(line, threshold, wished.pattern) for line in lines]
    sure = [line.confidence for line in lines if line.digits]
    return {
        "text": "\n".join(line["text"] for line in said),
        "confidence": np.float32(math.prod(sure) if sure else 0),
        "lines": said,
    }  # fmt: skip


def line_as_json(line: Line, threshold: float, pattern: Pattern | None) -> dict[str, Any]:
    digits = [digit_as_json(digit, threshold) for digit in line.digits]
    return {
        "text": "".join(UNSURE if digit["digit"] is None else str(digit["digit"]) for digit in digits),
        "confidence": np.float32(line.confidence), "fits": None if pattern is None else line.fits, "box": line.box,
        "digits": digits,
        "marks": [{"mark": mark.mark, "after": mark.after, "box": mark.box} for mark in line.marks],
    }  # fmt: skip


def digit_as_json(digit: ReadDigit, threshold: float) -> dict[str, Any]:
    """Return a digit, or null with what it may be among the alternatives."""
    answered = None if digit.confidence < threshold else digit.digit
    return {
        "digit": answered, "confidence": digit.probabilities[digit.digit], "box": digit.box,
        "alternatives": list(alternatives(digit.probabilities, answered)),
    }  # fmt: skip


def alternatives(probabilities: Probabilities, answered: int | None) -> Iterator[tuple[int, np.float32]]:
    others = [int(other) for other in probabilities.argsort()[::-1] if other != answered]
    return ((other, probabilities[other]) for other in others[:ALTERNATIVES])
