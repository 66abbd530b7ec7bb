"""The service with FastAPI: its documentation, and all routes but for the way that images take past them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline

from digits import __version__, bundle
from digits.bundle import Manifest
from digits.errors import BadBundle
from service import errors, openapi, schemas
from service.endpoints import Protocol
from service.engine import Engine, Models
from service.middleware import REPORT_POLICY, PagePolicy
from service.problems import Problem
from service.settings import Settings

DESCRIPTION = """Reads handwritten digits.

Send one or many images to `/predict`, as files, base64, pixels or a NumPy array; each gets its own
answer. Send pictures of whole numbers to `/read`. `/health` says whether the service can predict,
`/model` describes the model, and `/model/report` shows the same to people, on a page."""


def create_api(settings: Settings, models: Models, protocols: Sequence[Protocol]) -> FastAPI:
    """Return the application that documents the endpoints, and answers all else itself."""
    app: FastAPI = FastAPIOffline(  # no CDN for its pages
        title="Digits", version=__version__, description=DESCRIPTION, openapi_tags=openapi.TAGS,
        license_info={"name": "MIT", "identifier": "MIT"},
        responses=openapi.error_answers({500: ("The service failed.", "internal")}),
        redirect_slashes=False,  # to wherever a Host header says
    )  # fmt: skip
    openapi.complete(app, settings)
    app.add_middleware(PagePolicy)
    for kind in errors.KINDS:
        app.add_exception_handler(kind, errors.answer)
    document_predict(app, settings)
    document_read(app, settings)
    add_health(app, models)
    add_model(app, models)
    for protocol in protocols:
        document(app, protocol)

    @app.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            prefix = request.scope["root_path"]  # of which the browser may have asked without the slash at its end
            return RedirectResponse(f"{prefix}/docs" if prefix else "docs")
        return JSONResponse({"status": "alive"})  # by which KServe's client knows a server of V1

    return app


def document_predict(app: FastAPI, settings: Settings) -> None:
    """Show `/predict`, whose requests never come here: see `service.app`."""

    async def predict() -> None:
        """Read the digit in each image.

        An image that can't be read gets an `error` of its own; the status is 200 if any could be read. An
        image with no digit, or several, gets `digit: null` and a `reason`.
        """

    refused = openapi.refusals(
        settings, schemas.Predictions, "no_predictions", "invalid", "unknown_field", "no_images", "bad_pixels"
    )
    responses = openapi.answer("predictions") | refused
    app.router.add_api_route(
        "/predict", predict, methods=["POST"], operation_id="predict", tags=["predict"],
        response_model=schemas.Predictions,
        responses=responses | {status: openapi.with_array(responses[status]) for status in (200, 422)},
        openapi_extra={"parameters": openapi.predict_parameters(), "requestBody": openapi.predict_body(settings)},
    )  # fmt: skip


def document_read(app: FastAPI, settings: Settings) -> None:
    """Show `/read`, likewise."""

    async def read() -> None:
        """Read the numbers in each image, line by line.

        An image that can't be read gets an `error` of its own; the status is 200 if any could be read. With
        `expect` or `pattern`, each line is the best reading that fits, and `fits` says whether there was one.
        """

    refused = openapi.refusals(settings, schemas.Readings, "no_readings", "invalid", "unknown_field", "no_images")
    app.router.add_api_route(
        "/read", read, methods=["POST"], operation_id="read", tags=["read"],
        response_model=schemas.Readings, responses=openapi.answer("readings") | refused,
        openapi_extra={"parameters": openapi.read_parameters(), "requestBody": openapi.read_body(settings)},
    )  # fmt: skip


def document(app: FastAPI, protocol: Protocol) -> None:
    """Show the operations of a protocol, likewise."""
    tag = protocol.root.strip("/")
    for item in protocol.operations:
        if item.refusals is not None:
            app.router.add_api_route(
                item.path, item.endpoint, methods=[item.method], operation_id=f"{tag}_{item.name}", tags=[tag],
                response_model=None, responses=openapi.protocol_responses(item.name, item.refusals),
                openapi_extra=openapi.protocol_extra(item.name, item.path),
            )  # fmt: skip


def add_health(app: FastAPI, models: Models) -> None:
    started = time.monotonic()

    @app.get(
        "/health", operation_id="health", tags=["health"], response_model=schemas.Health,
        responses=openapi.answer("healthy") | {503: openapi.UNHEALTHY},
    )  # fmt: skip
    async def health() -> JSONResponse:
        """Say whether the service can predict, and with which model."""
        served = models.served and models.served.identity
        uptime = round(time.monotonic() - started, 3)
        state = {"status": "ok" if served else "unavailable", "model": served, "reason": models.refusal}
        return JSONResponse(state | {"uptime": uptime}, 200 if served else 503)

    @app.get("/health/live", operation_id="live", tags=["health"], responses=openapi.answer("live"))
    async def live() -> schemas.Live:
        """Answer 200 as long as the service runs, for liveness probes."""
        return schemas.Live(status="alive")

    @app.get(
        "/health/ready", operation_id="ready", tags=["health"],
        responses=openapi.answer("ready") | openapi.NO_MODEL,
    )  # fmt: skip
    async def ready() -> schemas.Ready:
        """Answer 200 while `/predict` can answer, else 503, for readiness probes."""
        _ = models.engine
        return schemas.Ready(status="ready")


def add_model(app: FastAPI, models: Models) -> None:
    unknown = openapi.error_answers({404: ("The model has no such plot.", "not_found")})

    @app.get(
        "/model", operation_id="model", tags=["model"], response_model=schemas.Manifest,
        responses=openapi.answer("manifest") | openapi.NO_MODEL,
    )  # fmt: skip
    async def model() -> JSONResponse:
        """Return the manifest of the model that is served."""
        return JSONResponse(models.engine.manifest)

    @app.get(
        "/model/plots/{name}", operation_id="plot", tags=["model"], response_class=Response,
        responses=openapi.NO_MODEL | unknown | {200: openapi.PNG}, openapi_extra={"parameters": [openapi.PLOT]},
    )  # fmt: skip
    def plot(request: Request) -> Response:
        """Return one of the plots that the manifest names."""
        engine = models.engine  # the same for both questions, whatever is published meanwhile
        path = plot_file(engine, request.path_params["name"])
        return Response(file_of(engine, path), media_type="image/png")

    @app.get(
        "/model/report", operation_id="report", tags=["model"], response_class=Response,
        responses=openapi.NO_MODEL | openapi.error_answers({404: ("The model has no report.", "no_report")})
        | {200: openapi.PAGE},
    )  # fmt: skip
    def report() -> Response:
        """Return the page that shows how the model was made and how well it did."""
        engine = models.engine
        page = file_of(engine, report_file(engine))
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})


def plot_file(engine: Engine, name: str) -> Path:
    """Return the file of a plot that the manifest lists, and of no other. Raises `Problem`."""
    path = engine.path / bundle.PLOTS / name
    if name not in listed(engine.manifest) or Path(name).name != name or not is_file(path):
        raise Problem(404, "not_found", f"the model has no plot {name!r}; GET /model lists them under 'plots'")
    return path


def report_file(engine: Engine) -> Path:
    """Return the page in the folder of a bundle; beside a bare `.h5` lies what has nothing to do with it.

    Raises `Problem`.
    """
    path = engine.path / bundle.REPORT_NAME
    if engine.path.name != engine.manifest["version"] or not is_file(path):
        raise Problem(404, "not_found", "the model came without a report")
    return path


def is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  # says no where Path.is_file raises: too long a name


def file_of(engine: Engine, path: Path) -> bytes:
    """Return a file of a bundle, which may be unreadable, huge or a link, as it was copied. Raises `Problem`."""
    try:
        return bundle.read_inside(engine.path, path)
    except BadBundle as exc:
        raise Problem(404, "not_found", str(exc)) from exc


def listed(manifest: Manifest) -> list[Any]:
    """Return what a manifest lists as plots, whoever wrote it."""
    plots = manifest.get("plots", [])
    return plots if isinstance(plots, list) else []
