"""Say what was read: probabilities to answers, with the doubts that there are.

A digit is given only where there is one to be read. Otherwise it is null, for a reason, and the
probabilities are given all the same. Knows nothing of requests and responses but their bytes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from digits.errors import BadImage
from digits.image import Pixels, Sight, as_given, as_png
from digits.judgements import DIGITS, PRESENCE, Judgements, Probabilities
from service.engine import Engine
from service.items import Images
from service.wishes import PredictWishes

ALTERNATIVES = 2  # the next best digits that are listed


def as_npy(rows: Probabilities) -> bytes:
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


def as_json(engine: Engine, images: Images, rows: Judgements, wishes: PredictWishes) -> bytes:
    answer = {"model": engine.identity, "predictions": list(predictions(engine, images, rows, wishes))}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def predictions(engine: Engine, images: Images, rows: Judgements, wishes: PredictWishes) -> Iterator[dict[str, Any]]:
    names, sights = images.names or [None] * len(rows), images.sights or [None] * len(rows)
    threshold = engine.threshold("presence") if wishes.threshold is None else wishes.threshold
    for index, (name, sight, row) in enumerate(zip(names, sights, rows, strict=True)):
        if refused := images.refused.get(index):
            yield failure(index, name, refused)
            continue
        pixels = images.pixels[index]
        probabilities, presence = row[DIGITS], row[PRESENCE]
        best, *others = probabilities.argsort()[::-1].tolist()
        reason = doubt(pixels, sight, presence, threshold)
        answer = {
            "index": index, "name": name, "digit": None if reason else best, "reason": reason,
            "confidence": row[best], "probabilities": probabilities, "presence": presence,
            "alternatives": [(digit, row[digit]) for digit in others[:ALTERNATIVES]],
        }  # fmt: skip
        yield answer | {"explanation": explanation(pixels, sight)} if wishes.explain else answer


def failure(index: int, name: str | None, refused: BadImage) -> dict[str, Any]:
    return {"index": index, "name": name, "error": {"code": refused.code, "message": str(refused)}}


def doubt(pixels: Pixels, sight: Sight | None, presence: float, threshold: float) -> str | None:
    """Return why no digit is to be given, if there is a reason."""
    if is_even(pixels):
        return "blank"
    if sight is not None and sight.others:
        return "several_digits"
    return "not_a_digit" if presence < threshold else None


def is_even(pixels: Pixels) -> bool:
    """Tell whether all pixels are alike; NumPy takes six times as long."""
    flat = pixels.tobytes()
    return flat.count(flat[0]) == len(flat)


def explanation(pixels: Pixels, sight: Sight | None) -> dict[str, Any]:
    """Return what the network saw and how it came about; pixels and arrays are taken as they are."""
    sight = sight or as_given(pixels)
    return {
        "image": base64.b64encode(as_png(pixels)).decode(), "unchanged": sight.unchanged, "inverted": sight.inverted,
        "box": sight.box, "scale": sight.scale, "shift": sight.shift, "lines_removed": sight.lines,
        "ink": min(sight.contrast / 255, 1.0),
    }  # fmt: skip
