"""Examples for the OpenAPI document: bodies that can be sent as they stand, what is answered, and what is refused.

The tests send each of them, and ask for each answer.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from digits.image import Pixels, as_png
from digits.sizes import SIDE
from service.inference import INPUT
from service.items import ACCEPTED

Examples = dict[str, dict[str, Any]]  # by name, as OpenAPI has them

SEVEN = (".######.", ".######.", ".....##.", "....##..", "....##..", "...##...", "...##...", "..##....")
SHA256 = "3f9a1c0d5b7e2f4886a1d4c3b09e7f5162738495a6b7c8d9e0f1a2b3c4d5e6f7"
IDENTITY = {"version": "20261122T101500Z-3f9a1c", "sha256": SHA256}


def sample() -> Pixels:
    """Return the pixels of a plain drawn 7."""
    drawn = np.array([[255 * (mark == "#") for mark in row] for row in SEVEN], np.uint8)
    return np.pad(np.kron(drawn, np.ones((2, 2), np.uint8)), (SIDE - 2 * len(SEVEN)) // 2)


def png(*pixels: Pixels) -> bytes:
    """Return images side by side as a PNG."""
    return as_png(np.hstack(pixels))


# --- bodies -------------------------------------------------------------------------------------


def for_predict() -> Examples:
    pixels = {"summary": "28 x 28 pixels", "value": {"pixels": [sample().tolist()]}}
    return encoded(png(sample())) | {"pixels": pixels}


def for_read() -> Examples:
    return encoded(png(sample(), sample()))


def for_protocol(operation: str) -> Examples:
    """Return a body of `infer`, `predict` or `classify` in the protocols of other model servers."""
    pixels = sample().ravel().tolist()
    tensor = {"name": INPUT, "shape": [1, SIDE, SIDE], "datatype": "UINT8", "data": pixels}
    file = {"b64": base64.b64encode(png(sample())).decode()}
    values = {
        "infer": {"inputs": [tensor]},
        "predict": {"instances": [file]},
        "classify": {"examples": [{INPUT: file}]},
    }
    return {"image": {"summary": "one image", "value": values[operation]}}


def encoded(file: bytes) -> Examples:
    text = base64.b64encode(file).decode()
    return {
        "base64": {"summary": "files in base64", "value": {"images": [text]}},
        "data_url": {"summary": "files as data URLs", "value": {"images": [f"data:image/png;base64,{text}"]}},
    }


# --- answers ------------------------------------------------------------------------------------

FAILURE = {
    "index": 1, "name": "notes.pdf",
    "error": {"code": "not_an_image", "message": "this is not a PNG, JPEG, WebP, BMP, GIF or TIFF image"},
}  # fmt: skip

PREDICTION = {
    "index": 0, "name": "seven.png", "digit": 7, "reason": None, "confidence": 0.9999,
    "probabilities": [0, 0, 0, 0, 0, 0, 0, 0.9999, 0, 0.0001], "presence": 0.998,
    "alternatives": [[9, 0.0001], [3, 0]],
}  # fmt: skip

READ_DIGITS = [
    {"digit": 7, "confidence": 0.99, "box": [8, 6, 12, 16], "alternatives": [[9, 0.007], [4, 0.001]]},
    {"digit": 7, "confidence": 0.98, "box": [36, 6, 12, 16], "alternatives": [[9, 0.012], [4, 0.002]]},
]

LINE = {
    "text": "77", "confidence": 0.9702, "fits": None, "box": [7, 5, 42, 18], "digits": READ_DIGITS, "marks": [],
}  # fmt: skip

READING = {"index": 0, "name": "number.png", "text": "77", "confidence": 0.9702, "lines": [LINE]}

NO_MODEL = "there is no model in models yet, nothing that could be served; train one, or put a mnist_cnn_model.h5 there"

ANSWERS: dict[str, dict[str, Any]] = {
    "predictions": {"model": IDENTITY, "predictions": [PREDICTION, FAILURE]},
    "no_predictions": {"model": IDENTITY, "predictions": [FAILURE | {"index": 0}]},
    "readings": {"model": IDENTITY, "images": [READING, FAILURE]},
    "no_readings": {"model": IDENTITY, "images": [FAILURE | {"index": 0}]},
    "no_report": {"error": {"code": "not_found", "message": "the model came without a report"}},
    "healthy": {"status": "ok", "model": IDENTITY, "reason": None, "uptime": 3600.5},
    "unhealthy": {"status": "unavailable", "model": None, "reason": NO_MODEL, "uptime": 1.5},
    "live": {"status": "alive"},
    "ready": {"status": "ready"},
    "manifest": {
        "format": 1, "version": IDENTITY["version"], "created": "2026-11-22T10:15:00Z",
        "model": {"file": "mnist_cnn_model.h5", "sha256": SHA256, "size": 4_827_232}, "plots": ["accuracy.png"],
    },
}  # fmt: skip

# code -> how the message of such an error reads
MESSAGES = {
    "empty_body": "the request has no body",
    "malformed": "the body is cut short: its last boundary is missing",
    "not_found": "the model has no plot 'loss.png'; GET /model lists them under 'plots'",
    "too_large": "a request may have at most 10,485,760 bytes",
    "too_many_images": "a request may hold at most 10,000 images",
    "unsupported_media_type": f"send {ACCEPTED}, not text/plain",
    "unsupported_encoding": "the Content-Encoding of a body may be gzip or deflate, or none",
    "invalid": "threshold must be a number between 0 and 1",
    "unknown_field": "send files, each in a field named 'images', and nothing else",
    "no_images": "the request holds no image",
    "bad_pixels": "the array is (28, 27); send (28, 28) or (n, 28, 28)",
    "overloaded": "20000 images are being read already; at most 20000 may",
    "internal": "the service failed to answer; its log says why",
    "no_model": NO_MODEL,
}


def answers() -> Examples:
    """Return all answers and, by their codes, all refusals."""
    refusals = {code: {"error": {"code": code, "message": message}} for code, message in MESSAGES.items()}
    return {name: {"value": value} for name, value in (ANSWERS | refusals).items()}
