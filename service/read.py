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
from digits.image import Pixels
from digits.judgements import COLUMNS, Judgements, Probabilities
from digits.pattern import Pattern
from digits.reading import Box, Line, ReadDigit, Survey, TooMuchWriting
from digits.sizes import SIDE
from service import wishes
from service.engine import Engine, Models
from service.intake import Intake
from service.items import Content, Images, Item, find_reader
from service.looks import Allowance, Look
from service.problems import Problem
from service.verdicts import ALTERNATIVES, failure
from service.wishes import ReadWishes

MOST_IMAGES = 1_000  # in a request; a short number takes tens of milliseconds, a page a second or two
MOST_CANDIDATES = 40_000  # in all images of a request
MOST_PIXELS = 100_000_000  # that are looked at, likewise: some fifty pages
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

        async def respond(found: Content) -> Response:
            if isinstance(found, Images):
                raise Problem(422, "invalid", "numbers are read in pictures; send files, or base64 in 'images'")
            surveys = await self._survey(request, found, wished.boxes)
            rows = await self._ask(engine, surveys)
            images: list[dict[str, Any]] = []
            for index, (item, survey, of_image) in enumerate(zip(found, surveys, rows, strict=True)):
                if isinstance(survey, BadImage):
                    images.append(failure(index, item.name, survey))
                    continue
                if index and await request.is_disconnected():
                    raise ClientDisconnect
                read = await self.intake.in_background(reading_of, engine, survey, of_image, wished)
                images.append({"index": index, "name": item.name} | read)
            body = orjson.dumps({"model": engine.identity, "images": images}, option=orjson.OPT_SERIALIZE_NUMPY)
            status = 422 if all(isinstance(survey, BadImage) for survey in surveys) else 200
            return Response(body, status, media_type="application/json")

        headers = dict(request.scope["headers"])
        read, in_place = find_reader(headers.get(b"content-type", b""), min(self.intake.max_images, MOST_IMAGES))
        return await self.intake.serve(request, headers, read, respond, in_place=in_place)

    async def _survey(self, request: Request, items: Sequence[Item], boxes: Sequence[Box]) -> list[Survey | BadImage]:
        """Survey all images, as many at once as there are threads, within one budget."""
        budget, allowance, surveys = Budget(boxes), Allowance(), list[Survey | BadImage]()
        look = Look(budget.survey, is_slow=True)
        for start in range(0, len(items), self.intake.threads):
            if start and await request.is_disconnected():
                raise ClientDisconnect
            some = await self.intake.look(request, items[start : start + self.intake.threads], look, allowance)
            surveys += map(budget.charge, some)
        return surveys

    async def _ask(self, engine: Engine, surveys: Sequence[Survey | BadImage]) -> list[Judgements]:
        """Return the judgements of the candidates of each image; all go through the network together."""
        pixels = await self.intake.in_background(together, surveys)
        rows = np.zeros((0, COLUMNS), np.float32)
        if len(pixels):
            with engine.counts.request():
                rows = await self.intake.ask(engine, pixels)
        counts = [survey.count if isinstance(survey, Survey) else 0 for survey in surveys]
        return [rows[start:end] for start, end in pairwise(np.cumsum([0, *counts]).tolist())]


class Budget:
    """What the images of a request may hold together, so that they can be read at once.

    They are surveyed in threads, in any order, and charged in their own, so that a request gets the
    same answer whenever it is sent. The first that is too much is the last that is surveyed.
    """

    def __init__(self, boxes: Sequence[Box], candidates: int = MOST_CANDIDATES, pixels: int = MOST_PIXELS) -> None:
        self.boxes = boxes
        self.candidates_left = candidates  # below 0 once an image was too much
        self.pixels_left = pixels
        self.least = BOX * len(boxes)  # candidates that each image costs

    def survey(self, identified: Image) -> Survey | TooMuchWriting:
        """Survey an image, unless it is too much whatever is in it. Raises `BadImage`."""
        if self.least > self.candidates_left:
            raise self.exceeded()
        try:
            return reading.survey(identified, self.boxes, self.pixels_left)
        except TooMuchWriting as exc:
            return TooMuchWriting(exc.seen)  # to be charged; the traceback of the one that was raised holds the picture

    def charge(self, survey: Survey | BadImage) -> Survey | BadImage:
        """Return a survey if there is enough left for it; images in which nothing was looked for cost nothing."""
        candidates, pixels = cost_of(survey)
        if self.least + candidates > self.candidates_left or pixels > self.pixels_left:
            self.candidates_left = -1
            return self.exceeded()
        if isinstance(survey, Survey | TooMuchWriting):
            self.candidates_left -= self.least + candidates
            self.pixels_left -= pixels
        return survey

    def exceeded(self) -> BadImage:
        return BadImage("too_large", "the request is too much to be read at once; send fewer images")


def cost_of(survey: Survey | BadImage) -> tuple[int, int]:
    """Return how many candidates and pixels were looked at, whether or not there were too many."""
    if isinstance(survey, TooMuchWriting):
        return reading.MOST_CANDIDATES, survey.seen
    return (survey.count, survey.seen) if isinstance(survey, Survey) else (0, 0)


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
