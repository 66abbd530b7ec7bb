"""The REST interface of TensorFlow Serving, and KServe's V1 protocol, which has the same paths.

    instances or inputs -> images -> as for `/predict` -> predictions or outputs

Specification: tensorflow/serving, g3doc/api_rest.md; what it leaves open is as that server does it,
the words of its errors too. Every input holds images, whatever its name. Versions are numbers
there: here, that of the time at which a bundle was made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np
import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digits.network import Judgements, Probabilities
from service import errors, inference
from service.endpoints import Operation, Protocol
from service.engine import Engine, Models, NoModel
from service.errors import Problem
from service.inference import Content, as_json, count_images, parse_object, to_numbers, to_pixels, unnest
from service.intake import Intake
from service.items import Item, check_count, from_base64
from service.predict import FEW

INPUT, OUTPUT, SIGNATURE = "image", "probabilities", "serving_default"
VERBS = (":predict", ":classify", ":regress", ":explain")
LABEL = "stable"  # of what is served
PUBLISHED = re.compile(r"(\d{8})T(\d{6})Z")  # how the version of a bundle begins
MISSING = ("Could not find any versions of model {model}", "Could not find version {version} of model {model}")
MODEL = "/v1/models/{model}"
MODELS = {"": MODEL, "_version": f"{MODEL}/versions/{{version}}", "_label": f"{MODEL}/labels/{{label}}"}
OF_MODEL, WITH_IMAGES = (400, 404, 503), (400, 404, 413, 415, 429, 503)  # what may be answered but 200


@dataclass(frozen=True, slots=True)
class Asked:
    """The images of a request, and the key under which their answer stands."""

    content: Content
    key: str

    def __len__(self) -> int:
        return len(self.content)


class V1:
    """Answers for one model of this name."""

    def __init__(self, intake: Intake, models: Models, name: str) -> None:
        self.intake = intake
        self.models = models
        self.name = name

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
        """Give the digits that each of the `examples` may show, the likeliest first."""
        return await self._answer(request, read_classify, write_classify)

    async def regress(self, request: Request) -> NoReturn:
        """Refuse: a network that tells classes apart has no regression."""
        self._engine(request)
        wanted, found = "tensorflow/serving/regress", "tensorflow/serving/predict"
        raise Problem(400, "invalid", f"Expected regression signature method_name to be {wanted}. Was: {found}")

    async def explain(self, request: Request) -> NoReturn:
        """Refuse: there is no explainer."""
        raise Problem(501, "not_implemented", "there is no explainer; POST /predict?explain=true shows what was seen")

    async def index(self, request: Request) -> Response:
        """List the models, as KServe does."""
        return as_json({"models": [self.name]})

    async def status(self, request: Request) -> Response:
        """Say what is served, to clients of TensorFlow Serving and of KServe."""
        try:
            version = number(self._engine(request, *MISSING))
        except NoModel as exc:
            return as_json({"name": self.name, "ready": False, "model_version_status": [], "error": str(exc)}, 503)
        state = {"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return as_json({"name": self.name, "ready": True, "model_version_status": [state]})

    async def metadata(self, request: Request) -> Response:
        """Describe the signature of the model."""
        version = number(self._engine(request))
        signature = {
            "inputs": {INPUT: tensor_info(f"{SIGNATURE}_{INPUT}:0", -1, 28, 28, 1)},
            "outputs": {OUTPUT: tensor_info("StatefulPartitionedCall:0", -1, 10)},
            "method_name": "tensorflow/serving/predict", "defaults": {},
        }  # fmt: skip
        return as_json({
            "model_spec": {"name": self.name, "signature_name": "", "version": version},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
        })  # fmt: skip

    async def _answer(
        self, request: Request, read: Callable[[int, bytes], Asked], write: Callable[[str, Probabilities], bytes]
    ) -> Response:
        engine = self._engine(request)  # the same for the whole request, whatever is published meanwhile

        async def answer(asked: Asked) -> Response:
            pixels = await inference.decode(self.intake, request, [asked.content])
            rows = probabilities_of(await self.intake.ask(engine, pixels))
            quick = len(rows) <= FEW
            body = write(asked.key, rows) if quick else await self.intake.off_loop(write, asked.key, rows)
            return Response(body, media_type="application/json")

        headers = dict(request.scope["headers"])
        return await self.intake.serve(request, headers, partial(read, self.intake.max_images), answer)

    def _engine(
        self,
        request: Request,
        latest: str = "Servable not found for request: Latest({model})",
        specific: str = "Servable not found for request: Specific({model}, {version})",
    ) -> Engine:
        """Return the engine of the moment, if it is what a path asks for. Raises `NoModel` and `Problem`."""
        asked = {"model": self.name} | request.path_params
        last = [*asked.values()][-1]
        if ":" in last:  # in a path for GET, where a verb is for POST
            malformed(request, "POST" if last.endswith(VERBS) else None)
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
    return np.ascontiguousarray(rows[:, :10])


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


# --- requests -----------------------------------------------------------------------------------


def read_predict(max_images: int, body: bytes) -> Asked:
    """Read `{"instances": [image, …]}` or `{"inputs": images}`. Raises `Problem`."""
    asked = read_signed(body)
    if "instances" in asked and "inputs" in asked:
        raise wrong("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
    if "instances" in asked:
        return Asked(read_rows(asked, "instances", max_images), "predictions")
    if "inputs" not in asked:
        raise wrong("Missing 'inputs' or 'instances' key")
    column = unnamed(asked["inputs"], "Missing named input: image in 'inputs' object.")
    return Asked(read_images([column] if is_picture(column) else column, max_images), "outputs")


def read_classify(max_images: int, body: bytes) -> Asked:
    """Read `{"examples": [{"image": image}, …]}`. Raises `Problem`."""
    asked = read_signed(body)
    if "examples" not in asked:
        raise wrong("When method is classify, key 'examples' is expected and was not found")
    return Asked(read_rows(asked, "examples", max_images), "results")


def read_signed(body: bytes) -> dict[str, Any]:
    asked = parse_object(body)
    signature = asked.get("signature_name", "")
    if not isinstance(signature, str):
        raise wrong("'signature_name' key must be a string value.")
    if signature not in ("", SIGNATURE):
        raise wrong(f'Serving signature name: "{signature[:100]}" not found in signature def')
    return asked


def read_rows(asked: dict[str, Any], key: str, max_images: int) -> Content:
    rows = asked[key]
    if not isinstance(rows, list):
        raise wrong(f"Expecting '{key}' value to be an list/array")
    if not rows:
        raise wrong(f"No values in '{key}' array")
    check_count(len(rows), max_images)
    keys = "Failed to process element: {} of '{}' list. JSON object: keys must be equal to: image"
    return read_images([unnamed(row, keys.format(index, key)) for index, row in enumerate(rows)], max_images)


def read_images(values: Any, max_images: int) -> Content:
    """Read pictures in base64, or numbers."""
    if not isinstance(values, list):
        raise wrong("Expecting a list of images")
    if values and is_picture(values[0]):
        check_count(len(values), max_images)
        return [Item(from_base64(value["b64"] if is_base64(value) else value)) for value in values]
    leaves, shape = unnest(values)
    count_images(shape, max_images)
    return to_pixels(to_numbers(leaves))


def unnamed(value: Any, message: str) -> Any:
    """Return what an object with one name holds, and anything else as it is."""
    if not isinstance(value, dict) or is_base64(value):
        return value
    if len(value) != 1:
        raise wrong(message)
    (inner,) = value.values()
    return inner


def is_picture(value: Any) -> bool:
    return isinstance(value, str) or is_base64(value)


def is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"}


def wrong(message: str) -> Problem:
    return Problem(400, "malformed", message)


# --- answers ------------------------------------------------------------------------------------


def write_predict(key: str, rows: Probabilities) -> bytes:
    return orjson.dumps({key: rows}, option=orjson.OPT_SERIALIZE_NUMPY)


def write_classify(key: str, rows: Probabilities) -> bytes:
    ranked = [[(str(digit), row[digit]) for digit in row.argsort()[::-1]] for row in rows]
    return orjson.dumps({key: ranked}, option=orjson.OPT_SERIALIZE_NUMPY)
