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


class Prediction(BaseModel):
    """What was read in one image."""

    index: int = Field(description="place of the image in the request, from 0", ge=0)
    name: str | None = Field(description="name of the uploaded file, if there was one")
    digit: int = Field(ge=0, le=9)
    confidence: float = Field(description="probability of that digit", ge=0, le=1)
    probabilities: list[float] = Field(description="of the digits 0 to 9", min_length=10, max_length=10)


class Failure(BaseModel):
    """Why one image could not be read; the others are answered all the same."""

    index: int = Field(description="place of the image in the request, from 0", ge=0)
    name: str | None = Field(description="name of the uploaded file, if there was one")
    error: ErrorDetail


class Predictions(BaseModel):
    """One entry for each image, in the order of the request."""

    model: Identity
    predictions: list[Prediction | Failure]


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
