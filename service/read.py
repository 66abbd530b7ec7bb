"""From a request to the numbers in each of its images: `POST /read`.

items -> surveyed -> the candidates of all of them, as one batch -> lines
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response

from digits import pattern, reading
from digits.errors import BadImage
from digits.network import Probabilities
from digits.pattern import Pattern
from digits.reading import Box, Line, ReadDigit, Survey
from service.engine import Engine, Models
from service.errors import Problem
from service.intake import Found, Intake
from service.items import Images, Item, Look
from service.verdicts import ALTERNATIVES, read_threshold

MOST_BOXES = 1_000
UNSURE = "?"  # stands in the text for a digit that is none


@dataclass(frozen=True, slots=True)
class ReadWishes:
    """What a request says of its images."""

    pattern: Pattern | None = None  # that each number fits
    boxes: tuple[Box, ...] = ()  # where there is one number each
    threshold: float | None = None  # confidence below which a digit is none; None: the model's own


class Reader:
    """Answers requests with the lines of digits in their images."""

    def __init__(self, intake: Intake, models: Models) -> None:
        self.intake = intake
        self.models = models

    async def answer(self, request: Request) -> Response:
        """Raises `NoModel`, `Problem`, `QueueFull` and `ClientDisconnect`."""
        engine = self.models.engine
        wishes = read_wishes(request.scope["query_string"])
        look = Look(partial(reading.survey, boxes=wishes.boxes))

        async def answer(found: Found) -> Response:
            if isinstance(found, Images):
                raise Problem(422, "invalid", "numbers are read in pictures; send files, or base64 in 'images'")
            surveys = await self.intake.look(request, found, look)
            rows = await self._ask(engine, surveys)
            body = await self.intake.off_loop(as_json, engine, found, surveys, rows, wishes)
            status = 422 if all(isinstance(survey, BadImage) for survey in surveys) else 200
            return Response(body, status, media_type="application/json")

        return await self.intake.serve(request, dict(request.scope["headers"]), answer)

    async def _ask(self, engine: Engine, surveys: Sequence[Survey | BadImage]) -> list[Probabilities]:
        """Return the probabilities of the candidates of each image; all go through the network together."""
        pixels = [survey.pixels for survey in surveys if isinstance(survey, Survey)]
        together = np.concatenate(pixels) if pixels else np.zeros((0, 28, 28), np.uint8)
        rows = await self.intake.ask(engine, together) if len(together) else np.zeros((0, 10), np.float32)
        counts = [len(survey.pixels) if isinstance(survey, Survey) else 0 for survey in surveys]
        return [rows[start:end] for start, end in pairwise(np.cumsum([0, *counts]).tolist())]


# --- wishes -------------------------------------------------------------------------------------


def read_wishes(query: bytes) -> ReadWishes:
    """Read `expect=5` or `pattern=[0-9]{4,6}`, any number of `boxes=12,40,180,36`, and `threshold=0.5`.

    Raises `Problem`.
    """
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    threshold = given.get("threshold", [None])[-1]
    try:
        return ReadWishes(
            read_pattern(given.get("expect", [None])[-1], given.get("pattern", [None])[-1]),
            read_boxes(given.get("boxes", [])),
            None if threshold is None else read_threshold(threshold),
        )
    except ValueError as exc:
        raise Problem(422, "invalid", str(exc)) from exc


def read_pattern(expect: str | None, text: str | None) -> Pattern | None:
    if expect is not None and text is not None:
        raise ValueError("expect and pattern say the same; give one of them")
    if expect is not None:
        if not re.fullmatch(r"[0-9]{1,4}", expect):
            raise ValueError(f"expect is a number of digits, not {expect[:20]!r}")
        return pattern.of_length(int(expect))
    return pattern.parse(text) if text is not None else None


def read_boxes(texts: Sequence[str]) -> tuple[Box, ...]:
    if len(texts) > MOST_BOXES:
        raise ValueError(f"at most {MOST_BOXES:,} boxes may be given")
    return tuple(map(read_box, texts))


def read_box(text: str) -> Box:
    if not re.fullmatch(r"[0-9]{1,6}(,[0-9]{1,6}){3}", text):
        raise ValueError(f"a box is left,top,width,height in whole pixels, such as 12,40,180,36; not {text[:40]!r}")
    left, top, width, height = map(int, text.split(","))
    if not width or not height:
        raise ValueError(f"the box {text} is empty")
    return left, top, width, height


# --- answers ------------------------------------------------------------------------------------


def as_json(
    engine: Engine,
    items: Sequence[Item],
    surveys: Sequence[Survey | BadImage],
    rows: Sequence[Probabilities],
    wishes: ReadWishes,
) -> bytes:
    images = list(readings(engine, items, surveys, rows, wishes))
    return orjson.dumps({"model": engine.identity, "images": images}, option=orjson.OPT_SERIALIZE_NUMPY)


def readings(
    engine: Engine,
    items: Sequence[Item],
    surveys: Sequence[Survey | BadImage],
    rows: Sequence[Probabilities],
    wishes: ReadWishes,
) -> Iterator[dict[str, Any]]:
    threshold = engine.threshold("doubtful") if wishes.threshold is None else wishes.threshold
    for index, (item, survey, probabilities) in enumerate(zip(items, surveys, rows, strict=True)):
        head = {"index": index, "name": item.name}
        if isinstance(survey, BadImage):
            yield head | {"error": {"code": survey.code, "message": str(survey)}}
            continue
        lines = survey.lines(probabilities, wishes.pattern)
        said = [line_as_json(line, threshold, wishes.pattern) for line in lines]
        confidence = float(np.prod([line.confidence for line in lines])) if lines else 0.0
        yield head | {"text": "\n".join(line["text"] for line in said), "confidence": confidence, "lines": said}


def line_as_json(line: Line, threshold: float, pattern: Pattern | None) -> dict[str, Any]:
    digits = [digit_as_json(digit, threshold) for digit in line.digits]
    return {
        "text": "".join(UNSURE if digit["digit"] is None else str(digit["digit"]) for digit in digits),
        "confidence": line.confidence, "fits": None if pattern is None else line.fits, "box": line.box,
        "digits": digits,
        "marks": [{"mark": mark.mark, "after": mark.after, "box": mark.box} for mark in line.marks],
    }  # fmt: skip


def digit_as_json(digit: ReadDigit, threshold: float) -> dict[str, Any]:
    others = [int(other) for other in digit.probabilities.argsort()[::-1] if other != digit.digit]
    return {
        "digit": None if digit.confidence < threshold else digit.digit, "confidence": digit.confidence,
        "box": digit.box,
        "alternatives": [(other, digit.probabilities[other]) for other in others[:ALTERNATIVES]],
    }  # fmt: skip
