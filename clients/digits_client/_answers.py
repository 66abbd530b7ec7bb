"""Answers as values. Knows nothing of how they came, nor of what was asked but its names."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from operator import index as whole
from typing import Any, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from digits_client._exceptions import BadAnswer, Rejected, Unavailable
from digits_client._retries import PASSING, seconds_asked

T = TypeVar("T")

ADVICE = {  # where what answered gave no reason that we can read
    401: "a gateway in front of the service wants a key: Client(url, api_key=...)",
    403: "a gateway in front of the service wants another key: Client(url, api_key=...)",
    404: "there is no such path; has the address a prefix too many or too few, or is this another server?",
    413: "the request is too long for a gateway in front of the service; send fewer or smaller images",
    502: "a gateway answered, but not the service behind it; is that running?",
    503: "a gateway answered, but not the service behind it; is that running?",
    504: "a gateway answered, but not the service behind it; is that too busy?",
}
WRONG = (KeyError, TypeError, ValueError, OverflowError)  # in what was answered; the last of float(10**400)
DEEPEST = 50  # lists and objects within each other; far more than in any answer, and far less than Python can copy


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, read to its end. The names of headers are looked up in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str  # that was asked, without its query


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
    its own. `presence` is how likely there is a digit at all. `explanation` is there if it was
    asked for: see `/docs` for its fields.
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
    presence: float | None = None


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
    """A comma, point, dash or apostrophe, which stands after so many digits of its line."""

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


def read_predictions(answer: Answer, names: Sequence[str | None], start: int) -> list[Prediction]:
    """Return one prediction for each name, with indices from `start`. Raises `Rejected` and `BadAnswer`."""
    return read_items(answer, names, start, "predictions", read_prediction)


def read_readings(answer: Answer, names: Sequence[str | None], start: int) -> list[Reading]:
    """Return one reading for each name, with indices from `start`. Raises `Rejected` and `BadAnswer`."""
    return read_items(answer, names, start, "images", read_reading)


def read_items(
    answer: Answer,
    names: Sequence[str | None],
    start: int,
    field: str,
    read: Callable[[dict[str, Any], int, str | None, Identity], T],
) -> list[T]:
    """Return what a field of an answer holds for each image. Raises `Rejected` and `BadAnswer`."""
    body = read_json(answer, accept={422})
    if "error" in body:
        raise refusal(answer, body)
    try:
        model = read_identity(body["model"])
        in_order = [item["index"] for item in body[field]] == list(range(len(names)))
        found = [read(item, start + at, names[at], model) for at, item in enumerate(body[field])] if in_order else []
    except WRONG as exc:
        raise BadAnswer(f"the answer is not one of this service: {exc!r}") from exc
    if not in_order:
        raise BadAnswer("the answer has other images, or has them in another order")
    return found


def read_prediction(item: dict[str, Any], index: int, name: str | None, model: Identity) -> Prediction:
    """Read one entry; fields that this client doesn't know are those of a newer service."""
    if "error" in item:
        return Prediction(index, name, None, None, None, read_error(item["error"]), model)
    probabilities = tuple(map(float, item["probabilities"]))
    alternatives = read_pairs(item.get("alternatives", ()))
    return Prediction(
        index, name, given(whole, item["digit"]), float(item["confidence"]), probabilities, None, model,
        given(text, item.get("reason")), alternatives, given(fields, item.get("explanation")),
        given(float, item.get("presence")),
    )  # fmt: skip


def read_reading(item: dict[str, Any], index: int, name: str | None, model: Identity) -> Reading:
    if "error" in item:
        return Reading(index, name, None, None, (), read_error(item["error"]), model)
    lines = tuple(read_line(line) for line in item["lines"])
    return Reading(index, name, text(item["text"]), float(item["confidence"]), lines, None, model)


def read_error(error: dict[str, Any]) -> ItemError:
    return ItemError(text(error["code"]), text(error["message"]))


def read_line(line: dict[str, Any]) -> Line:
    digits = tuple(read_digit(digit) for digit in line["digits"])
    marks = tuple(Mark(text(mark["mark"]), whole(mark["after"]), read_box(mark["box"])) for mark in line["marks"])
    fits = given(bool, line["fits"])
    return Line(text(line["text"]), float(line["confidence"]), fits, read_box(line["box"]), digits, marks)


def read_digit(digit: dict[str, Any]) -> ReadDigit:
    alternatives = read_pairs(digit["alternatives"])
    return ReadDigit(given(whole, digit["digit"]), float(digit["confidence"]), read_box(digit["box"]), alternatives)


def read_box(box: Sequence[int]) -> Box:
    left, top, width, height = map(whole, box)
    return left, top, width, height


def read_pairs(alternatives: Iterable[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    return tuple((whole(digit), float(probability)) for digit, probability in alternatives)


def read_identity(model: dict[str, Any]) -> Identity:
    return Identity(text(model["version"]), text(model["sha256"]))


def given(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else read(value)


def text(value: Any) -> str:
    """Take nothing but what is text already, as `whole` does with whole numbers. Raises `TypeError`."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where there should be text")
    return value


def fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} where there should be fields")
    return value


def read_rows(answer: Answer, names: Sequence[str | None], start: int) -> list[NDArray[np.float32]]:
    """Return the ten probabilities for each name, NaN where an image could not be read. Raises as above."""
    if answer.status not in {200, 422} or answer.headers.get("content-type") != "application/x-npy":
        read_json(answer)  # which says what is wrong
        raise BadAnswer("the answer is not the array that was asked for; is the service too old?")
    try:
        rows = npy.read_array(io.BytesIO(answer.body), allow_pickle=False)
    except Exception as exc:  # the header is a Python literal, and NumPy's reader of it raises anything
        raise BadAnswer(f"the answer is not an array: {exc}") from exc
    if rows.shape != (len(names), 10) or rows.dtype != np.float32:
        raise BadAnswer(f"the answer is {rows.dtype} of {rows.shape} and not probabilities of {len(names)} images")
    return list(rows)


def read_health(answer: Answer) -> Health:
    """Raises `Rejected` and `BadAnswer`."""
    body = read_json(answer, accept={503})
    if "error" in body:
        raise refusal(answer, body)
    try:
        model = read_identity(body["model"]) if body["model"] else None
        return Health(body["status"] == "ok", model, given(text, body["reason"]), float(body["uptime"]))
    except WRONG as exc:
        raise BadAnswer(f"the answer to /health is not one of this service: {exc!r}") from exc


def read_json(answer: Answer, accept: Collection[int] = ()) -> dict[str, Any]:
    """Return the object that a successful answer holds, or one of the accepted statuses. Raises otherwise."""
    is_good = 200 <= answer.status < 300
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError) as exc:
        if not is_good:
            raise refusal(answer, {}) from None
        raise BadAnswer(f"the answer of {answer.url} ({answer.status}) is not JSON; is this a Digits service?") from exc
    if not is_good and answer.status not in accept:
        raise refusal(answer, body if isinstance(body, dict) else {})
    if not isinstance(body, dict):
        raise BadAnswer(f"the answer of {answer.url} ({answer.status}) is no JSON object; is this a Digits service?")
    if is_deep(body):
        raise BadAnswer(f"the answer of {answer.url} ({answer.status}) is nested deeper than any of a Digits service")
    return body


def is_deep(value: Any) -> bool:
    """Tell whether lists and objects lie so deep in each other that to copy, print or write them might fail."""
    level = [value]
    for _ in range(DEEPEST):
        items = chain.from_iterable(one.values() if isinstance(one, dict) else one for one in level)
        level = [item for item in items if isinstance(item, dict | list)]
    return bool(level)


def refusal(answer: Answer, body: dict[str, Any]) -> Rejected:
    """Return what to raise: with the reason that the service gave, or what is known of the status."""
    detail = body.get("error")
    detail = detail if isinstance(detail, dict) else {}
    code = str(detail.get("code", "unknown"))
    # Of a 404 we know more than it says: the service has every path that we ask for.
    told = None if answer.status == 404 else detail.get("message")
    message = str(told or f"{answer.url}: {ADVICE.get(answer.status) or unexplained(answer)}")
    if answer.status in PASSING:
        return Unavailable(answer.status, code, message, seconds_asked(answer.headers.get("retry-after")))
    return Rejected(answer.status, code, message)


def unexplained(answer: Answer) -> str:
    server = answer.headers.get("server")
    by = f" by {server}" if server else ""
    return f"no reason was given{by} ({phrase(answer.status)}); is this a Digits service?"


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "which is no status of HTTP"
