"""Long JSON means what it means to a parser that reads it at once, and is refused where that refuses it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest

from service.pieces import MOST_VALUES, PIECE, Long, elements, parse
from service.problems import Problem

ROW = "[" + ",".join(str(value) for value in range(28)) + "]"
IMAGE = "[" + ",".join([ROW] * 28) + "]"
MANY = ",".join([IMAGE] * 100)  # of which a piece holds some 25
FLAT = ",".join(str(value / 8) for value in range(50_000))


def whole(value: Any) -> Any:
    """Return a value with all its lists parsed."""
    match value:
        case Long():
            return list(elements(value))
        case dict():
            return {key: whole(item) for key, item in value.items()}
        case list():
            return [whole(item) for item in value]
    return value


def has_long(value: Any) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, Long) or any(map(has_long, children))


@pytest.mark.parametrize(
    "text",
    [
        f'{{"pixels": [{MANY}]}}',
        f'  {{ "pixels"\n:\t[ {MANY} ] }} ',
        json.dumps(json.loads(f'{{"pixels": [{MANY}]}}'), indent=4),
        f'{{"instances": [{FLAT}], "signature_name": "x"}}',
        f'{{"signature_name": "a[1,2]\\"", "inputs": {{"image": [{MANY}] }} }}',
        f'{{"inputs": [{{"name": "a", "data": [{FLAT}]}}, {{"data": [{MANY}] , "name": "b"}}], "id": "[1]"}}',
        f'{{"first": [{FLAT}], "second": [true, {FLAT}], "third": [1]}}',
        f'{{"pixels": [[{FLAT}], [{FLAT}]]}}',
        f'{{"pixels": [{FLAT}, {FLAT}, null]}}',
    ],
)
def test_a_long_list_is_what_it_is_when_parsed_at_once(text: str) -> None:
    value = parse(text.encode())
    assert has_long(value)
    assert whole(value) == orjson.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        f"[{FLAT}]",
        f'{{"a": [{{}}, {FLAT}]}}',
        f'{{"a": ["", {FLAT}]}}',
        f'{{"a": "{"x" * PIECE}", "b": ["{"y" * PIECE}"]}}',
        f'{{"a": [{" " * 2 * PIECE}]}}',
    ],
)
def test_whatever_else_is_long_is_parsed_at_once(text: str) -> None:
    value = parse(text.encode())
    assert not has_long(value)
    assert value == orjson.loads(text)


GAP = " " * 2 * PIECE


@pytest.mark.parametrize(
    "text",
    [
        f'{{"a": [{FLAT},]}}', f'{{"a": [{FLAT}],}}', f'{{"a": [{FLAT}],, "b": 1}}', f'{{"a": [,{FLAT}]}}',
        f'{{"a": [{FLAT},,{FLAT}]}}', f'{{"a": [{FLAT}]', f'{{"a": [{FLAT}', f'{{"a": [{FLAT}}}', f'{{"a": {FLAT}]}}',
        f'{{"a": [{FLAT}]]}}', f'{{"a": [{MANY}, [1]}}', f'{{"a": [{MANY}], [1]]}}', f'{{"a": [{MANY}] [1]}}',
        f'{{"a": [{FLAT},{GAP},{FLAT}]}}', f'{{"a": [{FLAT},{GAP}]}}', f'{{"a": [{FLAT}, 1 2]}}',
        f'{{"a": [{FLAT}, NaN]}}', f'{{"a": [{FLAT}, 01]}}', f'{{"a": [{MANY}, [1],2[]]}}', f'{{"a": [{"[" * 100_000}',
        f'{{"a": [{"[" * 100_000}{"]" * 100_000}]}}', f'{{"a":[{FLAT}]}}{{"a":[{FLAT}]}}', f'{{"a": "b": [{FLAT}]}}',
        f'{{"a":[{"]" * 100_000}]}}', f'{{"a": [{FLAT[: PIECE - 1]},]}}',
        f'{{"a": [{MANY}, {"[" * 2000}{FLAT}{"]" * 2000}, {MANY}]}}',
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(text)
    with pytest.raises(Problem, match="JSON Parse error") as caught:
        whole(parse(text.encode()))
    assert (caught.value.status, caught.value.code) == (400, "malformed")


def test_a_byte_that_changes_changes_no_verdict() -> None:
    """Wherever a cut happens to fall, both parsers agree."""
    chance = np.random.default_rng(5)
    text = f'{{"pixels": [{MANY}], "of": "b"}}'.encode()
    for _ in range(150):
        at = int(chance.integers(len(text)))
        changed = text[:at] + bytes([chance.choice([*b'[],{} 1-"e'])]) + text[at + 1 :]
        try:
            expected = orjson.loads(changed)
        except ValueError:
            with pytest.raises(Problem):
                whole(parse(changed))
        else:
            assert whole(parse(changed)) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "' + ":[" + FLAT + ']"}',
        '{"a": "\\":[' + FLAT + ']"}',
    ],
)
def test_a_string_that_looks_like_a_long_list_is_refused_at_worst(text: str) -> None:
    assert orjson.loads(text)
    with pytest.raises(Problem, match="JSON Parse error"):
        parse(text.encode())


@pytest.mark.parametrize("entry", ["{}", '{"": 1}', '""', '[""]', "[],[],[],{}"])
def test_more_values_than_are_parsed_at_once_are_refused_before_they_are(entry: str) -> None:
    with pytest.raises(Problem, match="lists") as caught:
        parse(f'{{"instances": [{",".join([entry] * MOST_VALUES)}]}}'.encode())
    assert (caught.value.status, caught.value.code) == (413, "too_large")
