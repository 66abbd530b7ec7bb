"""Say in OpenAPI what FastAPI cannot know: the bodies that `/predict` and `/read` take, and how each refusal reads.

Files are described twice, by `format` for generators of clients, most of which know no other sign
of a file, and by `contentMediaType` as OpenAPI 3.1 has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from digits.pattern import ITEM, LONGEST, MOST_STEPS
from digits.sizes import SIDE
from service import examples, wishes
from service.engine import HEADERS
from service.read import MOST_IMAGES
from service.schemas import Error, Health, Refusal
from service.settings import MODEL_NAME, Settings
from service.tensors import JSON_LENGTH
from service.tfserving import LABEL, LARGEST

Part = dict[str, Any]  # of the document
Responses = dict[int | str, Part]

FILE = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
PICTURES = "PNG, JPEG, WebP, BMP, GIF or TIFF files"
FILES = f"{PICTURES}, or .npy files of one image"
PATTERN = re.sub(r"\?P<\w+>", "", ITEM.pattern)  # as JSON Schema has it, without names for its groups
BASE64 = r"^(data:[^,]*,)?[A-Za-z0-9+/]+={0,2}$"

TAGS = [
    {"name": "predict", "description": "One digit in each image."},
    {"name": "read", "description": "Whole numbers, in one or several lines, in each image."},
    {
        "name": "health",
        "description": "Whether the service is alive, and whether it can predict; for people and for probes.",
    },
    {"name": "model", "description": "The served model: how it was made, and how well it did."},
    {"name": "v2", "description": "The Open Inference Protocol, for clients of Triton, KServe and MLServer."},
    {"name": "v1", "description": "For clients of TensorFlow Serving, and of KServe's V1."},
]


def complete(app: FastAPI, settings: Settings) -> None:
    """Have the document of an application hold what its parts refer to.

    Examples of answers are referred to because FastAPI would take every null out of them.
    """
    written = app.openapi

    def openapi() -> Part:
        document = written()
        document["components"]["schemas"] |= bodies(settings)
        document["components"]["examples"] = examples.answers()
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it


# --- bodies -------------------------------------------------------------------------------------


def bodies(settings: Settings) -> dict[str, Part]:
    """Return the schemas of bodies in JSON."""
    row = {"type": "array", "minItems": SIDE, "maxItems": SIDE}
    image = row | {"items": row | {"items": {"type": "integer", "minimum": 0, "maximum": 255}}}
    text = {"type": "string", "pattern": BASE64}
    as_files = listed(text, settings.max_images, f"{FILES}, in base64 or as data URLs")
    as_pixels = listed(image, settings.max_images, "28 rows of 28 values each, from 0 for paper to 255 for ink")
    pictures = listed(text, most_pictures(settings), f"{PICTURES}, in base64 or as data URLs")
    return {
        "EncodedImages": only("images", as_files, "Files that hold one digit each, as text."),
        "PixelImages": only("pixels", as_pixels, "Images that already are 28 x 28 pixels; they are taken as they are."),
        "EncodedPictures": only("images", pictures, "Pictures of numbers, as text."),
    }


def most_pictures(settings: Settings) -> int:
    return min(settings.max_images, MOST_IMAGES)


def listed(item: Part, most: int, description: str) -> Part:
    return {"type": "array", "minItems": 1, "maxItems": most, "items": item, "description": description}


def only(name: str, schema: Part, description: str) -> Part:
    return {
        "type": "object", "required": [name], "properties": {name: schema}, "additionalProperties": False,
        "description": description,
    }  # fmt: skip


def predict_body(settings: Settings) -> Part:
    """Return the `requestBody` of `/predict`."""
    either = {"oneOf": [reference("schemas", "EncodedImages"), reference("schemas", "PixelImages")]}
    npy = FILE | {"description": "a NumPy file: uint8, (28, 28) or (n, 28, 28), ink 255"}
    files = {"schema": only("images", listed(FILE, settings.max_images, FILES), "Files.")}
    body = body_of(files, {"schema": either, "examples": examples.for_predict()})
    body["content"]["application/x-npy"] = {"schema": npy}
    return body


def read_body(settings: Settings) -> Part:
    """Return the `requestBody` of `/read`, which takes pictures only."""
    files = {"schema": only("images", listed(FILE, most_pictures(settings), PICTURES), "Files.")}
    return body_of(files, {"schema": reference("schemas", "EncodedPictures"), "examples": examples.for_read()})


def reference(kind: str, name: str) -> Part:
    return {"$ref": f"#/components/{kind}/{name}"}


def body_of(files: Part, json: Part) -> Part:
    one = {"schema": FILE | {"description": "one image file"}}
    return {
        "required": True,
        "content": {
            "multipart/form-data": files,
            "application/json": json,
            "application/octet-stream": one,
            "image/*": one,
        },
    }


# --- queries ------------------------------------------------------------------------------------


def predict_parameters() -> list[Part]:
    """Return the query parameters of `/predict`."""
    return [
        parameter(
            "explain", {"type": "boolean", "default": False},
            "also return what the network saw of each image, and how that was made",
        ) | {"allowEmptyValue": True},
        threshold("presence below which an image holds no digit; by default that of the model's manifest"),
    ]  # fmt: skip


def read_parameters() -> list[Part]:
    """Return the query parameters of `/read`.

    Examples stand in their descriptions: elsewhere, pages that let one try things would fill them in.
    """
    box = {"type": "string", "pattern": f"^{wishes.BOX}$"}
    return [
        parameter(
            "expect", {"type": "integer", "minimum": 1, "maximum": MOST_STEPS},
            "number of digits in each number, such as `expect=2`; not together with `pattern`",
        ),
        parameter(
            "pattern", {"type": "string", "pattern": f"^({PATTERN})+$", "maxLength": LONGEST},
            "what each number looks like, as a regular expression of digits, `\\d`, classes and repeats, of at most "
            f"{MOST_STEPS} digits, such as `pattern=[0-9]{{2,6}}`",
        ),
        parameter(
            "boxes", {"type": "array", "maxItems": wishes.MOST_BOXES, "items": box},
            "a place with one number, as left,top,width,height in pixels of the upright image, such as "
            "`boxes=0,0,28,28`; repeat it for more. Together they may have at most four times the area of the image. "
            "Lines are in this order",
        ),
        threshold("confidence below which a digit is null; by default that of the model's manifest"),
    ]  # fmt: skip


def threshold(description: str) -> Part:
    return parameter(
        "threshold", {"type": "number", "minimum": 0, "maximum": 1}, f"{description}, such as `threshold=0.5`"
    )


PLOT = {
    "name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "example": "accuracy.png",
    "description": "name of a plot, from `plots` in the manifest",
}  # fmt: skip


def parameter(name: str, schema: Part, description: str) -> Part:
    return {"name": name, "in": "query", "schema": schema, "description": description}


# --- answers ------------------------------------------------------------------------------------

MODEL_HEADERS = {
    name: {"schema": {"type": "string"}, "description": f"`{part}` of the model, if the answer is an array"}
    for name, part in HEADERS.items()
}
RETRY_AFTER = {
    "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "seconds to wait before trying again"}
}
ARRAY = FILE | {
    "description": "a NumPy file: float32, (n, 10) probabilities, a row of NaN for an image that could not be read"
}
PAGE = {"content": {"text/html": {"schema": {"type": "string"}}}}
PNG = {"content": {"image/png": {"schema": FILE | {"contentMediaType": "image/png"}}}}


def answer(example: str) -> Responses:
    """Return an example of what is answered when all is well."""
    return {200: shown(example)}


def shown(*names: str) -> Part:
    return {"content": {"application/json": {"examples": {name: reference("examples", name) for name in names}}}}


def with_array(response: Part) -> Part:
    """Return an answer that comes as an array too, for those who prefer it."""
    return response | {
        "content": response["content"] | {"application/x-npy": {"schema": ARRAY}}, "headers": MODEL_HEADERS,
    }  # fmt: skip


def refusals(settings: Settings, kind: type[BaseModel], *shown_for_422: str) -> Responses:
    """Return how images are refused; with 422, that is an answer without any that could be read, or an error."""
    refused = error_answers({
        400: ("The body is empty, or is not what its Content-Type says.", "empty_body", "malformed"),
        413: (
            f"The request has more than {settings.max_body:,} bytes, or too many images.",
            "too_large", "too_many_images",
        ),
        415: (
            "The Content-Type or the Content-Encoding is not supported.",
            "unsupported_media_type", "unsupported_encoding",
        ),
        429: ("The service is busy with other requests.", "overloaded"),
        503: ("There is no model yet.", "no_model"),
    })  # fmt: skip
    no_image = {"model": kind | Error, "description": "No image could be read, or the request is invalid."}
    return refused | {422: no_image | shown(*shown_for_422)}


def error_answers(statuses: Mapping[int, tuple[str, *tuple[str, ...]]]) -> Responses:
    """Return error answers with their codes: `error_answers({404: ("There is no such plot.", "not_found")})`."""
    return {status: error_answer(status, *said) for status, said in statuses.items()}


def error_answer(status: int, description: str, *codes: str) -> Part:
    described = {"model": Error, "description": description} | shown(*codes)
    return described | {"headers": RETRY_AFTER} if status in (429, 503) else described


NO_MODEL = error_answers({503: ("There is no model yet.", "no_model")})
UNHEALTHY = {"model": Health, "description": "The service cannot predict; `reason` says why."} | shown("unhealthy")


# --- the protocols of other model servers -------------------------------------------------------

TENSORS = f"JSON, as many bytes as `{JSON_LENGTH}` says, followed by the bytes of tensors"

PATH_PARAMETERS: dict[str, Part] = {
    "model": {
        "schema": {"type": "string", "pattern": f"^{MODEL_NAME}$"}, "example": "digits",
        "description": "name of the model, from the settings",
    },
    "version": {
        "schema": {"type": "string"},
        "description": "version of the model; only the served one exists",
    },
    "label": {
        "schema": {"type": "string", "enum": [LABEL]},
        "description": "label of the served version",
    },
}  # fmt: skip
SAFE = len(str(LARGEST)) - 1  # digits of a number that is never too large
NUMBERED = {"version": {"schema": {"type": "string", "pattern": f"^[0-9]{{1,{SAFE}}}$"}}}  # under /v1
LENGTH = {
    "name": JSON_LENGTH, "in": "header", "schema": {"type": "integer", "minimum": 0},
    "description": "bytes of JSON at the start of the body, if tensors follow it; 0 for a single image without JSON",
}  # fmt: skip


def protocol_extra(name: str, path: str) -> Part:
    """Return what FastAPI cannot know of an operation: its parameters, and what its body may be."""
    own = NUMBERED if path.startswith("/v1") else {}
    parameters: list[Part] = [
        {"name": found, "in": "path", "required": True} | PATH_PARAMETERS[found] | own.get(found, {})
        for found in re.findall(r"{(\w+)}", path)
    ]
    operation = name.partition("_")[0]
    if operation not in PROTOCOL_BODIES:
        return {"parameters": parameters}
    if operation == "infer":
        parameters.append(LENGTH)
    return {"parameters": parameters, "requestBody": protocol_body(operation)}


PROTOCOL_BODIES = ("infer", "predict", "classify")


def protocol_body(operation: str) -> Part:
    schema = {"type": "object", "description": "as the protocol has it"}
    content: Part = {"application/json": {"schema": schema, "examples": examples.for_protocol(operation)}}
    if operation == "infer":
        content["application/octet-stream"] = {"schema": FILE | {"description": TENSORS}}
    return {"required": True, "content": content}


def protocol_responses(name: str, refusals: Sequence[int]) -> Responses:
    """Return what an operation may answer."""
    content: Part = {"application/json": {"schema": {}}}
    if name.startswith("infer"):
        content["application/octet-stream"] = {"schema": FILE | {"description": TENSORS}}
    refused: Responses = {
        status: {"model": Refusal, "description": HTTPStatus(status).phrase} for status in (*refusals, 500)
    }
    return refused | {200: {"content": content}}
