"""Say in OpenAPI what `/predict` and `/read` take: images in several kinds of body, each with an example that runs."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from digits.image import SIDE, Pixels
from digits.pattern import MOST_STEPS
from service.schemas import Error

SEVEN = (".######.", ".######.", ".....##.", "....##..", "....##..", "...##...", "...##...", "..##....")
BINARY = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}

MODEL_HEADERS = {
    name: {"schema": {"type": "string"}, "description": f"{what} of the model, where the answer is an array"}
    for name, what in (("Digits-Model-Version", "version"), ("Digits-Model-Sha256", "SHA-256"))
}


def sample() -> Pixels:
    """Return the pixels of a plain drawn 7, for examples."""
    drawn = np.array([[255 * (mark == "#") for mark in row] for row in SEVEN], np.uint8)
    return np.pad(np.kron(drawn, np.ones((2, 2), np.uint8)), (SIDE - 2 * len(SEVEN)) // 2)


def sample_png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(sample()).save(file, "PNG")
    return file.getvalue()


def predict_body(files: str = "PNG, JPEG, WebP, BMP, GIF or TIFF files, or .npy files of one image") -> dict[str, Any]:
    """Return the `requestBody` of `/predict`."""
    images = {
        "type": "array", "minItems": 1, "items": BINARY,
        "description": files,
    }  # fmt: skip
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["images"], "properties": {"images": images}}
            },
            "application/json": json_body(),
            "application/octet-stream": {"schema": BINARY | {"description": "one image file"}},
            "image/*": {"schema": BINARY | {"description": "one image file"}},
            "application/x-npy": {
                "schema": BINARY | {"description": "a NumPy file: uint8, (28, 28) or (n, 28, 28), ink 255"}
            },
        },
    }


def predict_parameters() -> list[dict[str, Any]]:
    """Return the query parameters of `/predict`."""
    explain = {"type": "boolean", "default": False}
    return [
        {
            "name": "explain", "in": "query", "schema": explain,
            "description": "also tell what the network saw of each image, and how that came about",
        },
        threshold("presence below which an image holds no digit; by default what the model's manifest says"),
    ]  # fmt: skip


def read_parameters() -> list[dict[str, Any]]:
    """Return the query parameters of `/read`."""
    expect = {"type": "integer", "minimum": 1, "maximum": MOST_STEPS}
    box = {"type": "string", "pattern": "^[0-9]{1,6}(,[0-9]{1,6}){3}$"}
    return [
        {"name": "expect", "in": "query", "schema": expect, "description": "how many digits each number has"},
        {
            "name": "pattern", "in": "query", "schema": {"type": "string", "example": "[0-9]{4,6}"},
            "description": "what each number looks like, as a regular expression of digits, `\\d`, classes and repeats",
        },
        {
            "name": "boxes", "in": "query", "schema": {"type": "array", "items": box}, "explode": True,
            "description": "left,top,width,height in pixels of the upright image: where there is one number each; "
            "lines are answered in this order",
        },
        threshold("confidence below which a digit is null; by default what the model's manifest says"),
    ]  # fmt: skip


def threshold(description: str) -> dict[str, Any]:
    schema = {"type": "number", "minimum": 0, "maximum": 1}
    return {"name": "threshold", "in": "query", "schema": schema, "description": description}


def read_body() -> dict[str, Any]:
    """Return the `requestBody` of `/read`: that of `/predict`, without what is no picture."""
    body = predict_body("PNG, JPEG, WebP, BMP, GIF or TIFF files")
    content = {kind: media for kind, media in body["content"].items() if kind != "application/x-npy"}
    encoded = content["application/json"]
    images = {name: example for name, example in encoded["examples"].items() if name != "pixels"}
    content["application/json"] = {"schema": encoded["schema"]["oneOf"][0], "examples": images}
    return body | {"content": content}


def predict_array() -> dict[str, Any]:
    """Return the answer of `/predict` to those who prefer an array."""
    what = "a NumPy file: float32, (n, 10) probabilities, a row of NaN for an image that could not be read"
    return {"schema": BINARY | {"description": what}}


def json_body() -> dict[str, Any]:
    encoded = base64.b64encode(sample_png()).decode()
    row = {"type": "array", "minItems": SIDE, "maxItems": SIDE}
    value = {"type": "integer", "minimum": 0, "maximum": 255}
    images = {
        "type": "array", "minItems": 1, "items": {"type": "string"},
        "description": "image files in base64, or data URLs of them",
    }  # fmt: skip
    pixels = {
        "type": "array", "minItems": 1, "items": row | {"items": row | {"items": value}},
        "description": "28 rows of 28 values, from 0 for paper to 255 for ink",
    }  # fmt: skip
    return {
        "schema": {"oneOf": [only("images", images), only("pixels", pixels)]},
        "examples": {
            "images": {"summary": "files in base64", "value": {"images": [encoded]}},
            "data URL": {"summary": "files as data URLs", "value": {"images": [f"data:image/png;base64,{encoded}"]}},
            "pixels": {"summary": "28 x 28 pixels", "value": {"pixels": [sample().tolist()]}},
        },
    }


def only(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: schema}, "additionalProperties": False}


def error_responses(**statuses: str) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of error answers: `errors(_404="there is no such plot")`."""
    return {int(status[1:]): {"model": Error, "description": why} for status, why in statuses.items()}
