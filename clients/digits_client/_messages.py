"""Requests as values, answers as values. Nothing here touches a network; both clients use all of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from digits_client._exceptions import BadAnswer, Rejected, Unavailable
from digits_client._images import SIDE, ImageLike, as_uint8, npy, uploads

UNAVAILABLE = {429, 503}


@dataclass(frozen=True, slots=True)
class Identity:
    """Which model answered: the version of its bundle, and the SHA-256 of its file."""

    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one image could not be read. `code` is for programs: `not_an_image`, `broken`, `too_large` …"""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was read in one image, or why nothing was: either `digit` or `error` is None.

    `confidence` is the probability of the digit, `probabilities` are those of 0 to 9.
    """

    index: int
    name: str | None
    digit: int | None
    confidence: float | None
    probabilities: tuple[float, ...] | None
    error: ItemError | None
    model: Identity

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class Health:
    """`ok` when the service can predict; `reason` says why not, or why a newer model wasn't taken up."""

    ok: bool
    model: Identity | None
    reason: str | None
    uptime: float  # seconds


@dataclass(frozen=True, slots=True)
class Request:
    """What one HTTP request needs: the arguments of `httpx.Client.request`."""

    method: str
    path: str
    options: dict[str, Any]


def predict_request(images: Sequence[ImageLike] | NDArray[Any]) -> Request:
    """Build the request for a list of images, or for an (n, 28, 28) array."""
    pixels = stacked(images)
    if pixels is not None:
        headers = {"content-type": "application/x-npy"}
        return Request("POST", "predict", {"content": npy(pixels), "headers": headers})
    files = [("images", (upload.name, upload.content)) for upload in uploads(list(images))]
    return Request("POST", "predict", {"files": files})


def stacked(images: Sequence[ImageLike] | NDArray[Any]) -> NDArray[np.uint8] | None:
    """Return (n, 28, 28) if that is what the images are, or nothing but (28, 28) arrays are."""
    if isinstance(images, np.ndarray):
        return as_uint8(images)
    arrays = [as_uint8(image) for image in images if isinstance(image, np.ndarray)]
    if len(arrays) < len(images) or any(array.shape != (SIDE, SIDE) for array in arrays):
        return None
    return np.stack(arrays)


def is_batch(images: object) -> bool:
    """Tell many images from one: a list or tuple is many, and so is an array of (n, 28, 28) or (n, 28, 28, 1)."""
    if isinstance(images, np.ndarray):
        return images.shape[1:] in {(SIDE, SIDE), (SIDE, SIDE, 1)}
    return isinstance(images, Sequence) and not isinstance(images, str | bytes)


def read_predictions(response: httpx.Response) -> list[Prediction]:
    """Raises `Rejected` and `BadAnswer`."""
    body = read_json(response, accept={422})
    try:
        if "error" in body:
            raise refusal(response.status_code, body)
        model = Identity(**body["model"])
        return [read_prediction(item, model) for item in body["predictions"]]
    except (KeyError, TypeError) as exc:
        raise BadAnswer(f"the answer to /predict is not one of this service: {exc!r}") from exc


def read_prediction(item: dict[str, Any], model: Identity) -> Prediction:
    if "error" in item:
        return Prediction(item["index"], item["name"], None, None, None, ItemError(**item["error"]), model)
    probabilities = tuple(item["probabilities"])
    return Prediction(item["index"], item["name"], item["digit"], item["confidence"], probabilities, None, model)


def read_health(response: httpx.Response) -> Health:
    """Raises `Rejected` and `BadAnswer`."""
    body = read_json(response, accept={503})
    try:
        model = Identity(**body["model"]) if body["model"] else None
        return Health(body["status"] == "ok", model, body["reason"], body["uptime"])
    except (KeyError, TypeError) as exc:
        raise BadAnswer(f"the answer to /health is not one of this service: {exc!r}") from exc


def read_json(response: httpx.Response, accept: Collection[int] = ()) -> dict[str, Any]:
    """Return the object that a successful answer holds, or one of the accepted statuses. Raises otherwise."""
    try:
        body = response.json()
    except ValueError as exc:
        raise BadAnswer(f"the answer ({response.status_code}) is not JSON") from exc
    if not isinstance(body, dict):
        raise BadAnswer(f"the answer ({response.status_code}) is not a JSON object")
    if not response.is_success and response.status_code not in accept:
        raise refusal(response.status_code, body)
    return body


def refusal(status: int, body: dict[str, Any]) -> Rejected:
    detail = body.get("error")
    detail = detail if isinstance(detail, dict) else {}
    kind = Unavailable if status in UNAVAILABLE else Rejected
    return kind(status, str(detail.get("code", "unknown")), str(detail.get("message", "no reason was given")))
