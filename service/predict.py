"""From a request to the digit in each of its images: `POST /predict`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from digits.judgements import DIGITS
from service import wishes
from service.engine import Models
from service.intake import Intake
from service.items import MAX_HEADER, Content, Images, Item, find_reader
from service.judging import judge
from service.looks import DIGIT_LOOK, Allowance, gather
from service.verdicts import as_json, as_npy


@dataclass(frozen=True, slots=True)
class Predictor:
    """Answers requests with what the engine of the moment makes of their images."""

    intake: Intake
    models: Models

    async def answer(self, request: Request) -> Response:
        """Raises `NoModel`, `Problem`, `QueueFull` and `ClientDisconnect`."""
        engine = self.models.engine  # the same for the whole request, whatever is published meanwhile
        headers = dict(request.scope["headers"])
        wished = wishes.for_predict(request.scope["query_string"])
        to_npy = prefers_npy(headers.get(b"accept", b""))

        async def respond(found: Content) -> Response:
            images = found if isinstance(found, Images) else await self._decode(request, found)
            rows = await judge(self.intake, engine, images)
            status = 200 if len(images.refused) < len(rows) else 422
            if to_npy:
                return Response(as_npy(rows[:, DIGITS]), status, engine.headers, "application/x-npy")
            answer = partial(as_json, engine, images, rows, wished)
            if wished.explain:  # with a PNG for each image
                body = await self.intake.off_loop(answer)
            else:
                body = await self.intake.write(len(rows), answer)
            return Response(body, status, media_type="application/json")

        read, in_place = find_reader(headers.get(b"content-type", b""), self.intake.max_images)
        return await self.intake.serve(request, headers, read, respond, in_place=in_place)

    async def _decode(self, request: Request, items: Sequence[Item]) -> Images:
        return gather(items, await self.intake.look(request, items, DIGIT_LOOK, Allowance()))


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
