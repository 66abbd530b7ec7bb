"""What schemathesis is told because no schema can say it; it loads this module, see test_openapi.py.

That bytes are a picture, that two parameters exclude each other, or that boxes must fit a picture
are sentences in the OpenAPI document. So what is generated as valid gets real pictures, and queries
that these sentences forbid are left out, as is what is answered image by image.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import schemathesis
from hypothesis import strategies
from schemathesis.core.parameters import ParameterLocation

from digits import pattern
from service import examples
from service.openapi import PROTOCOL_BODIES
from tests.images import npy

Case = schemathesis.Case[Any]

PIXELS = examples.sample()
PNG = examples.png(PIXELS)
BASE64 = base64.b64encode(PNG).decode()
LENGTH = "Inference-Header-Content-Length"
MOST_BOXES = 4  # that each may be as large as the image


schemathesis.openapi.format("binary", strategies.just(PNG))
schemathesis.openapi.media_type("application/octet-stream", strategies.just(PNG), aliases=["image/*"])
schemathesis.openapi.media_type("application/x-npy", strategies.just(npy(PIXELS)))


@schemathesis.hook
def map_case(context: schemathesis.HookContext, case: Case) -> Case:
    """Put pictures in the place of base64 that means nothing."""
    match case.media_type, case.body:
        case "application/json", {"images": [*images]} if is_valid(case, ParameterLocation.BODY):
            case.body = {"images": [BASE64 for _ in images]}
    if case.path.startswith(("/v1", "/v2")) and is_valid(case, ParameterLocation.BODY):
        fill_in(case)
    return case


def fill_in(case: Case) -> None:
    """Put what a protocol has in the place of any object, or one picture where the body is no JSON."""
    operation = case.operation.definition.raw["operationId"].split("_")[1]
    if case.media_type == "application/json" and operation in PROTOCOL_BODIES:
        case.body = examples.for_protocol(operation)["image"]["value"]
    if operation == "infer" and is_valid(case, ParameterLocation.HEADER):
        case.headers.pop(LENGTH, None)
        if case.media_type == "application/octet-stream":
            case.headers[LENGTH] = "0"


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: Case) -> bool:
    """Leave out queries that are valid by their schema alone, and bodies whose images are not all invalid."""
    if is_valid(case, ParameterLocation.QUERY) and not is_sensible(case.query or {}):
        return False
    return is_valid(case, ParameterLocation.BODY) or not any(map(is_image, pixels_in(case.body)))


def is_valid(case: Case, location: ParameterLocation) -> bool:
    """Tell whether a part of a request was generated as valid."""
    assert case.meta is not None
    return not case.meta.is_negative_at(location)


def is_sensible(query: dict[str, Any]) -> bool:
    boxes = query.get("boxes", [])
    if "pattern" in query and ("expect" in query or not parses(query["pattern"])):
        return False
    return isinstance(boxes, str) or len(boxes) <= MOST_BOXES


def parses(text: str) -> bool:
    try:
        pattern.parse(text)
    except ValueError:
        return False
    return True


def pixels_in(body: Any) -> list[Any]:
    match body:
        case {"pixels": [*images]}:
            return images
    return []


def is_image(rows: Any) -> bool:
    try:
        array = np.array(rows)
    except ValueError:
        return False
    return array.shape == PIXELS.shape and array.dtype.kind == "i" and array.min() >= 0 and array.max() <= 255
