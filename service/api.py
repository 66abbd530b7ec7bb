"""The service with FastAPI: its documentation, and all routes but for the way that images take past them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel

from digits import __version__, bundle
from digits.bundle import Manifest
from service import errors, schemas
from service.endpoints import Endpoint
from service.engine import Models, NoModel
from service.errors import Problem
from service.middleware import PagePolicy
from service.openapi import (
    MODEL_HEADERS,
    error_responses,
    predict_array,
    predict_body,
    predict_parameters,
    read_body,
    read_parameters,
)

Responses = dict[int | str, dict[str, Any]]

DESCRIPTION = """Reads handwritten digits.

Send one image or many to `/predict`, as files, base64, pixels or a NumPy array; each gets its own
answer. Send pictures of whole numbers to `/read`. `/health` says whether the service can predict,
`/model` what it predicts with."""


def create_api(models: Models, endpoints: Mapping[str, Endpoint]) -> FastAPI:
    """Return the application that documents the endpoints, and answers all else itself."""
    app: FastAPI = FastAPIOffline(title="Digits", version=__version__, description=DESCRIPTION)  # no CDN for its pages
    app.add_middleware(PagePolicy)
    for kind in errors.KINDS:
        app.add_exception_handler(kind, errors.answer)
    add_predict(app, endpoints["/predict"])
    add_read(app, endpoints["/read"])
    add_health(app, models)
    add_model(app, models)

    @app.get("/", include_in_schema=False)
    async def home() -> RedirectResponse:
        return RedirectResponse("docs")  # relative, so that it holds behind a prefix

    return app


def add_predict(app: FastAPI, endpoint: Endpoint) -> None:
    async def predict(request: Request) -> Response:
        """Read the digit in each image.

        One that can't be read gets an `error` of its own; 200 if any could. One that holds no digit, or
        several, gets `digit: null` and a `reason`.
        """
        return await endpoint(request)

    as_array: Responses = {200: {"content": {"application/x-npy": predict_array()}, "headers": MODEL_HEADERS}}
    app.router.add_api_route(
        "/predict", predict, methods=["POST"], operation_id="predict", tags=["predict"],
        response_model=schemas.Predictions, responses=as_array | refusals(schemas.Predictions),
        openapi_extra={"parameters": predict_parameters(), "requestBody": predict_body()},
    )  # fmt: skip


def add_read(app: FastAPI, endpoint: Endpoint) -> None:
    async def read(request: Request) -> Response:
        """Read the numbers in each image, line by line.

        One that can't be read gets an `error` of its own; 200 if any could. With `expect` or `pattern` each
        line is the best reading that fits, and `fits` says whether there was one.
        """
        return await endpoint(request)

    app.router.add_api_route(
        "/read", read, methods=["POST"], operation_id="read", tags=["read"],
        response_model=schemas.Readings, responses=refusals(schemas.Readings),
        openapi_extra={"parameters": read_parameters(), "requestBody": read_body()},
    )  # fmt: skip


def refusals(answer: type[BaseModel]) -> Responses:
    """Return the answers, other than 200, to requests with images."""
    none: Responses = {422: {"model": answer | schemas.Error, "description": "No image could be read."}}
    return none | error_responses(
        _400="The body is empty, or not what its Content-Type says.",
        _413="The request has too many bytes or images.",
        _415="The Content-Type is none of those above.",
        _429="Too much is being read already; try again after `Retry-After` seconds.",
        _500="The service failed.",
        _503="There is no model yet.",
    )


def add_health(app: FastAPI, models: Models) -> None:
    started = time.monotonic()

    @app.get(
        "/health", operation_id="health", tags=["health"], response_model=schemas.Health,
        responses={503: {"model": schemas.Health, "description": "Nothing can be predicted; `reason` says why."}},
    )  # fmt: skip
    async def health() -> JSONResponse:
        """Say whether the service can predict, and with what."""
        served = identity(models)
        uptime = round(time.monotonic() - started, 3)
        state = {"status": "ok" if served else "unavailable", "model": served, "reason": models.refusal}
        return JSONResponse(state | {"uptime": uptime}, 200 if served else 503)

    @app.get("/health/live", operation_id="live", tags=["health"])
    async def live() -> schemas.Live:
        """Answer, which is all that a liveness probe asks."""
        return schemas.Live(status="alive")

    @app.get(
        "/health/ready", operation_id="ready", tags=["health"], responses=error_responses(_503="There is no model yet.")
    )
    async def ready() -> schemas.Ready:
        """Answer 200 as soon as and as long as `/predict` can."""
        _ = models.engine
        return schemas.Ready(status="ready")


def add_model(app: FastAPI, models: Models) -> None:
    no_model = error_responses(_503="There is no model yet.")
    unknown = error_responses(_404="The model has no such plot.")

    @app.get("/model", operation_id="model", tags=["model"], response_model=schemas.Manifest, responses=no_model)
    async def model() -> JSONResponse:
        """Return the manifest of the model that is served."""
        return JSONResponse(models.engine.manifest)

    @app.get(
        "/model/plots/{name}", operation_id="plot", tags=["model"], response_class=FileResponse,
        responses=no_model | unknown | {200: {"content": {"image/png": {}}}},
    )  # fmt: skip
    async def plot(name: str) -> FileResponse:
        """Return one of the plots that the manifest names."""
        return FileResponse(plot_file(models.engine.path, models.engine.manifest, name), media_type="image/png")


def identity(models: Models) -> dict[str, str] | None:
    try:
        return models.engine.identity
    except NoModel:
        return None


def plot_file(folder: Path, manifest: Manifest, name: str) -> Path:
    """Return the file of a plot that the manifest lists, and of no other. Raises `Problem`."""
    path = folder / bundle.PLOTS / name
    if name not in listed(manifest) or Path(name).name != name or not path.is_file():
        raise Problem(404, "not_found", f"the model has no plot {name!r}; GET /model lists them under 'plots'")
    return path


def listed(manifest: Manifest) -> list[Any]:
    plots = manifest.get("plots", [])
    return plots if isinstance(plots, list) else []
