"""The service answers what TensorFlow Serving is on record as answering, but for differences that are declared.

`recorded/tensorflow_serving.json` has the requests and answers, and what each is a fact of. What belongs to the model
of a source, its name, its values, is put in place by what the record says stands in for it; all else is sent and
compared as it was recorded. A difference on purpose has a name, which the record bears, a check here, and a line in
docs/compatibility.md.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.tfjson import write_predict
from tests.models import mnist, png
from tests.server import ROOT, Server

Record = dict[str, Any]
Rows = NDArray[np.float32]

RECORDED = json.loads((Path(__file__).parent / "recorded" / "tensorflow_serving.json").read_text())
RECORDS: list[Record] = RECORDED["records"]
NUMBER = re.compile(r'(?<![\w".])-?\d+\.?\d*(?:e[-+]?\d+)?(?![\w"])')  # outside of strings
DIFFERENCES = re.compile(r"## Differences from TensorFlow Serving\n\n.+?\n\n((?:\|[^\n]+\n)+)", re.DOTALL)
IMAGES, _ = mnist(3)


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as lent:
        yield lent


@pytest.fixture(scope="module")
def stand_ins(client: httpx.Client) -> dict[str, str]:
    """What takes the place of a source's model: the images, the version, and the rows that the network gives."""
    images = [json.dumps((image / np.float32(255)).tolist()) for image in IMAGES]
    files = [base64.b64encode(png(image)).decode() for image in IMAGES]
    rows, pair = judged(client, 3), judged(client, 2)
    (status,) = client.get("/v1/models/digits").json()["model_version_status"]
    return {
        "MODEL": "digits", "VERSION": status["version"], "LABEL": "stable", "SIGNATURE": "serving_default",
        "INPUT": ": image", "INPUT NAME": '"image"', "DT_FLOAT": "DT_FLOAT", "TWO THOUSAND LETTERS": "x" * 2000,
        "IMAGE": images[0], "IMAGES": ", ".join(images), "FEATURE": f'"image": {images[0]}',
        "FIRST FILE": files[0], "SECOND FILE": files[1],
        "ROW": line(rows[:1]), "ROWS": line(rows), "TWO ROWS": line(pair),
        "ROWS, ONE BELOW THE OTHER": ",\n".join(map(below, rows)),
        "RANKED": ranked(rows[0]), "RANKED, THE SECOND": ranked(rows[1]),
        "INPUT TENSOR": json.dumps({"image": tensor("serving_default_image:0", -1, 28, 28, 1)}),
        "OUTPUT TENSOR": json.dumps({"probabilities": tensor("StatefulPartitionedCall:0", -1, 10)}),
    }  # fmt: skip


def judged(client: httpx.Client, count: int) -> Rows:
    """Return the (count, 10) probabilities of the first images."""
    body = {"pixels": IMAGES[:count].tolist()}
    rows: Rows = np.load(
        io.BytesIO(client.post("/predict", json=body, headers={"accept": "application/x-npy"}).content)
    )
    return rows


def decimal(value: np.float32) -> str:
    """Write a number as TensorFlow Serving does: with six digits, or nine if it takes them to tell it apart."""
    short = f"{value:.6g}"
    text = short if np.float32(short) == value else f"{value:.9g}"
    return text if "." in text or "e" in text else f"{text}.0"


def line(rows: Rows) -> str:
    return ", ".join(f"[{', '.join(map(decimal, row))}]" for row in rows)


def below(row: NDArray[np.float32]) -> str:
    return "        [\n" + ",\n".join(f"            {decimal(value)}" for value in row) + "\n        ]"


def ranked(row: NDArray[np.float32]) -> str:
    return ", ".join(f'["{digit}", {decimal(row[digit])}]' for digit in sorted(range(10), key=lambda d: -row[d]))


def tensor(name: str, *sizes: int) -> dict[str, Any]:
    shape = {"dim": [{"size": str(size), "name": ""} for size in sizes], "unknown_rank": False}
    return {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": name}


def replaced(text: str, names: dict[str, str], stand_ins: dict[str, str]) -> str:
    for part, name in names.items():
        text = text.replace(part, stand_ins[name])
    return text


def message(response: httpx.Response) -> str:
    """Check the one shape of errors, and return what it says."""
    said = response.json()["error"]
    assert response.text == json.dumps({"error": said}, indent=4, ensure_ascii=False)
    return str(said)


def same_but_for_digits(text: str, recorded: str) -> None:
    """Check that texts are the same to the letter, with numbers that are as good as the same, and decimal."""
    assert NUMBER.sub("#", text) == NUMBER.sub("#", recorded)
    numbers = NUMBER.findall(text)
    assert numbers
    assert all("." in number or "e" in number for number in numbers)
    np.testing.assert_allclose([*map(float, numbers)], [*map(float, NUMBER.findall(recorded))], rtol=1e-5)


def relaid(text: str) -> str:
    return json.dumps(json.loads(text))


def check_plain(response: httpx.Response, record: Record, said: str) -> None:
    assert response.status_code == record["status"], response.text
    match record["fixes"]:
        case "text":
            assert response.text == said
        case "json" if NUMBER.search(said):
            same_but_for_digits(relaid(response.text), relaid(said))
        case "json":
            assert relaid(response.text) == relaid(said)
        case "start":
            assert response.text.startswith(said)
        case "message":
            assert message(response) == said
        case "part":
            assert said in message(response)
        case "status":
            assert response.is_success or message(response)
        case other:
            pytest.fail(f"no source fixes {other}")


# --- differences on purpose ---------------------------------------------------------------------


def check_digits(response: httpx.Response, record: Record, said: str) -> None:
    assert response.status_code == record["status"]
    same_but_for_digits(response.text, said)


def check_ready(response: httpx.Response, record: Record, said: str) -> None:
    """KServe's client looks for two keys more, which come last."""
    assert response.status_code == record["status"]
    answer = response.json()
    assert response.text == json.dumps(answer, indent=1) + "\n"
    added = {key: answer.pop(key) for key in list(answer)[1:]}
    assert added == {"name": "digits", "ready": True}
    assert json.dumps(answer, indent=1) + "\n" == said


def check_models(response: httpx.Response, record: Record, said: str) -> None:
    assert (response.status_code, response.json()) == (200, {"models": ["digits"]})


def check_method(response: httpx.Response, record: Record, said: str) -> None:
    assert (response.status_code, record["status"]) == (405, 400)
    assert response.headers["allow"] in ("GET", "POST")
    assert said in message(response)


def check_empty_answer(response: httpx.Response, record: Record, said: str) -> None:
    """Say in the body what there only the log says."""
    assert (response.status_code, said in message(response)) == (record["status"], True)


def check_parser(response: httpx.Response, record: Record, said: str) -> None:
    begin = "JSON Parse error: "
    assert response.status_code == record["status"]
    assert said.startswith(begin)
    assert message(response).startswith(begin)


def check_not_a_number(response: httpx.Response, record: Record, said: str) -> None:
    assert (response.status_code, record["status"]) == (400, 200)
    assert message(response).startswith("JSON Parse error: ")


def check_strings(response: httpx.Response, record: Record, said: str) -> None:
    """Strings are pictures in base64, and these are wrong ones."""
    assert response.status_code == record["status"]
    assert message(response).endswith("Unable to base64 decode")


def check_names(response: httpx.Response, record: Record, said: str) -> None:
    assert (response.status_code, record["status"]) == (200, 400)
    assert response.json().keys() == {"predictions"}


def check_numbers(response: httpx.Response, record: Record, said: str) -> None:
    """All numbers are pixels, of whatever kind; that these make no image is what is wrong."""
    assert response.status_code == record["status"]
    assert "unexpected shape" in message(response)


def check_classify(response: httpx.Response, record: Record, said: str) -> None:
    assert (response.status_code, record["status"]) == (200, 400)
    assert response.json().keys() == {"results"}


def check_length(response: httpx.Response, record: Record, said: str) -> None:
    """The value that is wrong is repeated up to a thousand characters."""
    begin, end = "JSON Value: ", " Excepting 'instances' to be an list/array"
    value = said.removeprefix(begin).removesuffix(end)
    assert response.status_code == record["status"]
    assert message(response) == f"{begin}{value[:1000]}…{end}"


CHECKS: dict[str, Callable[[httpx.Response, Record, str], None]] = {
    "digits": check_digits, "ready": check_ready, "models": check_models, "method": check_method,
    "empty answer": check_empty_answer, "parser": check_parser, "not a number": check_not_a_number,
    "strings": check_strings, "names": check_names, "numbers": check_numbers, "classify": check_classify,
    "length": check_length,
}  # fmt: skip


# --- tests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", RECORDS, ids=[record["name"] for record in RECORDS])
def test_what_is_on_record_is_what_is_answered(record: Record, client: httpx.Client, stand_ins: dict[str, str]) -> None:
    names = record["stand_ins"]
    path = replaced(record["path"], names["request"], stand_ins)
    body = None if record["body"] is None else replaced(record["body"], names["request"], stand_ins)
    response = client.request(record["method"], path, content=body, headers=record["headers"])
    assert response.headers["content-type"] == "application/json"
    said = replaced(record["answer"] or "", names["answer"], stand_ins)
    CHECKS.get(record.get("deviation", ""), check_plain)(response, record, said)


@pytest.mark.parametrize("record", RECORDS, ids=[record["name"] for record in RECORDS])
def test_all_that_is_replaced_stands_in_what_is_on_record(record: Record) -> None:
    names = record["stand_ins"]
    asked = record["path"] + (record["body"] or "")
    assert [part for part in names["request"] if part not in asked] == []
    assert [part for part in names["answer"] if part not in record["answer"]] == []
    assert record["source"]


def test_numbers_are_those_on_record_with_other_digits() -> None:
    """One is 9000000.0 for 9e+06, both of which are the same float, and none is whole."""
    recorded, values = RECORDED["numbers"]["text"], np.array(RECORDED["numbers"]["values"], np.float32)
    text = write_predict("predictions", values).decode()
    assert [*map(np.float32, NUMBER.findall(text))] == [*map(np.float32, NUMBER.findall(recorded))] == [*values.flat]
    assert all("." in number or "e" in number for number in NUMBER.findall(text))
    assert line(values) == re.sub(r"\s+", " ", recorded)


def test_a_number_is_the_same_float_whatever_its_digits() -> None:
    values = np.random.default_rng(0).dirichlet([0.1] * 10, 200).astype(np.float32)
    text = write_predict("outputs", values).decode()
    assert [*map(np.float32, NUMBER.findall(text))] == [np.float32(decimal(value)) for value in values.flat]


def test_the_document_lists_each_difference_and_no_other() -> None:
    table = DIFFERENCES.search((ROOT / "docs" / "compatibility.md").read_text())
    assert table, "the document has no table of differences"
    listed = {row.split("|")[1].strip() for row in table[1].splitlines()[2:]}
    assert listed == CHECKS.keys() == {record["deviation"] for record in RECORDS if "deviation" in record}
