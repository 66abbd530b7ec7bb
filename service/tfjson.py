"""JSON as TensorFlow Serving reads and writes it. Knows nothing of models, versions and paths.

    instances or inputs, examples -> images
    probabilities -> predictions or outputs, results

Source: tensorflow/serving, util/json_tensor.cc. The layout of answers is that server's to the
letter, and so are its words for what is wrong; numbers have as many digits as tell them apart,
where it writes six or nine. Every input holds images, whatever its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import prod
from typing import Any, NoReturn

import orjson

from digits.errors import BadImage
from digits.judgements import Probabilities
from service.inference import INPUT, Input, count_images, to_numbers, to_pixels, unnest
from service.items import Item, check_count, from_base64
from service.pieces import PIECE, Long, elements, parse
from service.problems import Problem

SIGNATURE = "serving_default"
EMPTY = "JSON Parse error: The document is empty"
LONGEST = 1000  # characters of a request that a message repeats; of an image it would be millions
DEEPEST = 32  # lists in lists that are searched for what is wrong; images have four
PRETTY = json.JSONEncoder(ensure_ascii=False, indent=4, default=lambda long: next(iter(long)))  # no more is shown
MOST_BLANK = 8 * PIECE  # bytes of an image in numbers, most of which are blanks then
KINDS = {
    dict: "Object",
    list: "Array",
    Long: "Array",
    str: "String",
    int: "Number",
    float: "Number",
    type(None): "Null",
}
NUMBERS = {int, float}

Explain = Callable[[list[Any], str], str | None]  # images, what they should be made of -> what is wrong with them


@dataclass(frozen=True, slots=True)
class Asked:
    """The images of a request, and the key under which their answer stands."""

    content: Input
    key: str

    def __len__(self) -> int:
        return len(self.content)


# --- requests -----------------------------------------------------------------------------------


def read_predict(max_images: int, body: bytes) -> Asked:
    """Read `{"instances": [image, …]}` or `{"inputs": images}`. Raises `Problem`."""
    asked = read_object(body)
    signature = asked.get("signature_name", "")
    if signature not in ("", SIGNATURE):
        raise wrong(f'Serving signature name: "{signature[:LONGEST]}" not found in signature def')
    if "instances" in asked:
        return Asked(read_rows(asked, max_images), "predictions")
    if "inputs" not in asked:
        raise wrong("Missing 'inputs' or 'instances' key")
    return Asked(read_column(asked["inputs"], max_images), "outputs")


def read_classify(max_images: int, body: bytes) -> Asked:
    """Read `{"examples": [{"image": image}, …]}`. Raises `Problem`."""
    asked = read_object(body)
    examples = examples_of(asked)
    check_count(len(examples), max_images)
    check_signature(asked)
    features = [feature_of(example) for example in examples]
    names, values = [name for name, _ in features], [value for _, value in features]
    return Asked(read_images(values, max_images, partial(explain_features, names)), "results")


def read_regress(max_images: int, body: bytes) -> NoReturn:
    """Refuse what a network that tells classes apart cannot do, or what is wrong before that. Raises `Problem`."""
    asked = read_object(body)
    examples_of(asked)
    check_signature(asked)
    wanted, found = "tensorflow/serving/regress", "tensorflow/serving/predict"
    raise wrong(f"Expected regression signature method_name to be {wanted}. Was: {found}")


def read_object(body: bytes) -> dict[str, Any]:
    asked = parse(body)
    if not isinstance(asked, dict):
        raise wrong(f"{quoted(asked)} Is not object")
    if not isinstance(asked.get("signature_name", ""), str):
        raise wrong(f"{quoted(asked)} not formatted correctly. 'signature_name' key must be a string value.")
    return asked


def read_rows(asked: dict[str, Any], max_images: int) -> Input:
    """Read images one by one, all of them named or none."""
    if "inputs" in asked:
        only = "expecting only one of 'inputs' or 'instances' keys to exist "  # the space is that server's, too
        raise wrong(f"{quoted(asked)} Not formatted correctly {only}")
    rows = asked["instances"]
    if isinstance(rows, Long):
        return read_images(rows, max_images, lambda rows, made_of: explain_rows([""] * len(rows), rows, made_of))
    if not isinstance(rows, list):
        raise wrong(f"{quoted(asked)} Excepting 'instances' to be an list/array")  # as it says it
    if not rows:
        raise wrong(f"{quoted(asked)} No values in 'instances' array")
    check_count(len(rows), max_images)
    check_mix(rows)
    if not is_named(rows[0]):
        return read_images(rows, max_images, partial(explain_rows, [""] * len(rows)))
    named = [sole_input(index, row) for index, row in enumerate(rows)]
    names, values = [name for name, _ in named], [value for _, value in named]
    return read_images(values, max_images, partial(explain_rows, names))


def read_column(inputs: Any, max_images: int) -> Input:
    """Read images as one tensor, named or not."""
    column = inputs
    if is_named(inputs):
        name = INPUT if INPUT in inputs or len(inputs) != 1 else next(iter(inputs))
        if name not in inputs:
            raise wrong(f"Missing named input: {name} in 'inputs' object.")
        column = inputs[name]
    if is_picture(column):
        column = [column]
    if not isinstance(column, list | Long):
        raise wrong("'inputs' must hold a list of images")
    return read_images(column, max_images, explain_column)


def examples_of(asked: dict[str, Any]) -> list[dict[str, Any]]:
    check_example(asked.get("context", {}))
    if "examples" not in asked:
        raise wrong(f"{quoted(asked)} When method is classify, key 'examples' is expected and was not found")
    examples = asked["examples"]
    if isinstance(examples, Long):
        examples = next(iter(examples))  # numbers or lists, so that the first one is refused
    if not isinstance(examples, list):
        raise wrong(f"{quoted(asked)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise wrong(f"{quoted(asked)} 'examples' value is an empty array")
    for example in examples:
        check_example(example)
    return examples


def check_example(example: Any) -> None:
    if not isinstance(example, dict):
        raise wrong(f"Example must be JSON object but got JSON {kind(example)}")


def check_signature(asked: dict[str, Any]) -> None:
    signature = asked.get("signature_name", "")
    if signature not in ("", SIGNATURE):
        raise wrong(f"No signature was found with the name: {signature[:LONGEST]}")


def check_mix(rows: list[Any]) -> None:
    named = is_named(rows[0])
    for index, row in enumerate(rows):
        if is_named(row) != named:
            mixed = "object but got list" if named else "value/list but got object"
            raise wrong(f"Expecting {mixed} at item {index} of input list")


def sole_input(index: int, row: dict[str, Any]) -> tuple[str, Any]:
    """Return the name and the value of the one input that a row has."""
    if not row:
        message = f"JSON object: {shown(row)} keys must be equal to: {INPUT}"
        raise wrong(f"Failed to process element: {index} of 'instances' list. {message}")
    if len(row) > 1:
        other = next(name for name in row if name != INPUT)
        raise wrong(element(index, other) + f"JSON object: does not have named input: {other[:LONGEST]}")
    ((name, value),) = row.items()
    return name, at_once(value)


def feature_of(example: dict[str, Any]) -> tuple[str, Any]:
    """Return the name and the value of the feature that holds the image."""
    if INPUT not in example and len(example) != 1:
        raise wrong(f"Feature: {INPUT} is required but could not be found")
    name = INPUT if INPUT in example else next(iter(example))
    return name, at_once(example[name])


def at_once(value: Any) -> Any:
    """Return an image that is written at length as a list after all."""
    return list(elements(value)) if isinstance(value, Long) and len(value.text) <= MOST_BLANK else value


def read_images(values: list[Any] | Long, max_images: int, explain: Explain) -> Input:
    """Read pictures in base64, or numbers, and have it explained why they are neither."""
    if isinstance(values, list) and values and is_picture(values[0]):
        check_count(len(values), max_images)
        items = [Item(decode(value)) for value in values]
        if any(isinstance(item.content, BadImage) for item in items):
            raise wrong(explain(values, "string") or "one holds a picture, and another none")
        return items
    try:
        numbers, shape = to_numbers(values, partial(check_count, max_images=max_images))
    except Problem as exc:
        if exc.status == 413:
            raise  # to explain millions would take seconds
        raise wrong(explain(list(islice(elements(values), max_images)), "float") or str(exc)) from exc
    count_images(shape, max_images)
    return to_pixels(numbers)


def is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def is_picture(value: Any) -> bool:
    return isinstance(value, str) or is_base64(value)


def is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def decode(value: Any) -> bytes | BadImage:
    return from_base64(value["b64"] if is_base64(value) else value)


# --- what is wrong with them --------------------------------------------------------------------


def explain_rows(names: Sequence[str], rows: list[Any], made_of: str) -> str | None:
    """Say which row is wrong in itself, or unlike the first."""
    expected = shape_of(rows[0])
    for index, (name, row) in enumerate(zip(names, rows, strict=True)):
        shape = shape_of(row)
        found = find_fault(row, shape, made_of) or find_difference(expected, shape)
        if found:
            return element(index, name) + found
    return None


def explain_column(column: list[Any], made_of: str) -> str | None:
    return find_fault(column, shape_of(column), made_of)


def explain_features(names: Sequence[str], features: list[Any], made_of: str) -> str | None:
    """Say which element of a feature, which is a list without lists in it, is wrong."""
    for name, feature in zip(names, features, strict=True):
        values = feature if isinstance(feature, list) else [feature]
        for value in values:
            if kind(value) in ("Null", "Array") or is_named(value):
                return f"Feature: {name[:LONGEST]} has element with unexpected JSON type: {kind(value)}"
            if is_picture(value) != is_picture(values[0]):
                expected = "bytes" if is_picture(values[0]) else "float" if type(values[0]) is float else "int64"
                return f"Unexpected element type in feature: {name[:LONGEST]} expecting type: {expected}"
            if found := find_bad_base64(value):
                return found
    return None


def find_fault(value: Any, shape: list[int], made_of: str, level: int = 0) -> str | None:
    """Say where nested lists first depart from their shape, or hold what they should not be made of."""
    rank = len(shape)
    if level > DEEPEST:
        return None
    if not isinstance(value, list):
        if level != rank:
            return f"{quoted(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {rank}"
        return find_wrong_leaf(value, made_of)
    if level >= rank:
        return f"Encountered list at unexpected level: {level} expected < {rank}"
    if len(value) != shape[level]:
        return f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
    if made_of == "float" and is_sound(value, shape[level:]):
        return None  # to visit every pixel would take seconds
    faults = (find_fault(inner, shape, made_of, level + 1) for inner in value)
    return next((fault for fault in faults if fault), None)


def is_sound(value: list[Any], shape: list[int]) -> bool:
    try:
        leaves, found = unnest(value)
    except Problem:
        return False
    return list(found) == shape and set(map(type, leaves)) <= NUMBERS


def find_wrong_leaf(value: Any, made_of: str) -> str | None:
    if made_of == "string" and is_named(value):
        return f"{quoted(value)} not formatted correctly for base64 data"
    if is_picture(value) if made_of == "string" else type(value) in NUMBERS:
        return find_bad_base64(value)
    return f"{quoted(value)} Type: {kind(value)} is not of expected type: {made_of}"


def find_bad_base64(value: Any) -> str | None:
    return "Unable to base64 decode" if is_picture(value) and isinstance(decode(value), BadImage) else None


def find_difference(expected: list[int], shape: list[int]) -> str | None:
    if prod(shape) != prod(expected):
        return f"Expecting tensor size: {prod(expected)} but got: {prod(shape)}"
    if shape != expected:
        return f"Expecting shape {bracketed(expected)} but got: {bracketed(shape)}"
    return None


def shape_of(value: Any) -> list[int]:
    """Return the lengths of a list, of the first list in it, and so on."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def bracketed(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def element(index: int, name: str) -> str:
    key = f" key: {name[:LONGEST]}" if name else ""
    return f"Failed to process element: {index}{key} of 'instances' list. Error: INVALID_ARGUMENT: "


def quoted(value: Any) -> str:
    return f"JSON Value: {shown(value)}"


def shown(value: Any) -> str:
    """Write a value, but no more of it than a message should hold."""
    text = ""
    for part in PRETTY.iterencode(value):
        text += part
        if len(text) > LONGEST:
            return f"{text[:LONGEST]}…"
    return text


def kind(value: Any) -> str:
    return str(value) if isinstance(value, bool) else KINDS[type(value)]


def wrong(message: str) -> Problem:
    return Problem(400, "malformed", message)


# --- answers ------------------------------------------------------------------------------------


def write_predict(key: str, rows: Probabilities) -> bytes:
    """Write (n, 10) probabilities, a row to each of `predictions`, or as the one tensor of `outputs`."""
    text = orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)
    return write_lines(key, text) if key == "predictions" else write_tensor(key, text)


def write_classify(key: str, rows: Probabilities) -> bytes:
    """Write the digits of each row with their probabilities, the likeliest first."""
    ranked = [[(str(digit), row[digit]) for digit in row.argsort()[::-1]] for row in rows]
    return write_lines(key, orjson.dumps(ranked, option=orjson.OPT_SERIALIZE_NUMPY))


def write_lines(key: str, text: bytes) -> bytes:
    """Lay out a list of lists: all on one line, but for its last bracket."""
    return b'{\n    "%s": %s\n    ]\n}' % (key.encode(), text.replace(b",", b", ")[:-1])


def write_tensor(key: str, text: bytes) -> bytes:
    """Lay out a list of lists of numbers, each on a line of its own."""
    numbers = text[2:-2].replace(b",", b",\n" + b" " * 12)
    rows = numbers.replace(b"],\n" + b" " * 12 + b"[", b"\n        ],\n        [\n" + b" " * 12)
    return b'{\n    "%s": [\n        [\n            %s\n        ]\n    ]\n}' % (key.encode(), rows)
