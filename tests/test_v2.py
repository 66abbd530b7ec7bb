"""The Open Inference Protocol V2 on the wire: tensors in JSON and in bytes, and every refusal."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.pieces import PIECE
from service.settings import Settings
from tests.conftest import Serve, error
from tests.models import mnist, png, publish

pytestmark = pytest.mark.anyio

IMAGES, LABELS = mnist(3)
INFER = "/v2/models/digits/infer"
EITHER = 32 + zlib.MAX_WBITS  # gzip or zlib, as the body says itself
LENGTH = "Inference-Header-Content-Length"
UNIT = (IMAGES / np.float32(255)).astype(np.float32)


def tensor(array: NDArray[Any], datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    return {"name": "image", "shape": list(array.shape), "datatype": datatype, "data": array.tolist()} | more


def binary(array: NDArray[Any], datatype: str, **more: Any) -> tuple[dict[str, Any], bytes]:
    content = array.tobytes()
    head = {"name": "image", "shape": list(array.shape), "datatype": datatype}
    return head | {"parameters": {"binary_data_size": len(content)}} | more, content


def strings(*elements: bytes) -> bytes:
    return b"".join(len(element).to_bytes(4, "little") + element for element in elements)


def request(inputs: list[dict[str, Any]], *tails: bytes, **more: Any) -> dict[str, Any]:
    """Return the body of a request, and the length of its JSON, for httpx."""
    head = json.dumps({"inputs": inputs} | more).encode()
    return {"content": b"".join([head, *tails]), "headers": {LENGTH: str(len(head))}}


def rows(response: httpx.Response) -> NDArray[Any]:
    """Return the probabilities of an answer, from its JSON or its bytes."""
    return outputs(response)["probabilities"]


def outputs(response: httpx.Response) -> dict[str, NDArray[Any]]:
    assert response.status_code == 200, response.text
    length = int(response.headers.get(LENGTH, len(response.content)))
    tail, found = response.content[length:], {}
    for output in json.loads(response.content[:length])["outputs"]:
        if "data" in output:
            values = np.array(output["data"])
        else:
            size = output["parameters"]["binary_data_size"]
            values, tail = np.frombuffer(tail[:size], "<f4"), tail[size:]
        found[output["name"]] = values.reshape(output["shape"])
    assert not tail
    return found


# --- what is asked ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 28, 28), (3, 28, 28, 1), (3, 784), (3, 1, 28, 28)])
async def test_numbers_get_the_answer_of_predict_in_json_and_in_bytes(
    client: httpx.AsyncClient, expected: NDArray[np.float64], shape: tuple[int, ...]
) -> None:
    full, unit, pixels = (IMAGES.astype(np.float32).reshape(shape), UNIT.reshape(shape), IMAGES.reshape(shape))
    asked = [
        request([tensor(unit)]), request([tensor(full)]), request([tensor(pixels, "UINT8")]),
        request([tensor(unit) | {"data": unit.ravel().tolist()}]),
    ]  # fmt: skip
    for head, tail in (
        binary(unit, "FP32"), binary(full, "FP32"), binary(pixels, "UINT8"), binary(unit.astype(np.float16), "FP16"),
    ):  # fmt: skip
        asked.append(request([head], tail))
    for options in asked:
        np.testing.assert_allclose(rows(await client.post(INFER, **options)), expected, rtol=0, atol=2e-3)
    np.testing.assert_allclose(rows(await client.post(INFER, **asked[0])), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("largest", [1, 255])
async def test_numbers_may_be_a_rounding_beyond_the_largest(
    client: httpx.AsyncClient, expected: NDArray[np.float64], largest: int
) -> None:
    scaled = UNIT * np.nextafter(np.float32(largest), np.float32(300))
    assert scaled.max() > largest
    answer = await client.post(INFER, **request([tensor(scaled)]))
    np.testing.assert_allclose(rows(answer), expected, rtol=0, atol=1e-6)


async def test_json_of_many_numbers_is_that_of_few(client: httpx.AsyncClient, expected: NDArray[np.float64]) -> None:
    many = np.tile(UNIT, (8, 1, 1))
    for numbers in (many, many[..., np.newaxis], many.reshape(-1)):
        sent = tensor(numbers, shape=list(many.shape))
        assert len(json.dumps(sent)) > PIECE
        np.testing.assert_allclose(
            rows(await client.post(INFER, json={"inputs": [sent]})), np.tile(expected, (8, 1)), rtol=0, atol=1e-6
        )
    for wrong, message in (
        ({"shape": [23, 28, 28]}, "its shape needs"), ({"datatype": "BYTES", "shape": [3]}, "strings of base64"),
        ({"datatype": [0.25] * 20_000, "data": []}, "has the datatype [0.25,0.25,"),
        ({"data": [*many.tolist(), [0.5] * 28]}, "lists at level"), ({"data": [*many.tolist(), 0.5]}, "lists at level"),
    ):  # fmt: skip
        response = await client.post(INFER, json={"inputs": [tensor(many) | wrong]})
        assert (response.status_code, message in error(response)) == (400, True), response.text


async def test_pictures_are_looked_at_as_in_predict(client: httpx.AsyncClient, expected: NDArray[np.float64]) -> None:
    files = [png(image) for image in IMAGES]
    encoded = [base64.b64encode(file).decode() for file in files]
    content = strings(*files)
    head = {"name": "image", "shape": [3], "datatype": "BYTES"}
    for options in (
        request([head | {"parameters": {"binary_data_size": len(content)}}], content),
        request([head | {"data": encoded, "parameters": {"content_type": "base64"}}]),
        request([head | {"data": encoded, "parameters": {"content_type": "base64"}}], outputs=None, parameters=None),
    ):
        np.testing.assert_allclose(rows(await client.post(INFER, **options)), expected, rtol=0, atol=1e-6)


async def test_inputs_in_json_and_in_bytes_may_be_mixed(
    client: httpx.AsyncClient, expected: NDArray[np.float64]
) -> None:
    """The images of all inputs are answered in order; only those with a binary_data_size take bytes."""
    first, tail = binary(IMAGES[:1], "UINT8")
    content = strings(png(IMAGES[2]))
    last = {"name": "more", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(content)}}
    options = request([first, tensor(UNIT[1:2]), last], tail, content)
    np.testing.assert_allclose(rows(await client.post(INFER, **options)), expected, rtol=0, atol=1e-6)


async def test_a_body_without_json_is_one_image(client: httpx.AsyncClient, expected: NDArray[np.float64]) -> None:
    for content in (UNIT[0].tobytes(), UNIT[0].astype(np.float16).tobytes(), IMAGES[0].tobytes(), png(IMAGES[0])):
        response = await client.post(INFER, content=content, headers={LENGTH: "0"})
        assert int(response.headers[LENGTH]) > 0
        np.testing.assert_allclose(rows(response), expected[:1], rtol=0, atol=2e-3)


async def test_a_picture_as_long_as_a_tensor_is_a_picture(
    client: httpx.AsyncClient, expected: NDArray[np.float64]
) -> None:
    file = png(IMAGES[0])
    response = await client.post(INFER, content=file.ljust(784, b"\0"), headers={LENGTH: "0"})
    np.testing.assert_allclose(rows(response), expected[:1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_bodies_are_packed_both_ways_where_that_is_asked_for(
    client: httpx.AsyncClient, expected: NDArray[np.float64], encoding: str
) -> None:
    head, tail = binary(UNIT, "FP32")
    options = request([head], tail, parameters={"binary_data_output": True})
    headers = options["headers"] | {"content-encoding": encoding, "accept-encoding": encoding}
    content = gzip.compress(options["content"]) if encoding == "gzip" else zlib.compress(options["content"])
    async with client.stream("POST", INFER, content=content, headers=headers) as response:
        packed = b"".join([part async for part in response.aiter_raw()])
    assert response.headers["content-encoding"] == encoding
    length = int(response.headers[LENGTH])
    np.testing.assert_allclose(
        np.frombuffer(zlib.decompress(packed, EITHER)[length : length + 120], "<f4").reshape(3, 10),
        expected,
        rtol=0,
        atol=1e-6,
    )


async def test_nobody_gets_a_packed_answer_who_did_not_ask_for_just_that(client: httpx.AsyncClient) -> None:
    for accepted in ("gzip, deflate", "br", "*"):
        response = await client.post(INFER, **request([tensor(UNIT)]) | {"headers": {"accept-encoding": accepted}})
        assert (response.status_code, response.headers.get("content-encoding")) == (200, None)


async def test_bombs_are_not_unpacked(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    assert len(bomb) < 200_000
    response = await client.post(INFER, content=bomb, headers={"content-encoding": "gzip"})
    assert (response.status_code, "at most 200,000 bytes" in error(response)) == (413, True)


# --- what is answered ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "wanted", "is_binary"),
    [
        ({}, None, False), ({"binary_data_output": True}, None, True), ({}, [{}], False), ({}, [], False),
        ({"binary_data_output": True}, [{}], True), ({}, [{"binary_data": True}], True),
        ({"binary_data_output": True}, [{"binary_data": False}], False),
    ],
)  # fmt: skip
async def test_an_output_is_binary_where_it_or_else_the_request_says_so(
    client: httpx.AsyncClient, parameters: dict[str, Any], wanted: list[dict[str, Any]] | None, is_binary: bool
) -> None:
    more: dict[str, Any] = {"parameters": parameters}
    if wanted is not None:
        more["outputs"] = [{"name": "probabilities", "parameters": output} for output in wanted]
    response = await client.post(INFER, **request([tensor(UNIT)], **more))
    kind = "application/octet-stream" if is_binary else "application/json"
    assert (response.headers["content-type"], LENGTH in response.headers) == (kind, is_binary)
    assert rows(response).argmax(1).tolist() == LABELS.tolist()


async def test_each_output_may_be_had_alone_or_in_its_own_way(client: httpx.AsyncClient) -> None:
    """There are two, in the order in which they are asked for; `presence` is that of `/predict`."""
    predictions = (await client.post("/predict", json={"pixels": IMAGES.tolist()})).json()["predictions"]
    presence: dict[str, Any] = {"name": "presence", "parameters": {"binary_data": True}}
    for wanted in ([], [presence], [presence, {"name": "probabilities"}]):
        found = outputs(await client.post(INFER, **request([tensor(UNIT)], outputs=wanted)))
        assert list(found) == ([output["name"] for output in wanted] or ["probabilities", "presence"])
        expected = [[prediction["presence"]] for prediction in predictions]
        np.testing.assert_allclose(found["presence"], expected, rtol=0, atol=1e-6)


async def test_the_likeliest_classes_are_told_as_text(client: httpx.AsyncClient) -> None:
    for classes, is_binary in ((2, False), (3, True), (99, False)):
        wanted = {"name": "probabilities", "parameters": {"classification": classes, "binary_data": is_binary}}
        response = await client.post(INFER, **request([tensor(UNIT)], outputs=[wanted]))
        length = int(response.headers.get(LENGTH, len(response.content)))
        (output,) = json.loads(response.content[:length])["outputs"]
        assert (output["datatype"], output["shape"]) == ("BYTES", [3, min(classes, 10)])
        texts = (
            [text.encode() for text in output["data"]] if "data" in output else taken_apart(response.content[length:])
        )
        assert len(texts) == 3 * min(classes, 10)
        for index, label in enumerate(LABELS):
            value, digit, name = texts[index * min(classes, 10)].decode().split(":")
            assert int(digit) == int(name) == label
            assert 0 < float(value) <= 1


def taken_apart(content: bytes) -> list[bytes]:
    elements = []
    while content:
        size = int.from_bytes(content[:4], "little")
        elements.append(content[4 : 4 + size])
        content = content[4 + size :]
    return elements


async def test_the_id_comes_back_and_the_model_is_named(client: httpx.AsyncClient) -> None:
    version = (await client.get("/health")).json()["model"]["version"]
    for more in ({"id": "42"}, {"id": ""}, {}):
        answer = (await client.post(INFER, **request([tensor(UNIT)], **more))).json()
        del answer["outputs"]
        assert answer == more | {"model_name": "digits", "model_version": version}


async def test_a_request_may_name_the_version_that_is_served_and_no_other(client: httpx.AsyncClient) -> None:
    version = (await client.get("/v2/models/digits")).json()["versions"][0]
    for below in ("", "/ready", "/config", "/stats"):
        assert (await client.get(f"/v2/models/digits/versions/{version}{below}")).status_code == 200
        other = await client.get(f"/v2/models/digits/versions/1{below}")
        assert (other.status_code, "'digits' version 1 is not found" in error(other)) == (404, True)
    named = f"/v2/models/digits/versions/{version}/infer"
    assert (await client.post(named, **request([tensor(UNIT)]))).status_code == 200
    assert (await client.post("/v2/models/digits/versions/1/infer", **request([tensor(UNIT)]))).status_code == 404


async def test_who_waits_longer_than_its_timeout_is_refused(client: httpx.AsyncClient) -> None:
    """The timeout is a number of microseconds, and 0 is none."""
    late = await client.post(INFER, **request([tensor(UNIT)], parameters={"timeout": 1}))
    assert (late.status_code, "timeout" in error(late)) == (503, True)
    for timeout in (0, 60_000_000):
        good = await client.post(INFER, **request([tensor(UNIT)], parameters={"timeout": timeout, "priority": 1}))
        assert good.status_code == 200


# --- what is refused ----------------------------------------------------------------------------

PICTURE = {"name": "image", "shape": [1], "datatype": "BYTES"}


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({}, 400, "no body"),
        ({"content": b"{"}, 400, "JSON Parse error"),
        ({"content": b'{"inputs": [{"data": [NaN]}]}'}, 400, "JSON Parse error"),
        ({"content": b"[" * 900}, 400, "JSON Parse error"),
        ({"content": b"[]"}, 400, "object"),
        ({"content": b"{}"}, 400, "'inputs'"),
        ({"content": b"{}", "headers": {LENGTH: "-1"}}, 400, LENGTH),
        ({"content": b"{}", "headers": {LENGTH: "x"}}, 400, LENGTH),
        ({"content": b"{}", "headers": {LENGTH: "3"}}, 400, LENGTH),
        ({"content": b"{}", "headers": {LENGTH: "9" * 30}}, 400, LENGTH),
        ({"content": b"{}", "headers": {"content-encoding": "br"}}, 415, "gzip or deflate"),
        ({"files": {"images": b"x"}}, 415, "send JSON"),
        ({"content": bytes(200_001)}, 413, "at most 200,000 bytes"),
        ({"content": b"x", "headers": {LENGTH: "0"}}, 400, "not_an_image"),
        (request([]), 400, "'inputs'"),
        (request([tensor(IMAGES[:1], "UINT8")] * 17), 400, "1 to 16 tensors"),
        (request([tensor(UNIT[:1], "x" * 1000)]), 400, "'xxx"),
        (request([1]), 400, "'inputs'"),  # type: ignore[list-item]
        (request([{}]), 400, "'name'"),
        (request([tensor(UNIT, "FP64")]), 400, "FP64"),
        (request([tensor(UNIT, "FP16")]), 400, "FP16"),
        (request([tensor(UNIT) | {"datatype": ["FP32"]}]), 400, "['FP32']"),
        (request([tensor(UNIT) | {"datatype": {}}]), 400, "{}"),
        (request([tensor(UNIT) | {"shape": [3, 28, 27]}]), 400, "unexpected shape [3, 28, 27]"),
        (request([tensor(UNIT) | {"shape": [-3, 28, 28]}]), 400, "'shape'"),
        (request([tensor(UNIT) | {"shape": [3.0, 28, 28]}]), 400, "'shape'"),
        (request([tensor(UNIT) | {"shape": []}]), 400, "'shape'"),
        (request([tensor(UNIT) | {"shape": [1] * 9}]), 400, "'shape'"),
        (request([tensor(UNIT) | {"shape": [2, 28, 28]}]), 400, "2352 elements"),
        (request([tensor(UNIT.reshape(-1)) | {"shape": [2, 28, 28]}]), 400, "more than the 1568 elements"),
        (request([tensor(UNIT.reshape(3, *[1] * 8, 28, 28)) | {"shape": [3, 28, 28]}]), 400, "deeper than any image"),
        (request([tensor(UNIT) | {"shape": [0, 28, 28], "data": []}]), 400, "no image"),
        (request([tensor(UNIT) | {"shape": [2**62, 28, 28]}]), 413, "at most 100 images"),
        (request([tensor(UNIT) | {"data": "x"}]), 400, "'data'"),
        (request([tensor(UNIT) | {"data": [["x"] * 784] * 3}]), 400, "not str"),
        (request([tensor(UNIT) | {"data": [True] * 2352}]), 400, "not bool"),
        (request([tensor(UNIT) | {"data": [[0] * 784, [0] * 785, [0] * 783]}]), 400, "unexpected size"),
        (request([tensor(UNIT) | {"data": [1e300] * 2352}]), 400, "1e+300"),
        (request([tensor(UNIT) | {"data": [10**30] * 2352}]), 400, "1e+30"),
        (request([tensor(UNIT - 1)]), 400, "from -1 to 0"),
        (request([tensor(UNIT * 1.1)]), 400, "1.1"),
        (request([tensor(UNIT * 256)]), 400, "256"),
        (request([tensor(UNIT, "UINT8")]), 400, "whole numbers"),
        (request([binary(UNIT * np.float32("nan"), "FP32")[0]], (UNIT * np.float32("nan")).tobytes()), 400, "nan"),
        (request([binary(UNIT, "FP32")[0]], UNIT.tobytes()[:-1]), 400, "9407 are left"),
        (request([binary(UNIT, "FP32")[0]], UNIT.tobytes() + b"x"), 400, "1 bytes follow"),
        (request([binary(UNIT, "FP32")[0] | {"shape": [2, 784]}], UNIT.tobytes()), 400, "needs 6272"),
        (request([PICTURE | {"parameters": {"binary_data_size": -1}}]), 400, "binary_data_size"),
        (request([PICTURE | {"parameters": {"binary_data_size": 3}}], b"abc"), 400, "cut short"),
        (request([PICTURE | {"parameters": {"binary_data_size": 8}}], strings(b"abc") + b"x"), 400, "1 bytes follow"),
        (request([PICTURE | {"parameters": {"binary_data_size": 4}}], b"\xff" * 4), 400, "cut short"),
        (request([PICTURE | {"data": ["no base64"]}]), 400, "image 0: "),
        (request([PICTURE | {"data": []}]), 400, "0 elements"),
        (request([PICTURE | {"parameters": {"shared_memory_region": "r"}}]), 501, "shared memory"),
        (request([tensor(UNIT), PICTURE | {"data": ["eHg="]}]), 400, "image 3: this is not"),
        (request([tensor(UNIT)], parameters=[]), 400, "'parameters'"),
        (request([tensor(UNIT)], parameters={"timeout": "1"}), 400, "'timeout'"),
        (request([tensor(UNIT)], id=1), 400, "'id'"),
        (request([tensor(UNIT)], outputs=[{"name": "x"}]), 400, "'x'"),
        (request([tensor(UNIT)], outputs=[{"name": "presence"}] * 2), 400, "more than once"),
        *(
            (request([tensor(UNIT)], outputs=[{"name": "probabilities", "parameters": parameters}]), status, message)
            for parameters, status, message in [
                ({"classification": 0}, 400, "'classification'"), ({"classification": "3"}, 400, "'classification'"),
                ({"shared_memory_region": "r"}, 501, "shared memory"),
            ]
        ),
    ],
)  # fmt: skip
async def test_a_wrong_request_is_refused_with_a_sentence(
    client: httpx.AsyncClient, options: dict[str, Any], status: int, message: str
) -> None:
    response = await client.post(INFER, **options)
    assert (response.status_code, message in error(response)) == (status, True), response.text


async def test_json_of_too_many_lists_is_not_even_parsed(published: Path, serve: Serve) -> None:
    async with serve(Settings(models=published)) as client:
        response = await client.post(INFER, content=b'{"inputs": [' + b"{}," * 1_100_000 + b"{}]}")
    assert (response.status_code, "lists" in error(response)) == (413, True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/other", 404), ("GET", "/v2/models/other/ready", 404),
        ("POST", "/v2/models/other/infer", 404), ("GET", "/v2/nothing", 404), ("GET", "/v2/", 404),
        ("GET", "/v2/models", 404), ("POST", "/v2", 405),
        ("GET", INFER, 405), ("DELETE", "/v2/models/digits", 405), ("GET", "/v2/logging", 501),
        ("POST", "/v2/models/digits/trace/setting", 501), ("POST", "/v2/models/digits/generate", 501),
        ("POST", "/v2/repository/models/digits/load", 503), ("POST", "/v2/repository/models/digits/unload", 503),
        ("GET", "/v2/a%0Ab", 404), ("DELETE", "/v2/models/a%0Ab", 405),
    ],
)  # fmt: skip
async def test_what_is_not_there_says_so(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert error(response)
    assert ("allow" in response.headers) == (status == 405)


async def test_a_full_queue_is_unavailable_for_a_moment(published: Path, serve: Serve) -> None:
    many = np.repeat(IMAGES, 10, axis=0)
    async with serve(Settings(models=published, max_images=40, max_queue=40, max_batch=1)) as client:
        calls = [client.post(INFER, **request([tensor(many, "UINT8")])) for _ in range(4)]
        responses = await asyncio.gather(*calls)
    refused = [response for response in responses if response.status_code == 503]
    assert 0 < len(refused) < 4
    assert {response.headers["retry-after"] for response in refused} == {"1"}
    assert {response.status_code for response in responses} == {200, 503}


# --- the server and its model -------------------------------------------------------------------


async def test_probes_say_what_both_triton_and_kserve_ask(client: httpx.AsyncClient, empty: httpx.AsyncClient) -> None:
    alive = {"live": True, "ready": True}
    for path, body in (
        ("/v2/health/live", alive), ("/v2/health/ready", alive),
        ("/v2/models/digits/ready", {"name": "digits", "ready": True}),
    ):  # fmt: skip
        response = await client.get(path)
        assert (response.status_code, response.json()) == (200, body)
    assert (await empty.get("/v2/health/live")).json() == {"live": True, "ready": False}
    for path in ("/v2/health/ready", "/v2/models/digits/ready"):
        response = await empty.get(path)
        assert (response.status_code, response.json()["ready"]) == (503, False)
        assert "no model" in response.json()["error"]
    refused = await empty.post(INFER, **request([tensor(UNIT)]))
    assert (refused.status_code, "no model" in error(refused)) == (503, True)


async def test_the_index_lists_the_model_whether_it_is_ready_or_not(
    client: httpx.AsyncClient, empty: httpx.AsyncClient
) -> None:
    index = "/v2/repository/index"
    version = (await client.get("/health")).json()["model"]["version"]
    for content in (b"", b'{"ready": true}', b"{}"):
        (entry,) = (await client.post(index, content=content)).json()
        assert entry == {"name": "digits", "version": version, "state": "READY", "reason": ""}
    (entry,) = (await empty.post(index)).json()
    assert entry["state"] == "UNAVAILABLE"
    assert "no model" in entry["reason"]
    assert (await empty.post(index, json={"ready": True})).json() == []
    wrong = await client.post(index, content=b"[" * 300)
    assert (wrong.status_code, "JSON" in error(wrong)) == (400, True)
    long = await client.post(index, content=b'{"ready": true}' + bytes(100_000))
    assert (long.status_code, "without images" in error(long)) == (413, True)


async def test_metadata_and_configuration_describe_what_is_taken(client: httpx.AsyncClient) -> None:
    server = (await client.get("/v2")).json()
    assert server["name"] == "digits"
    assert {"binary_tensor_data", "classification"} < set(server["extensions"])
    model = (await client.get("/v2/models/digits")).json()
    assert model["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 28, 28, 1]}]
    assert model["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
        {"name": "presence", "datatype": "FP32", "shape": [-1, 1]},
    ]
    config = (await client.get("/v2/models/digits/config")).json()
    assert config["max_batch_size"] == 100
    assert config["input"] == [{"name": "image", "data_type": "TYPE_FP32", "dims": [28, 28, 1]}]


async def test_statistics_count_requests_images_and_runs(tmp_path: Path, h5: bytes, serve: Serve) -> None:
    publish(tmp_path, h5)
    async with serve(Settings(models=tmp_path)) as client:
        assert await counted(client) == (0, 0, 0, 0, [])
        for count in (1, 3, 3):
            await client.post(INFER, **request([tensor(UNIT[:count])]))
        await client.post("/predict", json={"pixels": IMAGES.tolist()})  # it is the same model
        await client.post(INFER, **request([tensor(UNIT)], parameters={"timeout": 1}))
        assert await counted(client) == (10, 4, 4, 1, [(1, 1), (3, 3)])


async def counted(client: httpx.AsyncClient) -> tuple[int, int, int, int, list[tuple[int, int]]]:
    """Return images, runs, requests answered and failed, and sizes of batches with their numbers."""
    (stats,) = (await client.get("/v2/models/digits/stats")).json()["model_stats"]
    assert stats == (await client.get("/v2/models/stats")).json()["model_stats"][0]
    inner = stats["inference_stats"]
    assert inner["compute_infer"]["count"] == stats["execution_count"]
    assert inner["compute_infer"]["ns"] <= inner["success"]["ns"]
    assert bool(stats["last_inference"]) == bool(stats["execution_count"])
    batches = [(batch["batch_size"], batch["compute_infer"]["count"]) for batch in stats["batch_stats"]]
    images, runs = stats["inference_count"], stats["execution_count"]
    return images, runs, inner["success"]["count"], inner["fail"]["count"], batches


async def test_the_model_has_the_name_that_is_set(published: Path, serve: Serve) -> None:
    async with serve(Settings(models=published, model_name="mnist")) as client:
        assert (await client.post("/v2/models/mnist/infer", **request([tensor(UNIT)]))).status_code == 200
        assert (await client.get("/v1/models/mnist")).json()["name"] == "mnist"
        assert (await client.post(INFER, **request([tensor(UNIT)]))).status_code == 404


async def test_paths_hold_behind_a_prefix(published: Path, serve: Serve) -> None:
    async with serve(Settings(models=published, root_path="/p")) as client:
        assert (await client.get("/p/v2/models/digits")).status_code == 200
        assert (await client.post("/p" + INFER, **request([tensor(UNIT)]))).status_code == 200
        assert error(await client.get("/p/v1/x")) == "Malformed request: GET /v1/x"


async def test_every_status_of_the_documentation_has_an_error_of_the_one_shape(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for path, item in paths.items():
        for operation in item.values():
            refused = {status: told for status, told in operation["responses"].items() if status != "200"}
            if path.startswith(("/v1", "/v2")):
                assert "422" not in refused
                for told in refused.values():
                    assert told["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Refusal"}
