"""Ask the service with the clients of other model servers, and tell in a table what came of it.

    python -m tests.compatibility    writes the table of docs/compatibility.md anew

A check is named after what its client does. It answers, right, or is refused with a status; all
else fails. `tests.test_compatibility` runs the same checks and compares the table.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from tests.models import mnist, png, publish, templates
from tests.server import ROOT, serve

DOCUMENT = ROOT / "docs" / "compatibility.md"
TABLE = re.compile(r"\| client \|.*?\n\n", re.DOTALL)
IMAGES, LABELS = mnist(5)
UNIT = (IMAGES[..., np.newaxis] / np.float32(255)).astype(np.float32)  # (5, 28, 28, 1)
NAME, OUTPUT = "digits", "probabilities"

Verify = Callable[[Any], bool]


@dataclass(frozen=True)
class Check:
    """A call of a client's method, and what holds for its result; `note` tells calls of one method apart."""

    method: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    verify: Verify = lambda result: True
    note: str = ""


Row = tuple[str, str, str]  # client, operation, result


# --- tritonclient -------------------------------------------------------------------------------


def tensor(array: NDArray[Any], datatype: str, *, binary: bool = True) -> list[Any]:
    made = triton.InferInput("image", list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return [made]


def pictures() -> list[Any]:
    return tensor(np.array([png(image) for image in IMAGES], object), "BYTES")


def reads(result: Any) -> bool:
    """Tell whether a result holds the five digits."""
    rows = result.as_numpy(OUTPUT)
    return bool(rows.shape == (5, 10) and rows.argmax(1).tolist() == LABELS.tolist())


def ranks(result: Any) -> bool:
    texts = result.as_numpy(OUTPUT)
    return bool(texts.shape == (5, 3)) and [int(text.split(b":")[1]) for text in texts[:, 0]] == LABELS.tolist()


def infer(note: str, inputs: list[Any], verify: Verify = reads, **options: Any) -> Check:
    return Check("infer", (NAME, inputs), options, verify, note)


def requested(**options: Any) -> list[Any]:
    return [triton.InferRequestedOutput(OUTPUT, **options)]


def triton_checks() -> list[Check]:
    """Return a check, at least, of each method that sends a request."""
    full, half = IMAGES.astype(np.float32), UNIT.astype(np.float16)
    flat = UNIT.reshape(5, 784)
    return [
        Check("is_server_live", verify=bool),
        Check("is_server_ready", verify=bool),
        Check("is_model_ready", (NAME,), verify=bool),
        Check("is_model_ready", ("other",), verify=lambda ready: not ready, note="of another model"),
        Check("get_server_metadata", verify=lambda told: told["name"] == "digits"),
        Check("get_model_metadata", (NAME,), verify=lambda told: told["outputs"][0]["shape"] == [-1, 10]),
        Check("get_model_config", (NAME,), verify=lambda told: told["input"][0]["data_type"] == "TYPE_FP32"),
        Check("get_model_repository_index", verify=lambda told: told[0]["state"] == "READY"),
        infer("FP32, binary", tensor(UNIT, "FP32")),
        infer("FP32, JSON", tensor(UNIT, "FP32", binary=False), outputs=requested(binary_data=False)),
        infer("FP32 from 0 to 255", tensor(full, "FP32")),
        infer("FP32, (n, 784)", tensor(flat, "FP32")),
        infer("FP16, binary", tensor(half, "FP16")),
        infer("UINT8, binary", tensor(IMAGES, "UINT8")),
        infer("UINT8, JSON", tensor(IMAGES, "UINT8", binary=False)),
        infer("PNG files as BYTES", pictures()),
        infer("classification", tensor(UNIT, "FP32"), ranks, outputs=requested(class_count=3)),
        infer(
            "request id", tensor(UNIT, "FP32"), lambda result: result.get_response()["id"] == "42", request_id="42"
        ),
        infer("gzip both ways", tensor(UNIT, "FP32"), **packed("gzip")),
        infer("deflate both ways", tensor(UNIT, "FP32"), **packed("deflate")),
        infer("timeout, kept", tensor(UNIT, "FP32"), timeout=60_000_000, priority=1),
        infer("timeout, not kept", tensor(UNIT, "FP32"), timeout=1),
        infer("FP64", tensor(UNIT.astype(np.float64), "FP64")),
        infer("unknown output", tensor(UNIT, "FP32"), outputs=[triton.InferRequestedOutput("logits")]),
        Check("infer", ("other", tensor(UNIT, "FP32")), note="of another model"),
        Check("get_inference_statistics", (NAME,), verify=lambda told: told["model_stats"][0]["execution_count"] > 0),
        Check("load_model", (NAME,)),
        Check("unload_model", (NAME,)),
        Check("get_trace_settings"),
        Check("update_trace_settings", (), {"settings": {"trace_rate": "1"}}),
        Check("get_log_settings"),
        Check("update_log_settings", ({"log_info": True},)),
        Check("get_system_shared_memory_status"),
        Check("register_system_shared_memory", ("region", "/key", 10)),
        Check("unregister_system_shared_memory"),
        Check("get_cuda_shared_memory_status"),
        Check("register_cuda_shared_memory", ("region", b"handle", 0, 10)),
        Check("unregister_cuda_shared_memory"),
    ]  # fmt: skip


def packed(algorithm: str) -> dict[str, Any]:
    return {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}


def only_sync() -> Check:
    return Check("async_infer", (NAME, tensor(UNIT, "FP32")), verify=lambda later: reads(later.get_result()))


async def ask_triton(url: str) -> list[Row]:
    with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        rows = [await run("tritonclient.http", client, check) for check in [*triton_checks(), only_sync()]]
    async with triton_aio.InferenceServerClient(url.removeprefix("http://")) as client:
        return rows + [await run("tritonclient.http.aio", client, check) for check in triton_checks()]


# --- KServe -------------------------------------------------------------------------------------


def kserve_request(*, binary: bool) -> InferRequest:
    made = InferInput("image", list(UNIT.shape), "FP32")
    made.set_data_from_numpy(UNIT, binary_data=binary)
    return InferRequest(NAME, [made])


def predicts(answer: Any) -> bool:
    return bool(np.argmax(answer["predictions"], axis=1).tolist() == LABELS.tolist())


def infers(answer: Any) -> bool:
    return bool(answer.outputs[0].as_numpy().reshape(5, 10).argmax(1).tolist() == LABELS.tolist())


def kserve_checks(url: str) -> dict[str, list[Check]]:
    """Return checks by protocol."""
    pixels = {"name": "image", "shape": [5, 28, 28], "datatype": "UINT8", "data": IMAGES.tolist()}
    return {
        "v1": [
            Check("is_server_live", (url,), verify=bool),
            Check("is_model_ready", (url, NAME), verify=bool),
            Check("is_model_ready", (url, "other"), note="of another model"),
            Check("infer", (url, {"instances": UNIT.tolist()}, NAME), verify=predicts, note="instances"),
            Check("infer", (url, {"instances": [[]]}, NAME), note="no image"),
            Check("explain", (url, NAME, {"instances": UNIT.tolist()})),
        ],
        "v2": [
            Check("is_server_live", (url,), verify=bool),
            Check("is_server_ready", (url,), verify=bool),
            Check("is_model_ready", (url, NAME), verify=bool),
            Check("infer", (url, {"inputs": [pixels]}, NAME), verify=infers, note="JSON"),
            Check("infer", (url, kserve_request(binary=False), NAME), verify=infers, note="InferRequest, JSON"),
            Check("infer", (url, kserve_request(binary=True), NAME), verify=infers, note="InferRequest, binary"),
        ],
    }


async def ask_kserve(url: str) -> list[Row]:
    rows: list[Row] = []
    for protocol, checks in kserve_checks(url).items():
        async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:
            rows += [await run(f"KServe InferenceRESTClient, {protocol}", client, check) for check in checks]
    return rows


# --- TensorFlow Serving: its documentation asks with curl -----------------------------------------

MODEL = f"/v1/models/{NAME}"
FILES = [{"b64": base64.b64encode(png(image)).decode()} for image in IMAGES]


def outputs(answer: Any) -> bool:
    return predicts({"predictions": answer["outputs"]})


def curl_checks() -> list[tuple[str, str, Any, Verify]]:
    """Return operations, paths, bodies and what holds for the answers."""
    signed = {"signature_name": "serving_default", "instances": [{"image_bytes": file} for file in FILES]}
    return [
        ("predict: rows", f"{MODEL}:predict", {"instances": UNIT.tolist()}, predicts),
        ("predict: rows from 0 to 255", f"{MODEL}:predict", {"instances": IMAGES.tolist()}, predicts),
        ("predict: named rows of b64 files", f"{MODEL}:predict", signed, predicts),
        ("predict: columns", f"{MODEL}:predict", {"inputs": UNIT.tolist()}, outputs),
        ("predict: named columns", f"{MODEL}:predict", {"inputs": {"image": UNIT.tolist()}}, outputs),
        ("predict: label", f"{MODEL}/labels/stable:predict", {"instances": UNIT.tolist()}, predicts),
        ("predict: unknown version", f"{MODEL}/versions/1:predict", {"instances": UNIT.tolist()}, predicts),
        ("predict: unknown label", f"{MODEL}/labels/canary:predict", {"instances": UNIT.tolist()}, predicts),
        ("predict: unknown signature", f"{MODEL}:predict", {"signature_name": "x", "instances": []}, predicts),
        ("classify", f"{MODEL}:classify", {"examples": [{"image": file} for file in FILES]}, classifies),
        ("regress", f"{MODEL}:regress", {"examples": [{"image": file} for file in FILES]}, bool),
        ("status", MODEL, None, lambda told: told["model_version_status"][0]["state"] == "AVAILABLE"),
        ("metadata", f"{MODEL}/metadata", None, lambda told: told["model_spec"]["name"] == NAME),
    ]


def classifies(answer: Any) -> bool:
    return bool([int(ranked[0][0]) for ranked in answer["results"]] == LABELS.tolist())


async def ask_curl(url: str) -> list[Row]:
    return [("curl, to TensorFlow Serving's paths", check[0], await curl(url, *check[1:])) for check in curl_checks()]


async def curl(url: str, path: str, body: Any, verify: Verify) -> str:
    options = [] if body is None else ["--data", "@-"]
    done = await asyncio.to_thread(
        subprocess.run, ["curl", "--silent", "--write-out", "%{http_code}", *options, url + path],
        input=json.dumps(body).encode(), capture_output=True, check=True,
    )  # fmt: skip
    answer, status = json.loads(done.stdout[:-3]), done.stdout[-3:].decode()
    if status != "200":
        assert answer.keys() == {"error"}, answer
        return f"refused, {status}"
    assert verify(answer), (path, answer)
    return "answers"


# --- all ----------------------------------------------------------------------------------------


async def run(name: str, client: Any, check: Check) -> Row:
    """Make a call. Raises `AssertionError` for a wrong answer, and whatever is no refusal with a status."""
    operation = check.method + (f": {check.note}" if check.note else "")
    try:
        result = getattr(client, check.method)(*check.arguments, **check.options)
        result = await result if inspect.isawaitable(result) else result
    except (InferenceServerException, httpx.HTTPStatusError) as exc:
        return name, operation, f"refused, {status_of(exc)}"
    assert check.verify(result), (name, operation, result)
    return name, operation, "answers"


def status_of(exc: InferenceServerException | httpx.HTTPStatusError) -> str:
    """Return the status of a refusal, once its text is seen to have reached the client."""
    said = exc.message() if isinstance(exc, InferenceServerException) else str(exc)
    assert len(said) > 10, said
    assert "exception occurred in the client" not in said, said
    status = exc.status() if isinstance(exc, InferenceServerException) else exc.response.status_code
    return str(status)


async def ask_all(url: str) -> list[Row]:
    return [*await ask_triton(url), *await ask_kserve(url), *await ask_curl(url)]


def table(rows: list[Row]) -> str:
    """Return rows as Markdown, those of one client and result on one line."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for client, operation, result in rows:
        grouped.setdefault((client, result), []).append(f"`{operation}`")
    lines = ["| client | operation | result |", "| --- | --- | --- |"]
    lines += [f"| {client} | {', '.join(names)} | {result} |" for (client, result), names in grouped.items()]
    return "\n".join(lines) + "\n\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        publish(Path(folder), templates())
        with serve(Path(folder)) as server:
            made = table(asyncio.run(ask_all(server.url)))
    DOCUMENT.write_text(TABLE.sub(lambda _: made, DOCUMENT.read_text(), count=1))


if __name__ == "__main__":
    main()
