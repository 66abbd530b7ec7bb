"""Requests as values, answers as values. Nothing here touches a network; both clients use all of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray

from digits_client._exceptions import BadAnswer, Rejected, Unavailable
from digits_client._images import SIDE, ImageLike, as_uint8, encode, encode_picture, name, npy

T = TypeVar("T")

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
    """What was read in one image. `digit` is None where none could be: `reason` or `error` says why.

    `reason` is `blank`, `several_digits` or `not_a_digit`. `confidence` is the highest of the
    `probabilities`, which are those of 0 to 9; `alternatives` are the next best digits, each with
    its own. `explanation` is there if it was asked for: see `/docs` for its fields.
    """

    index: int
    name: str | None
    digit: int | None
    confidence: float | None
    probabilities: tuple[float, ...] | None
    error: ItemError | None
    model: Identity
    reason: str | None = None
    alternatives: tuple[tuple[int, float], ...] = ()
    explanation: dict[str, Any] | None = None


Box = tuple[int, int, int, int]  # left, top, width, height in pixels of the upright image


@dataclass(frozen=True, slots=True)
class ReadDigit:
    """A digit of a number. `digit` is None where it is too doubtful."""

    digit: int | None
    confidence: float
    box: Box
    alternatives: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A comma, point or dash, which stands after so many digits of its line."""

    mark: str
    after: int
    box: Box


@dataclass(frozen=True, slots=True)
class Line:
    """A line of digits. `fits` says whether it is what was expected; None where nothing was."""

    text: str
    confidence: float
    fits: bool | None
    box: Box
    digits: tuple[ReadDigit, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """The numbers in one image. `text` has its lines, `?` for a digit that is None; `error` says why there are none."""

    index: int
    name: str | None
    text: str | None
    confidence: float | None
    lines: tuple[Line, ...]
    error: ItemError | None
    model: Identity


@dataclass(frozen=True, slots=True)
class Health:
    """`ok` when the service can predict; `reason` says why not, or why a newer model wasn't taken up."""

    ok: bool
    model: Identity | None
    reason: str | None
    uptime: float  # seconds


class Wishes(TypedDict, total=False):
    """What a prediction may be asked for beside the digit."""

    explain: bool
    threshold: float | None


class ReadWishes(TypedDict, total=False):
    """What is known of the numbers in an image: how many digits, or what pattern they have, and where they are."""

    expect: int | None
    pattern: str | None
    boxes: Sequence[Box]
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Request:
    """What one HTTP request needs: the arguments of `httpx.Client.request`."""

    method: str
    path: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A call in the making. `names` has one entry for each image; `batch` says whether a list was given."""

    request: Request | None  # none for no images
    names: list[str | None]
    batch: bool


def predict_call(images: Any, *, explain: bool = False, threshold: float | None = None) -> Call:
    """Build what predicts one image, a list of them, or an (n, 28, 28) array."""
    batch = is_batch(images)
    many = images if batch else [images]
    names = [name(image) for image in many]
    params = {"explain": "true"} if explain else {}
    params |= {} if threshold is None else {"threshold": str(threshold)}
    return Call(predict_request(many, params) if len(many) else None, names, batch)


def predict_request(images: Sequence[ImageLike] | NDArray[Any], params: dict[str, str]) -> Request:
    pixels = stacked(images)
    if pixels is not None:
        headers = {"content-type": "application/x-npy"}
        return Request("POST", "predict", {"content": npy(pixels), "headers": headers, "params": params})
    return Request("POST", "predict", {"files": as_files(images, encode), "params": params})


def read_call(
    images: Any,
    *,
    expect: int | None = None,
    pattern: str | None = None,
    boxes: Sequence[Box] = (),
    threshold: float | None = None,
) -> Call:
    """Build what reads the numbers in one picture, or in a list of them; an array is one."""
    batch = is_list(images)
    many = images if batch else [images]
    given = {"expect": expect, "pattern": pattern, "threshold": threshold}
    params: dict[str, Any] = {key: str(value) for key, value in given.items() if value is not None}
    params |= {"boxes": [",".join(map(str, box)) for box in boxes]} if len(boxes) else {}
    request = Request("POST", "read", {"files": as_files(many, encode_picture), "params": params})
    return Call(request if len(many) else None, [name(image) for image in many], batch)


def as_files(images: Iterable[Any], encoded: Callable[[object], bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", (sent_name(image, index), encoded(image))) for index, image in enumerate(images)]


def sent_name(image: object, index: int) -> str:
    """Return what a file is called on its way; a name that isn't UTF-8 on disk is so here."""
    return (name(image) or f"image-{index}").encode("utf-8", "replace").decode()


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
    return is_list(images)


def is_list(images: object) -> bool:
    return isinstance(images, Sequence) and not isinstance(images, str | bytes | bytearray | memoryview)


def read_predictions(response: httpx.Response, names: Sequence[str | None]) -> list[Prediction]:
    """Return one prediction for each name. Raises `Rejected` and `BadAnswer`."""
    return read_items(response, names, "predictions", read_prediction)


def read_readings(response: httpx.Response, names: Sequence[str | None]) -> list[Reading]:
    """Return one reading for each name. Raises `Rejected` and `BadAnswer`."""
    return read_items(response, names, "images", read_reading)


def read_items(
    response: httpx.Response,
    names: Sequence[str | None],
    field: str,
    read: Callable[[dict[str, Any], str | None, Identity], T],
) -> list[T]:
    """Return what a field of an answer holds for each image. Raises `Rejected` and `BadAnswer`."""
    body = read_json(response, accept={422})
    if "error" in body:
        raise refusal(response, body)
    try:
        model = read_identity(body["model"])
        found = [read(item, name, model) for item, name in zip(body[field], names, strict=True)]
        in_order = [item["index"] for item in body[field]] == list(range(len(names)))
    except (KeyError, TypeError, ValueError) as exc:
        raise BadAnswer(f"the answer is not one of this service: {exc!r}") from exc
    if not in_order:
        raise BadAnswer("the answer has its images in another order")
    return found


def read_prediction(item: dict[str, Any], name: str | None, model: Identity) -> Prediction:
    """Read one entry; fields that this client doesn't know are those of a newer service."""
    if "error" in item:
        error = ItemError(item["error"]["code"], item["error"]["message"])
        return Prediction(item["index"], name, None, None, None, error, model)
    probabilities = tuple(item["probabilities"])
    alternatives = read_pairs(item.get("alternatives", ()))
    return Prediction(
        item["index"], name, item["digit"], item["confidence"], probabilities, None, model,
        item.get("reason"), alternatives, item.get("explanation"),
    )  # fmt: skip


def read_reading(item: dict[str, Any], name: str | None, model: Identity) -> Reading:
    if "error" in item:
        error = ItemError(item["error"]["code"], item["error"]["message"])
        return Reading(item["index"], name, None, None, (), error, model)
    lines = tuple(read_line(line) for line in item["lines"])
    return Reading(item["index"], name, item["text"], item["confidence"], lines, None, model)


def read_line(line: dict[str, Any]) -> Line:
    digits = tuple(
        ReadDigit(digit["digit"], digit["confidence"], read_box(digit["box"]), read_pairs(digit["alternatives"]))
        for digit in line["digits"]
    )
    marks = tuple(Mark(mark["mark"], mark["after"], read_box(mark["box"])) for mark in line["marks"])
    return Line(line["text"], line["confidence"], line["fits"], read_box(line["box"]), digits, marks)


def read_box(box: Sequence[int]) -> Box:
    left, top, width, height = box
    return left, top, width, height


def read_pairs(alternatives: Iterable[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    return tuple((int(digit), float(probability)) for digit, probability in alternatives)


def read_identity(model: dict[str, Any]) -> Identity:
    return Identity(model["version"], model["sha256"])


def read_health(response: httpx.Response) -> Health:
    """Raises `Rejected` and `BadAnswer`."""
    body = read_json(response, accept={503})
    try:
        model = read_identity(body["model"]) if body["model"] else None
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
        raise refusal(response, body)
    return body


def refusal(response: httpx.Response, body: dict[str, Any]) -> Rejected:
    detail = body.get("error")
    detail = detail if isinstance(detail, dict) else {}
    code, message = str(detail.get("code", "unknown")), str(detail.get("message", "no reason was given"))
    if response.status_code in UNAVAILABLE:
        seconds = response.headers.get("retry-after", "")
        return Unavailable(response.status_code, code, message, float(seconds) if seconds.isdigit() else None)
    return Rejected(response.status_code, code, message)
