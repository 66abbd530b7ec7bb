"""The REST interface of TensorFlow Serving, and KServe's V1 protocol, which has the same paths.

    path -> engine of the moment; body -> service.tfjson -> images -> as for `/predict` -> service.tfjson

Specification: tensorflow/serving, g3doc/api_rest.md; what it leaves open is as that server does it,
the words of its errors too: model_servers/http_rest_api_handler.cc, http_rest_api_util.cc. Versions
are numbers there: here, that of the time at which a bundle was made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digits.judgements import DIGITS, Judgements, Probabilities
from digits.sizes import CLASSES, SIDE
from service import errors, inference
from service.endpoints import Operation, Protocol
from service.engine import Engine, Models
from service.errors import spaced
from service.inference import INPUT, PROBABILITIES, json_response
from service.intake import Intake
from service.judging import judge
from service.problems import NoModel, Problem
from service.tfjson import (
    EMPTY,
    SIGNATURE,
    Asked,
    read_classify,
    read_predict,
    read_regress,
    write_classify,
    write_predict,
)

VERBS = (":predict", ":classify", ":regress", ":explain")
LABEL = "stable"  # of what is served
LARGEST = 2**63 - 1  # of the numbers of versions
PUBLISHED = re.compile(r"(\d{8})T(\d{6})Z")  # how the version of a bundle begins
MISSING = ("Could not find any versions of model {model}", "Could not find version {version} of model {model}")
MODEL = "/v1/models/{model}"
MODELS = {"": MODEL, "_version": f"{MODEL}/versions/{{version}}", "_label": f"{MODEL}/labels/{{label}}"}
OF_MODEL, WITH_IMAGES = (400, 404, 503), (400, 404, 413, 415, 429, 503)  # what may be answered but 200


@dataclass(frozen=True, slots=True)
class V1:
    """Answers for one model of this name."""

    intake: Intake
    models: Models
    name: str

    @property
    def protocol(self) -> Protocol:
        operations = [Operation("models", "GET", "/v1/models", self.index, ())]
        for which, at in MODELS.items():
            operations += [
                Operation(f"predict{which}", "POST", f"{at}:predict", self.predict, WITH_IMAGES),
                Operation(f"classify{which}", "POST", f"{at}:classify", self.classify, WITH_IMAGES),
                Operation(f"regress{which}", "POST", f"{at}:regress", self.regress, None),
                Operation(f"explain{which}", "POST", f"{at}:explain", self.explain, None),
                Operation(f"metadata{which}", "GET", f"{at}/metadata", self.metadata, OF_MODEL),
                Operation(f"status{which}", "GET", at, self.status, OF_MODEL),
            ]
        return Protocol("/v1", errors.V1, operations, malformed)

    async def predict(self, request: Request) -> Response:
        """Give the probabilities of each image: `predictions` of `instances`, or `outputs` of `inputs`."""
        return await self._answer(request, read_predict, write_predict)

    async def classify(self, request: Request) -> Response:
        """Give all ten digits for each of the `examples`, the likeliest first."""
        return await self._answer(request, read_classify, write_classify)

    async def regress(self, request: Request) -> Response:
        """Refuse: a network that tells classes apart has no regression."""
        return await self._answer(request, read_regress, write_predict)  # read never returns

    async def explain(self, request: Request) -> NoReturn:
        """Refuse: there is no explainer."""
        raise Problem(501, "not_implemented", "there is no explainer; POST /predict?explain=true shows what was seen")

    async def index(self, request: Request) -> Response:
        """List the models, as KServe does."""
        return json_response({"models": [self.name]})

    async def status(self, request: Request) -> Response:
        """Say what is served, for clients of TensorFlow Serving and KServe."""
        try:
            version = number(self._engine(request, *MISSING))
        except NoModel as exc:
            unready = {"model_version_status": [], "name": self.name, "ready": False, "error": str(exc)}
            return as_written(write_proto(unready), 503)
        state = {"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return as_written(write_proto({"model_version_status": [state], "name": self.name, "ready": True}))

    async def metadata(self, request: Request) -> Response:
        """Describe the signature of the model."""
        version = number(self._engine(request))
        signature = {
            "inputs": {INPUT: tensor_info(f"{SIGNATURE}_{INPUT}:0", -1, SIDE, SIDE, 1)},
            "outputs": {PROBABILITIES: tensor_info("StatefulPartitionedCall:0", -1, CLASSES)},
            "method_name": "tensorflow/serving/predict", "defaults": {},
        }  # fmt: skip
        spec = {"name": self.name, "signature_name": "", "version": version}
        return as_written(write_metadata(spec, {"signature_def": {SIGNATURE: signature}}))

    async def _answer(
        self, request: Request, read: Callable[[int, bytes], Asked], write: Callable[[str, Probabilities], bytes]
    ) -> Response:
        engine = self._engine(request)  # the same for the whole request, whatever is published meanwhile

        async def respond(asked: Asked) -> Response:
            images = await inference.decode(self.intake, request, [asked.content])
            rows = probabilities_of(await judge(self.intake, engine, images))
            return as_written(await self.intake.write(len(rows), write, asked.key, rows))

        headers = dict(request.scope["headers"])
        return await self.intake.serve(request, headers, partial(read, self.intake.max_images), respond, EMPTY)

    def _engine(
        self,
        request: Request,
        latest: str = "Servable not found for request: Latest({model})",
        specific: str = "Servable not found for request: Specific({model}, {version})",
    ) -> Engine:
        """Return the engine of the moment, if it is what a path asks for. Raises `NoModel` and `Problem`."""
        asked = {"model": self.name} | request.path_params
        last = asked.get("version") or asked.get("label") or asked["model"]  # of the path
        if ":" in last:  # in a path for GET, where a verb is for POST
            malformed(request, "POST" if last.endswith(VERBS) else None)
        if "version" in asked:
            check_version(request, asked["version"])
        missing = Problem(404, "not_found", (specific if "version" in asked else latest).format(**asked))
        if asked["model"] != self.name:
            raise missing
        if asked.get("label", LABEL) != LABEL:
            raise Problem(400, "invalid", f"Unrecognized servable version label: {asked['label']}")
        engine = self.models.engine
        if asked.get("version", number(engine)) != number(engine):
            raise missing
        return engine


def probabilities_of(rows: Judgements) -> Probabilities:
    """Leave out the presence of a digit: clients of a signature with one output get a list for each image."""
    return np.ascontiguousarray(rows[:, DIGITS])


def check_version(request: Request, version: str) -> None:
    if not re.fullmatch(r"[0-9]+", version):
        malformed(request)
    if len(version) > len(str(LARGEST)) or int(version) > LARGEST:
        raise Problem(400, "malformed", f"Failed to convert version: {version[:100]} to numeric.")


def malformed(request: Request, allowed: str | None = None) -> NoReturn:
    path = request.scope["path"].removeprefix(request.scope["root_path"])
    message = f"Malformed request: {request.method} {path}"
    if allowed:
        raise HTTPException(405, message, {"Allow": allowed})
    raise Problem(400, "malformed", message)


def number(engine: Engine) -> str:
    """Return a version as a number: the time at which it was made, or what the hash of a lone `.h5` says."""
    found = PUBLISHED.match(engine.identity["version"])
    return found[1] + found[2] if found else str(int(engine.identity["sha256"][:12], 16))


def tensor_info(name: str, *sizes: int) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in sizes]
    return {"dtype": "DT_FLOAT", "tensor_shape": {"dim": dimensions, "unknown_rank": False}, "name": name}


def as_written(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def write_proto(value: dict[str, Any]) -> bytes:
    """Write JSON as Protobuf does, with a space for each level and a line's end."""
    return spaced(value, 1) + b"\n"


def write_metadata(spec: dict[str, Any], signatures: dict[str, Any]) -> bytes:
    """Put together what TensorFlow Serving has Protobuf write in two parts."""
    parts = write_proto(spec), write_proto(signatures)
    return b'{\n"model_spec":%s,\n"metadata": {"signature_def": %s}\n}\n' % parts
