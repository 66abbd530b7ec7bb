"""The OpenAPI document: it says what is so, its examples run, and tools that live off such documents find it right."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import numpy as np
import pytest
from starlette.requests import Request

from service import errors, examples
from service.settings import Settings
from tests.conftest import Serve
from tests.images import npy
from tests.server import ROOT, Server
from tests.server import serve as run

pytestmark = pytest.mark.anyio

Document = dict[str, Any]

SEVEN = examples.png(examples.sample())
NUMBER = examples.png(examples.sample(), examples.sample())
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.schemathesis_hooks"}
FORM = {"content-type": "multipart/form-data; boundary=b"}
CUT = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\nx\r\n'
PDF = ("images", ("notes.pdf", b"%PDF-1.4"))


@pytest.fixture(scope="module")
async def client(published: Path, serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(Settings(models=published)) as lent:
        yield lent


@pytest.fixture(scope="module")
async def document(client: httpx.AsyncClient) -> Document:
    read: Document = (await client.get("/openapi.json")).json()
    return read


@pytest.fixture(scope="module")
def server(published: Path) -> Iterator[Server]:
    """A service whose bound on images can be reached with a body of its bound on bytes."""
    with run(published, max_images=20) as running:
        yield running


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


# --- what it says -------------------------------------------------------------------------------


async def test_every_operation_has_a_short_name_of_its_own_and_a_tag_that_is_described(document: Document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{2,20}", name) for name in names), names
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    tags = [tag for _, _, operation in operations(document) for tag in operation["tags"]]
    assert len(tags) == len(names)
    assert set(tags) == described


async def test_everything_has_a_description(document: Document) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name
        for field, value in schema.get("properties", {}).items():
            assert value.get("description"), (name, field)
    for _, path, operation in operations(document):
        assert operation["description"], path
        assert all(parameter["description"] for parameter in operation.get("parameters", [])), path
        assert all(response["description"] for response in operation["responses"].values()), path


async def test_every_status_is_documented(document: Document) -> None:
    documented = {path: set(operation["responses"]) for _, path, operation in operations(document)}
    images = {"200", "400", "413", "415", "422", "429", "500", "503"}
    for path, statuses in {
        "/predict": images,
        "/read": images,
        "/health": {"200", "500", "503"},
        "/health/live": {"200", "500"},
        "/health/ready": {"200", "500", "503"},
        "/model": {"200", "500", "503"},
        "/model/plots/{name}": {"200", "404", "500", "503"},
        "/model/report": {"200", "404", "500", "503"},
    }.items():
        assert documented[path] == statuses


async def test_every_kind_of_body_and_answer_is_documented(document: Document) -> None:
    predict, read = (document["paths"][path]["post"] for path in ("/predict", "/read"))
    pictures = {"multipart/form-data", "application/json", "application/octet-stream", "image/*"}
    assert read["requestBody"]["content"].keys() == pictures
    assert predict["requestBody"]["content"].keys() == pictures | {"application/x-npy"}
    for status in ("200", "422"):
        assert predict["responses"][status]["content"].keys() == {"application/json", "application/x-npy"}
        assert predict["responses"][status]["headers"].keys() == {"Digits-Model-Version", "Digits-Model-Sha256"}
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            refused = "Error" in json.dumps(response.get("content"))
            assert ("Retry-After" in response.get("headers", {})) == (status in ("429", "503") and refused)


async def test_the_ranges_are_those_of_the_settings(published: Path, serve: Serve) -> None:
    async with serve(Settings(models=published, max_images=7, max_body=1_234)) as client:
        document = (await client.get("/openapi.json")).json()
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert body["properties"]["images"]["maxItems"] == 7
    for name, field in (("EncodedImages", "images"), ("PixelImages", "pixels"), ("EncodedPictures", "images")):
        assert document["components"]["schemas"][name]["properties"][field]["maxItems"] == 7
    assert "1,234 bytes" in document["paths"]["/read"]["post"]["responses"]["413"]["description"]


# --- its examples -------------------------------------------------------------------------------


async def test_bodies_that_are_shown_can_be_sent(client: httpx.AsyncClient, document: Document) -> None:
    sent = 0
    for method, path, operation in operations(document):
        for kind, media in operation.get("requestBody", {"content": {}})["content"].items():
            for example in media.get("examples", {}).values():
                content = json.dumps(example["value"])
                address = path.format(model="digits", label="stable", version=await version(client, path))
                response = await client.request(method, address, content=content, headers={"content-type": kind})
                assert response.status_code == 200, response.text
                check(document, operation, response)
                sent += 1
    assert sent >= 5


async def version(client: httpx.AsyncClient, path: str) -> str:
    """Return the version that is served, as a path has it: there are numbers under `/v1`."""
    if path.startswith("/v1"):
        return str((await client.get("/v1/models/digits")).json()["model_version_status"][0]["version"])
    return str((await client.get("/health")).json()["model"]["version"])


async def test_the_bodies_of_images_hold_what_they_show(client: httpx.AsyncClient, document: Document) -> None:
    paths = {path: operation for _, path, operation in operations(document) if path in ("/predict", "/read")}
    assert len(paths) == 2
    for path, operation in paths.items():
        for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
            answer = (await client.post(path, json=example["value"])).json()
            assert [item["digit"] for item in answer.get("predictions", [])] == [7] * (path == "/predict")
            assert [item["text"] for item in answer.get("images", [])] == ["77"] * (path == "/read")


async def test_parameters_that_are_shown_can_be_sent(client: httpx.AsyncClient, document: Document) -> None:
    """Those of queries stand in their descriptions, and no page fills them in."""
    sent = set()
    for path in ("/predict", "/read"):
        for parameter in document["paths"][path]["post"]["parameters"]:
            assert not {"example", "examples"} & (parameter.keys() | parameter["schema"].keys())
            for query in re.findall(r"such as `(.+?=.+?)`", parameter["description"]):
                response = await client.post(f"{path}?{query}", files={"images": NUMBER})
                assert response.status_code == 200, response.text
                assert query.partition("=")[0] == parameter["name"]
                sent.add((path, parameter["name"]))
    assert len(sent) == 5
    (name,) = document["paths"]["/model/plots/{name}"]["get"]["parameters"]
    assert (await client.get(f"/model/plots/{name['example']}")).headers["content-type"] == "image/png"


async def test_answers_that_are_shown_are_given(client: httpx.AsyncClient, document: Document) -> None:
    requests: dict[str, dict[str, Any]] = {
        "/predict": {"files": [("images", ("seven.png", SEVEN)), PDF]},
        "/read": {"files": [("images", ("number.png", NUMBER)), PDF]},
    }
    for path in ("/predict", "/read", "/health", "/health/live", "/health/ready", "/model"):
        ((method, operation),) = document["paths"][path].items()
        response = await client.request(method, path, **requests.get(path, {}))
        check(document, operation, response)
        (shown,) = shown_in(document, operation["responses"]["200"]).values()
        given = response.json()
        if path == "/model":  # a manifest may say more
            given = {name: {key: given[name][key] for key in value} if isinstance(value, dict) else given[name]
                     for name, value in shown.items()}  # fmt: skip
        assert shape(given) == shape(shown)


def shape(value: Any) -> Any:
    """Return the names and kinds in an answer; of a list those of each entry, once."""
    match value:
        case dict():
            return {name: shape(inner) for name, inner in value.items()}
        case list():
            return sorted({json.dumps(shape(inner), sort_keys=True) for inner in value})
        case bool() | None | str():
            return type(value).__name__
    return "number"


def refused_requests(path: str) -> dict[str, dict[str, Any]]:
    """Return a request for each code with which `path` refuses."""
    if path.startswith(("/model/plots", "/model/report")):
        return {"not_found": {}, "no_report": {}}
    return {
        "empty_body": {"content": b"", "headers": {"content-type": "image/png"}},
        "malformed": {"content": CUT, "headers": FORM},
        "too_large": {"content": b"x", "headers": {"content-type": "image/png", "content-length": "10485761"}},
        "too_many_images": {"json": {"images": [""] * 10_001}},
        "unsupported_media_type": {"content": b"x", "headers": {"content-type": "text/plain"}},
        "unsupported_encoding": {"json": {}, "headers": {"content-encoding": "br"}},
        "invalid": {"files": {"images": SEVEN}, "params": {"threshold": 2}},
        "unknown_field": {"files": {"image": SEVEN}},
        "no_images": {"json": {"images": []}},
        "bad_pixels": {"content": npy(np.zeros((28, 27), np.uint8)), "headers": {"content-type": "application/x-npy"}},
        "no_predictions": {"files": [PDF]},
        "no_readings": {"files": [PDF]},
    }


ELSEWHERE = {"overloaded", "internal"}  # test_app.py has the queue overflow; a defect cannot be had over HTTP


async def test_refusals_that_are_shown_are_given(client: httpx.AsyncClient, document: Document) -> None:
    asked = set()
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if status in ("200", "503"):
                continue
            for code, example in shown_in(document, response).items():
                if code in ELSEWHERE:
                    continue
                request = refused_requests(path)[code]
                refused = await client.request(method, path.format(name="loss.png"), **request)
                assert refused.status_code == int(status)
                assert plain(refused.json()) == plain(example)
                check(document, operation, refused)
                asked.add((path, code))
    assert len(asked) >= 22


async def test_a_defect_is_answered_as_is_shown(document: Document) -> None:
    response = await errors.answer(Request({"type": "http"}), RuntimeError("something private"))
    assert response.status_code == 500
    assert json.loads(bytes(response.body)) == document["components"]["examples"]["internal"]["value"]


def plain(answer: Any) -> Any:
    """Return an answer without what differs between models, and between bounds that settings name."""
    if "model" in answer:
        return answer | {"model": None}
    return re.sub(r"[\d,]+ images", "n images", json.dumps(answer))


async def test_what_is_shown_of_a_service_without_a_model_is_given(tmp_path: Path, serve: Serve) -> None:
    async with serve(Settings(models=tmp_path)) as client:
        document = (await client.get("/openapi.json")).json()
        asked = 0
        for method, path, operation in operations(document):
            if "503" not in operation["responses"] or operation["tags"][0] in ("v1", "v2"):
                continue
            response = await client.request(
                method, path.format(name="loss.png"), files=[PDF] if method == "post" else None
            )
            assert response.status_code == 503
            check(document, operation, response)
            text = response.text.replace(str(tmp_path), "models")
            (shown,) = shown_in(document, operation["responses"]["503"]).values()
            assert json.loads(text) | {"uptime": 0} == shown | {"uptime": 0}
            asked += 1
    assert asked == 7


def check(document: Document, operation: dict[str, Any], response: httpx.Response) -> None:
    """Check an answer, and the examples of such answers, against the schema of the document."""
    kind = response.headers["content-type"]
    media = operation["responses"][str(response.status_code)]["content"][kind]
    validator = jsonschema_rs.validator_for(media["schema"] | {"components": document["components"]})
    validator.validate(response.json())
    for example in shown_in(document, operation["responses"][str(response.status_code)]).values():
        validator.validate(example)


def shown_in(document: Document, response: dict[str, Any]) -> dict[str, Any]:
    """Return the examples of an answer, by name."""
    names = response["content"]["application/json"].get("examples", {})  # those of other protocols have none
    assert all(example == {"$ref": f"#/components/examples/{name}"} for name, example in names.items())
    return {name: document["components"]["examples"][name]["value"] for name in names}


# --- its pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/digits"])
@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_the_pages_need_nothing_from_outside(published: Path, serve: Serve, prefix: str, page: str) -> None:
    async with serve(Settings(models=published, root_path=prefix)) as client:
        response = await client.get(f"{prefix}{page}")
        assert "default-src 'self'" in response.headers["content-security-policy"]
        html = response.text
        assert not re.search(r"//[\w-]+\.", html)  # of any other host
        found = list(sources(html))
        assert len(found) >= 2
        for source in found:
            assert source.startswith(f"{prefix}/"), source
            assert (await client.get(source)).status_code == 200, source
        document = (await client.get(f"{prefix}/openapi.json")).json()
        assert document.get("servers", [{"url": ""}]) == [{"url": prefix}]


def sources(html: str) -> Iterator[str]:
    """Yield every address that a page loads: scripts, styles, icons and the OpenAPI document."""
    for mark in ('src="', 'href="', "url: '", 'spec-url="'):
        for part in html.split(mark)[1:]:
            yield part.partition(mark[-1])[0]


# --- tools that live off it ---------------------------------------------------------------------


GENERATED = """
import io, json, sys
from generated import Client
from generated.api.health import health, live, ready
from generated.api.model import model
from generated.api.predict import predict
from generated.api.read import read
from generated.models import EncodedImages, EncodedPictures, PixelImages, PredictFilesBody, ReadFilesBody
from generated.types import File

client = Client(sys.argv[1], raise_on_unexpected_status=True)
seven, number, rows, text, texts = json.loads(sys.argv[2])

def file(hexadecimal, name):
    return File(io.BytesIO(bytes.fromhex(hexadecimal)), name)

def tell(answer):
    print(json.dumps(answer.to_dict()))

tell(predict.sync(client=client, body=EncodedImages([text])))
tell(predict.sync(client=client, body=PixelImages([rows])))
tell(predict.sync(client=client, body=PredictFilesBody([file(seven, "seven.png"), file("2550", "notes.pdf")])))
tell(predict.sync(client=client, body=file(seven, None), explain=True, threshold=0.25))
tell(predict.sync(client=client, body=EncodedImages([])))
tell(predict.sync(client=client, body=PredictFilesBody([file("2550", "notes.pdf")])))
tell(read.sync(client=client, body=ReadFilesBody([file(number, "number.png")]), expect=2))
tell(read.sync(client=client, body=EncodedPictures([texts]), boxes=["0,0,28,28", "28,0,28,28"]))
for operation in (health, live, ready, model):
    tell(operation.sync(client=client))
"""


def test_a_client_can_be_generated_and_used(server: Server, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--url", f"{server.url}/openapi.json",
         "--output-path", tmp_path / "generated", "--meta", "none"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    unknown = set(re.findall(r"Unsupported content.type (\S+?)\)?[,\s]", made.stdout + made.stderr))
    assert unknown == {"image/*", "application/x-npy", "image/png"}  # it knows no others than JSON, forms and octets
    assert "ERROR" not in made.stdout + made.stderr

    base64, _, pixels = examples.for_predict().values()
    (rows,), (text,) = pixels["value"]["pixels"], base64["value"]["images"]
    (texts,) = examples.for_read()["base64"]["value"]["images"]
    given = [SEVEN.hex(), NUMBER.hex(), rows, text, texts]
    done = subprocess.run(
        [sys.executable, "-c", GENERATED, server.url, json.dumps(given)],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    encoded, pixel, files, single, refused, none, numbers, boxed, health, live, ready, model = answers
    for answer in (encoded, pixel, files, single):
        assert answer["predictions"][0]["digit"] == 7
    assert [item["name"] for item in files["predictions"]] == ["seven.png", "notes.pdf"]
    assert files["predictions"][1]["error"]["code"] == none["predictions"][0]["error"]["code"] == "not_an_image"
    assert single["predictions"][0]["explanation"]["image"]
    assert refused["error"]["code"] == "no_images"
    assert numbers["images"][0]["lines"][0]["fits"]
    assert [line["text"] for line in boxed["images"][0]["lines"]] == ["7", "7"]
    assert (health["status"], live["status"], ready["status"]) == ("ok", "alive", "ready")
    assert model["version"] == health["model"]["version"] == encoded["model"]["version"]


def test_schemathesis_finds_nothing_wrong(server: Server, tmp_path: Path) -> None:
    """All its checks, on all operations, with requests that are valid and with such that aren't."""
    done = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), "--config-file", ROOT / "tests" / "schemathesis.toml",
         "run", f"{server.url}/openapi.json", "--checks", "all", "--mode", "all", "--max-examples", "40",
         "--seed", "1", "--generation-deterministic", "--request-timeout", "60", "--no-color"],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert not done.returncode, done.stdout + done.stderr
    document = httpx.get(f"{server.url}/openapi.json").json()
    assert f"Tested: {len(list(operations(document)))}\n" in done.stdout
    assert not [line for line in server.log if "Traceback" in line]
