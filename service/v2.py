"""The Open Inference Protocol V2 in HTTP, as the clients of Triton, KServe and MLServer speak it.

A thin layer: what a request holds goes the way of `/predict`, and `service.tensors` reads and
writes it. There is one model, with one version at a time; loading it is the trainer's matter.
Specification: kserve/open-inference-protocol, inference_rest.md; Triton's docs/protocol for the
extensions, all of which are named in `EXTENSIONS`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digits import __version__
from digits.judgements import COLUMNS, Judgements
from digits.sizes import SIDE
from service import errors, inference, tensors
from service.encodings import WINDOWS, deflate
from service.endpoints import Operation, Protocol
from service.engine import Engine, Models
from service.inference import INPUT, json_response
from service.intake import Intake
from service.judging import judge
from service.problems import Problem
from service.tensors import JSON_LENGTH, OUTPUTS, Asked

EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"]
PLATFORM = "onnxruntime_onnx"
IMAGE = [SIDE, SIDE, 1]  # as Keras has it
WIDTHS = {name: len(range(COLUMNS)[columns]) for name, columns in OUTPUTS.items()}
ELSEWHERE = ("logging", "trace", "systemsharedmemory", "cudasharedmemory")  # below /v2
UNSUPPORTED = ("/trace/setting", "/generate", "/generate_stream")  # below a model

MODELS = {"": "/v2/models/{model}", "_version": "/v2/models/{model}/versions/{version}"}


@dataclass(frozen=True, slots=True)
class V2:
    """Answers for one model of this name, whose version is that of its bundle."""

    intake: Intake
    models: Models
    name: str

    @property
    def protocol(self) -> Protocol:
        control = "/v2/repository/models/{model}"
        operations = [
            Operation("server", "GET", "/v2", self.server, ()),
            Operation("live", "GET", "/v2/health/live", self.live, ()),
            Operation("server_ready", "GET", "/v2/health/ready", self.ready, (503,)),
            Operation("stats_all", "GET", "/v2/models/stats", self.stats, (503,)),
            Operation("index", "POST", "/v2/repository/index", self.index, (400, 413, 415, 503)),
            Operation("load", "POST", f"{control}/load", self.control, None),
            Operation("unload", "POST", f"{control}/unload", self.control, None),
        ]
        for which, at in MODELS.items():
            operations += [
                Operation(f"metadata{which}", "GET", at, self.metadata, (404, 503)),
                Operation(f"ready{which}", "GET", f"{at}/ready", self.model_ready, (404, 503)),
                Operation(f"config{which}", "GET", f"{at}/config", self.config, (404, 503)),
                Operation(f"stats{which}", "GET", f"{at}/stats", self.stats, (404, 503)),
                Operation(f"infer{which}", "POST", f"{at}/infer", self.infer, (400, 404, 413, 415, 501, 503)),
            ]
        return Protocol("/v2", errors.V2, operations, self.lost)

    # --- the server ---

    async def server(self, request: Request) -> Response:
        """Name the server and its extensions."""
        return json_response({"name": "digits", "version": __version__, "extensions": EXTENSIONS})

    async def live(self, request: Request) -> Response:
        """Answer 200 as long as the service runs, for liveness probes."""
        return json_response({"live": True, "ready": self._refusal() is None})

    async def ready(self, request: Request) -> Response:
        """Answer 200 while there is a model, for readiness probes."""
        return readiness({"live": True}, self._refusal())

    async def index(self, request: Request) -> Response:
        """List the model, or nothing if only ready models are asked for and it isn't ready."""
        refusal = self._refusal()
        version = "" if refusal else self.models.engine.identity["version"]
        entry = {"name": self.name, "version": version, "state": "UNAVAILABLE" if refusal else "READY"}
        entry["reason"] = self.models.refusal or refusal or ""
        only_ready = await self.intake.receive(request, dict(request.scope["headers"]), asks_for_ready)
        return json_response([] if refusal and only_ready else [entry])

    async def control(self, request: Request) -> NoReturn:
        """Refuse to load or unload: published models are taken up automatically."""
        raise Problem(
            503,
            "not_allowed",
            "explicit model load / unload is not allowed; what is published in the folder is taken up by itself",
        )

    def lost(self, request: Request, allowed: str | None) -> NoReturn:
        if allowed:
            raise HTTPException(405, headers={"Allow": allowed})
        path = str(request.path_params["rest"])
        parts = path.split("/")
        if parts[0] in ELSEWHERE or (parts[0] == "models" and path.endswith(UNSUPPORTED)):
            raise Problem(501, "not_implemented", f"/v2/{path} belongs to an extension that is not supported")
        raise Problem(404, "not_found", f"there is no /v2/{path}")

    # --- the model ---

    async def metadata(self, request: Request) -> Response:
        """Describe the inputs and outputs of the model."""
        version = self._engine(request).identity["version"]
        return json_response({
            "name": self.name, "versions": [version], "platform": PLATFORM,
            "inputs": [{"name": INPUT, "datatype": "FP32", "shape": [-1, *IMAGE]}],
            "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, width]} for name, width in WIDTHS.items()],
        })  # fmt: skip

    async def model_ready(self, request: Request) -> Response:
        """Say whether the model, in this version if one is named, can be asked."""
        self._check_name(request)
        if self.models.served:
            self._engine(request)  # of the version that is asked for
        return readiness({"name": self.name}, self._refusal())

    async def config(self, request: Request) -> Response:
        """Describe the model in the form of Triton's configuration; `max_batch_size` is for a whole request."""
        self._engine(request)
        return json_response({
            "name": self.name, "platform": PLATFORM, "backend": "onnxruntime",
            "max_batch_size": self.intake.max_images,
            "input": [{"name": INPUT, "data_type": "TYPE_FP32", "dims": IMAGE}],
            "output": [{"name": name, "data_type": "TYPE_FP32", "dims": [width]} for name, width in WIDTHS.items()],
            "dynamic_batching": {},
        })  # fmt: skip

    async def stats(self, request: Request) -> Response:
        """Return what this process was asked since it took up the model."""
        return json_response({"model_stats": [statistics(self.name, self._engine(request))]})

    async def infer(self, request: Request) -> Response:
        """Read the digit in each image; if one can't be read, the request is refused."""
        engine = self._engine(request)  # the same for the whole request, whatever is published meanwhile
        headers = dict(request.scope["headers"])
        if headers.get(b"content-type", b"").startswith(b"multipart/"):
            raise Problem(415, "unsupported_media_type", "send JSON, or tensors in binary; POST /predict takes forms")
        read = partial(tensors.read, headers.get(JSON_LENGTH.lower().encode()), self.intake.max_images)

        async def respond(asked: Asked) -> Response:
            deadline = time.monotonic() + asked.timeout if asked.timeout else None
            images = await inference.decode(self.intake, request, asked.contents)
            rows = await judge(self.intake, engine, images, deadline)
            return await self._respond(engine, asked, rows, headers.get(b"accept-encoding", b""))

        return await self.intake.serve(request, headers, read, respond)

    async def _respond(self, engine: Engine, asked: Asked, rows: Judgements, accepted: bytes) -> Response:
        given = {} if asked.id is None else {"id": asked.id}
        head = given | {"model_name": self.name, "model_version": engine.identity["version"]}
        body, length = await self.intake.write(len(rows), tensors.write, head, rows, asked.outputs)
        headers = {} if length is None else {JSON_LENGTH: str(length)}
        if accepted in WINDOWS:  # and nothing else, as Triton's clients ask for it; others might not unpack it
            body = await self.intake.off_loop(deflate, body, accepted)
            headers["Content-Encoding"] = accepted.decode()
        kind = "application/json" if length is None else "application/octet-stream"
        return Response(body, headers=headers, media_type=kind)

    # --- what both ask ---

    def _check_name(self, request: Request) -> None:
        name = request.path_params.get("model", self.name)
        if name != self.name:
            raise Problem(404, "not_found", f"Request for unknown model: {name!r} is not found; there is {self.name!r}")

    def _engine(self, request: Request) -> Engine:
        """Return the engine of the moment, if it is what a path asks for. Raises `NoModel` and `Problem`."""
        self._check_name(request)
        engine = self.models.engine
        served = engine.identity["version"]
        version = request.path_params.get("version", served)
        if version != served:
            message = f"Request for unknown model: {self.name!r} version {version} is not found; there is {served}"
            raise Problem(404, "not_found", message)
        return engine

    def _refusal(self) -> str | None:
        return None if self.models.served else self.models.why_none


def asks_for_ready(body: bytes) -> bool:
    return bool(body) and inference.parse_object(body).get("ready") is True


def readiness(facts: dict[str, Any], refusal: str | None) -> Response:
    """Return what probes go by, the status, and what KServe's client goes by, the body."""
    if refusal is None:
        return json_response(facts | {"ready": True})
    return json_response(facts | {"ready": False, "error": refusal}, 503)


def statistics(name: str, engine: Engine) -> dict[str, Any]:
    """Return the counts of an engine as Triton writes them. What is not measured is not there."""
    counts, batches = engine.counts, engine.counts.by_size()
    runs = {"count": sum(count for _, count, _ in batches), "ns": sum(ns for _, _, ns in batches)}
    return {
        "name": name, "version": engine.identity["version"], "last_inference": counts.last,
        "inference_count": sum(size * count for size, count, _ in batches), "execution_count": runs["count"],
        "inference_stats": {
            "success": {"count": counts.answered.count, "ns": counts.answered.ns},
            "fail": {"count": counts.failed.count, "ns": counts.failed.ns},
            "compute_infer": runs,
        },
        "batch_stats": [
            {"batch_size": size, "compute_infer": {"count": count, "ns": ns}} for size, count, ns in batches
        ],
    }  # fmt: skip
