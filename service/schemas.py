"""What the service says, as OpenAPI shows it. Answers are checked against these in the tests, not at run time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.items import MAX_NAME

Place = Annotated[int, Field(ge=0)]  # in pixels of the upright image
Box = tuple[Place, Place, Place, Place]
Share = Annotated[float, Field(ge=0, le=1)]
Alternative = tuple[Annotated[int, Field(ge=0, le=9)], Share]  # a digit and its probability

INDEX = Field(description="place of the image in the request, from 0", ge=0)
NAME = Field(description="name of the uploaded file, if there was one", max_length=MAX_NAME)


class ErrorDetail(BaseModel):
    """What is wrong."""

    code: str = Field(description="for programs; never changes", examples=["not_an_image"])
    message: str = Field(description="for people; may change")


class Error(BaseModel):
    """The request as a whole was refused."""

    error: ErrorDetail = Field(description="why")


class Refusal(BaseModel):
    """Why a request was refused, in the form of other model servers."""

    error: str = Field(description="for people; may change")


class Identity(BaseModel):
    """A model."""

    version: str = Field(description="version of the bundle", examples=["20261122T101500Z-3f9a1c"])
    sha256: str = Field(description="SHA-256 of the .h5 file", pattern="^[0-9a-f]{64}$")


class Explanation(BaseModel):
    """What the network saw of an image, and how that was made."""

    image: str = Field(description="the 28 x 28 pixels, as a PNG in base64", json_schema_extra={"format": "byte"})
    unchanged: bool = Field(
        description="whether the pixels were taken as they are: arrays and images of MNIST's geometry"
    )
    inverted: bool = Field(description="whether the ink was darker than the paper")
    box: tuple[float, float, float, float] | None = Field(
        description="left, top, width and height of the digit, in pixels of the upright image; "
        "of all of it where the whole image was read"
    )
    scale: float = Field(description="pixels of the network per pixel of the image", gt=0)
    shift: tuple[int, int] = Field(
        description="how far the digit was moved from the middle of the 28 x 28 pixels, right and down; "
        "0 where the whole image was read"
    )
    lines_removed: int = Field(description="how many ruled lines and frame lines were removed", ge=0)
    ink: float = Field(description="contrast between ink and paper", ge=0, le=1)


class Prediction(BaseModel):
    """What was read in one image."""

    index: int = INDEX
    name: str | None = NAME
    digit: int | None = Field(description="null if none can be read; `reason` says why", ge=0, le=9)
    reason: Literal["blank", "several_digits", "not_a_digit"] | None = Field(description="why there is no digit")
    confidence: float = Field(description="the highest of the probabilities", ge=0, le=1)
    probabilities: list[Share] = Field(description="probabilities of the digits 0 to 9", min_length=10, max_length=10)
    presence: float = Field(description="how likely it is that there is a digit at all", ge=0, le=1)
    alternatives: list[Alternative] = Field(description="the next likeliest digits and their probabilities")
    explanation: Explanation | None = Field(default=None, description="only with `?explain=true`")


class Failure(BaseModel):
    """Why one image could not be read; the others are still answered."""

    index: int = INDEX
    name: str | None = NAME
    error: ErrorDetail = Field(description="what is wrong with the image")


class Predictions(BaseModel):
    """One entry for each image, in the order of the request."""

    model: Identity = Field(description="the model that answered")
    predictions: list[Prediction | Failure] = Field(description="what was read, or why it could not be", min_length=1)


class ReadDigit(BaseModel):
    """A digit of a number."""

    digit: int | None = Field(description="null if it is not a digit, or too doubtful", ge=0, le=9)
    confidence: float = Field(
        description="how likely it is this digit, and a digit at all; given even if too low", ge=0, le=1
    )
    box: Box = Field(description="left, top, width, height in pixels of the upright image")
    alternatives: list[Alternative] = Field(
        description="the likeliest other digits and their probabilities; likelier ones if they do not fit a pattern"
    )


class Mark(BaseModel):
    """A comma, point, dash or apostrophe in a number."""

    mark: Literal[",", ".", "-", "'"] = Field(description="what it is")
    after: int = Field(description="how many digits of the line come before it", ge=0)
    box: Box = Field(description="left, top, width, height in pixels of the upright image")


class Line(BaseModel):
    """A line of digits."""

    text: str = Field(description="its digits, with `?` for one that is null", examples=["90210"])
    confidence: float = Field(
        description="product of the confidences of its digits, less for ink left out; 0 without digits", ge=0, le=1
    )
    fits: bool | None = Field(description="whether it fits `expect` or `pattern`; null without either")
    box: Box = Field(description="left, top, width, height in pixels of the upright image")
    digits: list[ReadDigit] = Field(description="from left to right")
    marks: list[Mark] = Field(description="commas, points, dashes and apostrophes")


class Reading(BaseModel):
    """The numbers in one image."""

    index: int = INDEX
    name: str | None = NAME
    text: str = Field(description="all lines, from top to bottom", examples=["90210"])
    confidence: float = Field(
        description="product of the confidences of all lines with digits; 0 without any", ge=0, le=1
    )
    lines: list[Line] = Field(description="from top to bottom, or in the order of `boxes`")


class Readings(BaseModel):
    """One entry for each image, in the order of the request."""

    model: Identity = Field(description="the model that answered")
    images: list[Reading | Failure] = Field(description="what was read, or why it could not be", min_length=1)


class Live(BaseModel):
    """The service runs."""

    status: Literal["alive"] = Field(description="always this value")


class Ready(BaseModel):
    """The service can predict."""

    status: Literal["ready"] = Field(description="always this value")


class Health(BaseModel):
    """The state of the service."""

    status: Literal["ok", "unavailable"] = Field(description="whether it can predict")
    model: Identity | None = Field(description="the model that is served now")
    reason: str | None = Field(description="why the service cannot predict, or why a newer model was not taken up")
    uptime: float = Field(description="seconds since the service started", ge=0)


class ModelFile(BaseModel):
    """A Keras file, and facts about it."""

    model_config = ConfigDict(extra="allow")

    file: str = Field(description="name of the .h5 file")
    sha256: str = Field(description="its SHA-256", pattern="^[0-9a-f]{64}$")
    size: int = Field(description="its size in bytes", ge=0)


class Manifest(BaseModel):
    """What the served model is, how it was made and how well it did, from its bundle."""

    model_config = ConfigDict(extra="allow")

    format: int = Field(description="format of the manifest", ge=1)
    version: str = Field(description="version of the bundle")
    created: str = Field(default="", description="when the bundle was made, in UTC; missing for a bare .h5")
    model: ModelFile = Field(description="the file, and perhaps `parameters`, `keras_version` and more")
    plots: list[str] = Field(default=[], description="names for `/model/plots/{name}`")
