"""What the service says, as OpenAPI shows it. Answers are checked against these in the tests, not at run time."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class ErrorDetail(BaseModel):
    code: str = Field(description="for programs; does not change", examples=["not_an_image"])
    message: str = Field(description="for people; may change")


class Error(BaseModel):
    """The request as a whole was refused."""

    error: ErrorDetail


class Identity(BaseModel):
    version: str = Field(description="version of the bundle", examples=["20261122T101500Z-3f9a1c"])
    sha256: str = Field(description="SHA-256 of the .h5 file", min_length=64, max_length=64)


class Explanation(BaseModel):
    """What the network saw of an image, and how that came about."""

    image: str = Field(description="the 28 x 28 pixels, as a PNG in base64", json_schema_extra={"format": "byte"})
    unchanged: bool = Field(description="whether the pixels were taken as they are: arrays, and what is MNIST's own")
    inverted: bool = Field(description="whether the ink was darker than the paper")
    box: tuple[float, float, float, float] | None = Field(
        description="left, top, width and height of the digit, in pixels of the upright image"
    )
    scale: float = Field(description="pixels of the network for each pixel of the image", gt=0)
    shift: tuple[int, int] = Field(description="of the digit from the middle of the 28 x 28, to the right and down")
    lines_removed: int = Field(description="ruled lines and lines of a frame", ge=0)
    ink: float = Field(description="contrast between ink and paper", ge=0, le=1)


class Prediction(BaseModel):
    """What was read in one image."""

    index: int = Field(description="place of the image in the request, from 0", ge=0)
    name: str | None = Field(description="name of the uploaded file, if there was one")
    digit: int | None = Field(description="null where none can be read; `reason` says why", ge=0, le=9)
    reason: Literal["blank", "several_digits", "not_a_digit"] | None = Field(description="why there is no digit")
    confidence: float = Field(description="the highest of the probabilities", ge=0, le=1)
    probabilities: list[float] = Field(description="of the digits 0 to 9", min_length=10, max_length=10)
    presence: float = Field(description="how likely there is a digit at all", ge=0, le=1)
    alternatives: list[tuple[int, float]] = Field(description="the next best digits and their probabilities")
    explanation: Explanation | None = Field(default=None, description="only with `?explain=true`")


class Failure(BaseModel):
    """Why one image could not be read; the others are answered all the same."""

    index: int = Field(description="place of the image in the request, from 0", ge=0)
    name: str | None = Field(description="name of the uploaded file, if there was one")
    error: ErrorDetail


class Predictions(BaseModel):
    """One entry for each image, in the order of the request."""

    model: Identity
    predictions: list[Prediction | Failure]


Box = tuple[int, int, int, int]


class ReadDigit(BaseModel):
    """A digit of a number."""

    digit: int | None = Field(description="null where it is none, or too doubtful", ge=0, le=9)
    confidence: float = Field(description="the probability of what was read, also where it is too low", ge=0, le=1)
    box: Box = Field(description="left, top, width, height in pixels of the upright image")
    alternatives: list[tuple[int, float]] = Field(
        description="the likeliest other digits and their probabilities; likelier ones, where they do not fit a pattern"
    )


class Mark(BaseModel):
    """A comma, point or dash in a number."""

    mark: Literal[",", ".", "-", "'"]
    after: int = Field(description="how many digits of the line stand before it", ge=0)
    box: Box = Field(description="left, top, width, height in pixels of the upright image")


class Line(BaseModel):
    """A line of digits."""

    text: str = Field(description="its digits, `?` for one that is null", examples=["90210"])
    confidence: float = Field(description="the product of its digits', less for ink left out; 0 for none", ge=0, le=1)
    fits: bool | None = Field(description="whether it fits what was expected, if anything was")
    box: Box = Field(description="left, top, width, height in pixels of the upright image")
    digits: list[ReadDigit]
    marks: list[Mark] = Field(description="commas, points and dashes, which are no digits")


class Reading(BaseModel):
    """The numbers in one image."""

    index: int = Field(description="place of the image in the request, from 0", ge=0)
    name: str | None = Field(description="name of the uploaded file, if there was one")
    text: str = Field(description="all lines, from top to bottom", examples=["90210"])
    confidence: float = Field(description="the product of that of all lines with digits; 0 for none", ge=0, le=1)
    lines: list[Line]


class Readings(BaseModel):
    """One entry for each image, in the order of the request."""

    model: Identity
    images: list[Reading | Failure]


class Live(BaseModel):
    status: Literal["alive"]


class Ready(BaseModel):
    status: Literal["ready"]


class Health(BaseModel):
    status: Literal["ok", "unavailable"]
    model: Identity | None = Field(description="what is served now")
    reason: str | None = Field(description="why nothing can be predicted, or why a newer model was not taken up")
    uptime: float = Field(description="seconds since the service started", ge=0)


class Manifest(BaseModel):
    """What the served model is, how it was made and how well it did, as its bundle says."""

    model_config = ConfigDict(extra="allow")

    format: int
    version: str
    model: dict[str, Any] = Field(description="file, sha256, size in bytes, parameters, keras_version …")
