"""TensorFlow Serving's REST interface, and KServe's V1: what is asked, answered and refused, and in what words."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.pieces import PIECE
from service.settings import Settings
from tests.conftest import Serve, error
from tests.models import mnist, png

pytestmark = pytest.mark.anyio

IMAGES, LABELS = mnist(3)
UNIT = (IMAGES / np.float32(255)).astype(np.float32)
MANY = np.tile(UNIT, (8, 1, 1))  # of which JSON is parsed in pieces
MODEL = "/v1/models/digits"
FILES = [{"b64": base64.b64encode(png(image)).decode()} for image in IMAGES]


@pytest.fixture(scope="module")
async def version(client: httpx.AsyncClient) -> str:
    (status,) = (await client.get(MODEL)).json()["model_version_status"]
    return str(status["version"])


@pytest.mark.parametrize(
    "images",
    [
        UNIT.tolist(), IMAGES.tolist(), UNIT[..., np.newaxis].tolist(), UNIT.reshape(3, 784).tolist(), FILES,
        [file["b64"] for file in FILES],
    ],
    ids=["0 to 1", "0 to 255", "with a channel", "flat", "files", "base64"],
)  # fmt: skip
async def test_rows_and_columns_named_or_not_get_the_answer_of_predict(
    client: httpx.AsyncClient, expected: NDArray[np.float64], images: list[Any]
) -> None:
    for body, key in (
        ({"instances": images}, "predictions"),
        (
            {"signature_name": "serving_default", "instances": [{"conv2d_input": image} for image in images]},
            "predictions",
        ),
        ({"inputs": images}, "outputs"),
        ({"signature_name": "", "inputs": {"image_bytes": images}}, "outputs"),
    ):
        response = await client.post(f"{MODEL}:predict", json=body)
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json"), response.text
        assert response.json().keys() == {key}
        np.testing.assert_allclose(response.json()[key], expected, rtol=0, atol=1e-6)


async def test_many_numbers_are_answered_as_few_are(client: httpx.AsyncClient, expected: NDArray[np.float64]) -> None:
    for numbers in (MANY.tolist(), MANY[..., np.newaxis].tolist(), MANY.reshape(-1, 784).tolist()):
        for body, key in (
            ({"instances": numbers}, "predictions"), ({"inputs": numbers}, "outputs"),
            ({"inputs": {"image": numbers}}, "outputs"),
        ):  # fmt: skip
            assert len(json.dumps(body)) > PIECE
            response = await client.post(f"{MODEL}:predict", json=body)
            np.testing.assert_allclose(response.json()[key], np.tile(expected, (8, 1)), rtol=0, atol=1e-6)
    blank = json.dumps({"instances": [{"image": UNIT[0, ..., np.newaxis].tolist()}]}, indent=8)
    assert len(blank) > PIECE
    response = await client.post(f"{MODEL}:predict", content=blank)
    np.testing.assert_allclose(response.json()["predictions"], expected[:1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"instances": [*MANY.tolist(), 0.5]}, "Failed to process element: 24 of 'instances' list."),
        ({"instances": [*MANY.tolist(), [[0.5] * 28] * 27]}, "Failed to process element: 24 of 'instances' list."),
        ({"inputs": [*MANY.tolist(), [0.5]]}, "Encountered list at unexpected size: 1 at level: 1 expected size: 28"),
        ({"signature_name": MANY.tolist()}, "'signature_name' key must be a string value"),
        ({"instances": [{"image": MANY.reshape(-1).tolist()}]}, "unexpected shape"),
        ({"instances": MANY.tolist(), "inputs": 1}, "expecting only one of 'inputs' or 'instances' keys"),
    ],
)
async def test_what_is_wrong_among_many_numbers_is_said_as_among_few(
    client: httpx.AsyncClient, body: dict[str, Any], message: str
) -> None:
    assert len(json.dumps(body)) > PIECE
    response = await client.post(f"{MODEL}:predict", json=body)
    assert (response.status_code, message in error(response)) == (400, True), response.text[:300]


async def test_many_numbers_are_no_examples(client: httpx.AsyncClient) -> None:
    response = await client.post(f"{MODEL}:classify", json={"examples": MANY.tolist()})
    assert (response.status_code, "Example must be JSON object but got JSON Array" in error(response)) == (400, True)


async def test_a_single_file_may_be_a_column(client: httpx.AsyncClient, expected: NDArray[np.float64]) -> None:
    response = await client.post(f"{MODEL}:predict", json={"inputs": FILES[0]})
    np.testing.assert_allclose(response.json()["outputs"], expected[:1], rtol=0, atol=1e-6)


async def test_examples_are_classified_the_likeliest_digit_first(
    client: httpx.AsyncClient, expected: NDArray[np.float64]
) -> None:
    for examples in ([{"image": image} for image in UNIT.reshape(3, 784).tolist()], [{"x": file} for file in FILES]):
        response = await client.post(f"{MODEL}:classify", json={"examples": examples})
        results = response.json()["results"]
        for ranked, row, label in zip(results, expected, LABELS, strict=True):
            assert ranked[0][0] == str(label)
            scores = [score for _, score in ranked]
            assert scores == sorted(scores, reverse=True)
            np.testing.assert_allclose([dict(ranked)[str(digit)] for digit in range(10)], row, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain", "application/octet-stream"])
async def test_no_content_type_is_needed(client: httpx.AsyncClient, kind: str | None) -> None:
    headers = {"content-type": kind} if kind else {}
    for path in (f"{MODEL}:predict", f"{MODEL}/labels/stable:predict"):
        body = f'{{"instances": {UNIT.tolist()}}}'.encode()
        assert (await client.post(path, content=body, headers=headers)).status_code == 200


async def test_the_status_serves_both_tensorflow_and_kserve(client: httpx.AsyncClient, version: str) -> None:
    bundle = (await client.get("/health")).json()["model"]["version"]
    assert version == bundle[:8] + bundle[9:15]  # of 20261122T213807Z-8a530e
    status = {"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in (MODEL, f"{MODEL}/versions/{version}", f"{MODEL}/labels/stable"):
        response = await client.get(path)
        assert response.json() == {"name": "digits", "ready": True, "model_version_status": [status]}
    assert (await client.get("/v1/models")).json() == {"models": ["digits"]}


async def test_metadata_is_that_of_a_saved_model(client: httpx.AsyncClient, version: str) -> None:
    answer = (await client.get(f"{MODEL}/metadata")).json()
    assert answer == (await client.get(f"{MODEL}/versions/{version}/metadata")).json()
    assert answer["model_spec"] == {"name": "digits", "signature_name": "", "version": version}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    sizes = [dimension["size"] for dimension in signature["inputs"]["image"]["tensor_shape"]["dim"]]
    assert (sizes, signature["method_name"]) == (["-1", "28", "28", "1"], "tensorflow/serving/predict")


async def test_without_a_model_it_is_not_ready(tmp_path: Path, serve: Serve) -> None:
    async with serve(Settings(models=tmp_path)) as client:
        status = await client.get(MODEL)
        assert (status.status_code, status.json()["ready"]) == (503, False)
        for method, path in (("GET", f"{MODEL}/metadata"), ("POST", f"{MODEL}:predict")):
            response = await client.request(method, path)
            assert (response.status_code, "no model" in error(response)) == (503, True)


async def test_a_lone_file_has_a_number_for_a_version_too(tmp_path: Path, h5: bytes, serve: Serve) -> None:
    (tmp_path / "mnist_cnn_model.h5").write_bytes(h5)
    async with serve(Settings(models=tmp_path)) as client:
        sha256 = (await client.get("/health")).json()["model"]["sha256"]
        (status,) = (await client.get(MODEL)).json()["model_version_status"]
        assert status["version"] == str(int(sha256[:12], 16))


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
        ("GET", f"{MODEL}/labels/stable:classify", 405, f"Malformed request: GET {MODEL}/labels/stable:classify"),
        ("GET", f"{MODEL}/versions/3:predict", 405, f"Malformed request: GET {MODEL}/versions/3:predict"),
        ("GET", f"{MODEL}:predict", 405, f"Malformed request: GET {MODEL}:predict"),
        ("GET", f"{MODEL}:foo", 400, f"Malformed request: GET {MODEL}:foo"),
        ("POST", f"{MODEL}:foo", 405, f"Malformed request: POST {MODEL}:foo"),
        ("DELETE", MODEL, 405, f"Malformed request: DELETE {MODEL}"),
        ("GET", "/v1/foo%0Abar", 400, "Malformed request: GET /v1/foo\nbar"),
        ("POST", "/v1/models/a%0Ab", 405, "Malformed request: POST /v1/models/a\nb"),
        ("GET", "/v1/models/half", 404, "Could not find any versions of model half"),
        ("GET", f"{MODEL}/versions/3", 404, "Could not find version 3 of model digits"),
        ("POST", "/v1/models/half:predict", 404, "Servable not found for request: Latest(half)"),
        ("POST", "/v1/models/half/versions/3:predict", 404, "Servable not found for request: Specific(half, 3)"),
        ("POST", f"{MODEL}/versions/3:predict", 404, "Servable not found for request: Specific(digits, 3)"),
        ("GET", f"{MODEL}/versions/3/metadata", 404, "Servable not found for request: Specific(digits, 3)"),
        ("POST", f"{MODEL}/labels/canary:predict", 400, "Unrecognized servable version label: canary"),
        ("POST", f"{MODEL}/versions/HELLO:predict", 400, f"Malformed request: POST {MODEL}/versions/HELLO:predict"),
        ("GET", f"{MODEL}/versions/HELLO", 400, f"Malformed request: GET {MODEL}/versions/HELLO"),
        ("GET", f"{MODEL}/versions/9223372036854775808", 400,
         "Failed to convert version: 9223372036854775808 to numeric."),
        ("GET", f"{MODEL}/versions/{'9' * 5000}/metadata", 400,
         f"Failed to convert version: {'9' * 100} to numeric."),
        ("POST", f"{MODEL}:regress", 400, "JSON Parse error: The document is empty"),
        ("POST", f"{MODEL}:explain", 501, "there is no explainer; POST /predict?explain=true shows what was seen"),
    ],
)  # fmt: skip
async def test_what_is_not_there_is_said_as_tensorflow_says_it(
    client: httpx.AsyncClient, method: str, path: str, status: int, message: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, error(response)) == (status, message)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "JSON Parse error: The document is empty"),
        (b"{", 400, "JSON Parse error"),
        (b"[]", 400, "JSON Value: [] Is not object"),
        (b"{}", 400, "Missing 'inputs' or 'instances' key"),
        (b'{"instances": [], "inputs": []}', 400, "only one of 'inputs' or 'instances'"),
        (b'{"instances": {}}', 400, "Excepting 'instances' to be an list/array"),
        (b'{"instances": []}', 400, "No values in 'instances' array"),
        (b'{"inputs": []}', 400, "unexpected shape [0]"),
        (b'{"inputs": 1}', 400, "'inputs' must hold a list of images"),
        (b'{"inputs": {"a": [], "b": []}}', 400, "Missing named input"),
        (b'{"signature_name": 1, "instances": [1]}', 400, "'signature_name' key must be a string value."),
        (b'{"signature_name": "x", "instances": [1]}', 400, 'Serving signature name: "x" not found in signature def'),
        (b'{"instances": [{"image": 1, "b": 2}]}', 400, "0 key: b of 'instances' list"),
        (b'{"instances": [{}]}', 400, "JSON object: {} keys must be equal to: image"),
        (b'{"instances": [1.0, 2.0]}', 400, "unexpected shape [2]"),
        (b'{"instances": [[1, 2], [3]]}', 400, "Expecting tensor size: 2 but got: 1"),
        (b'{"instances": [[1, 2], 3]}', 400, "Expecting tensor size: 2 but got: 1"),
        (b'{"instances": [[true]]}', 400, "JSON Value: true Type: True is not of expected type: float"),
        (b'{"instances": [1, {"b64": 1}]}', 400, "Expecting value/list but got object at item 1"),
        (b'{"instances": [[1e400]]}', 400, "JSON Parse error"),
        (b'{"instances": [' + b"[" * 900 + b"]" * 900 + b", [1]]}", 400, "Expecting tensor size: 0 but got: 1"),
        (b'{"instances": [' + b"[" * 900 + b"1" + b"]" * 900 + b", 1]}", 400, "Expecting shape [1,1,"),
        (b'{"inputs": [' + b"[" * 900 + b"1" + b"]" * 900 + b", 1]}", 400, "incorrect level: 2"),
        (b'{"inputs": [' + b"[" * 900 + b"1,[]" + b"]" * 900 + b"]}", 400, "deeper than any image"),
        (b'{"instances": [NaN]}', 400, "JSON Parse error"),
        (b'{"instances": [{"b64": "eHg="}]}', 400, "image 0: this is not a PNG"),
        (b'{"instances": [{"b64": "!"}]}', 400, "Unable to base64 decode"),
        (b'{"instances": ["eHg=", 1]}', 400, "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 1"),
        (b'{"inputs": ["eHg=", {"b": 1}]}', 400, "not formatted correctly for base64 data"),
        (b'{"inputs": ["eHg=", ["eHg="]]}', 400, "Encountered list at unexpected level: 1 expected < 1"),
        (f'{{"instances": [{UNIT[0].tolist()}, "eHg="]}}'.encode(), 400, "String is not of expected type: float"),
        (f'{{"instances": {[["x"] * 784]}}}'.replace("'", '"').encode(), 400, "String is not of expected type: float"),
        (b'{"instances": [' + b"0," * 100 + b"0]}", 413, "at most 100 images"),
        (b'{"instances": [' + b"[0]," * 40_000 + b"[0, 0]]}", 413, "at most 100 images"),
        (b'{"inputs": [' + b"[0]," * 40_000 + b"[0, 0]]}", 413, "at most 100 images"),
        (bytes(200_001), 413, "at most 200,000 bytes"),
    ],
)  # fmt: skip
async def test_a_wrong_request_is_refused_with_a_sentence(
    client: httpx.AsyncClient, body: bytes, status: int, message: str
) -> None:
    response = await client.post(f"{MODEL}:predict", content=body)
    assert (response.status_code, message in error(response)) == (status, True), response.text


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b'{"context": {}}', 400, "When method is classify, key 'examples' is expected and was not found"),
        (b'{"examples": [{}]}', 400, "Feature: image is required but could not be found"),
        (b'{"examples": [{"a": 1, "b": 2}]}', 400, "Feature: image is required but could not be found"),
        (b'{"examples": [{"x": [0.5, "eHg="]}]}', 400, "Unexpected element type in feature: x expecting type: float"),
        (b'{"examples": [{"x": [1, "eHg="]}]}', 400, "Unexpected element type in feature: x expecting type: int64"),
        (b'{"examples": [{"x": "eHg="}, {"x": [1]}]}', 400, "one holds a picture, and another none"),
        (b'{"examples": [{"x": "!"}]}', 400, "Unable to base64 decode"),
        (b'{"examples": [{"x": [true]}]}', 400, "pixels are numbers, not bool"),
        (b'{"examples": [' + b"{}," * 100 + b"{}]}", 413, "at most 100 images"),
    ],
)
async def test_a_wrong_example_is_refused_with_a_sentence(
    client: httpx.AsyncClient, body: bytes, status: int, message: str
) -> None:
    response = await client.post(f"{MODEL}:classify", content=body)
    assert (response.status_code, message in error(response)) == (status, True), response.text


async def test_an_input_of_the_right_name_is_found_among_others(
    client: httpx.AsyncClient, expected: NDArray[np.float64]
) -> None:
    """In a column and in examples, as TensorFlow Serving has it."""
    column = await client.post(f"{MODEL}:predict", json={"inputs": {"caption": ["a"], "image": FILES}})
    np.testing.assert_allclose(column.json()["outputs"], expected, rtol=0, atol=1e-6)
    examples = [{"caption": "a", "image": file} for file in FILES]
    response = await client.post(f"{MODEL}:classify", json={"examples": examples})
    assert [ranked[0][0] for ranked in response.json()["results"]] == [str(label) for label in LABELS]


async def test_a_server_of_v1_is_known_to_be_alive_and_a_browser_gets_the_documentation(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/")).json() == {"status": "alive"}
    page = await client.get("/", headers={"accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.headers["location"]) == (307, "docs")


async def test_many_images_are_answered_off_the_loop_and_in_order(published: Path, serve: Serve) -> None:
    images, labels = mnist(200)
    async with serve(Settings(models=published)) as client:
        response = await client.post(f"{MODEL}:predict", json={"instances": images.tolist()})
        ranked = await client.post(f"{MODEL}:classify", json={"examples": [{"x": image.tolist()} for image in images]})
    digits = np.argmax(response.json()["predictions"], axis=1)
    assert np.mean(digits == labels) > 0.7
    assert [int(best[0][0]) for best in ranked.json()["results"]] == digits.tolist()
