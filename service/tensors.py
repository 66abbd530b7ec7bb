"""Tensors as the Open Inference Protocol V2 writes them in HTTP: in JSON, or as bytes that follow it.

    body, length of its JSON -> inputs -> images
    judgements               -> outputs -> body

Specification: kserve/open-inference-protocol, inference_rest.md, and Triton's extensions for binary
tensors and for classification. Every input holds images, whatever its name: there is but one kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import orjson

from digits.decode import identify
from digits.errors import BadImage
from digits.judgements import COLUMNS, DIGITS, PRESENCE, Judgements, Probabilities
from digits.sizes import CLASSES
from service.inference import (
    MOST_AXES,
    PIXELS,
    PROBABILITIES,
    Input,
    count_images,
    parse_object,
    to_numbers,
    to_pixels,
    unnest,
)
from service.items import Item, check_count, from_base64
from service.pieces import Long
from service.problems import Problem

JSON_LENGTH = "Inference-Header-Content-Length"
OUTPUTS = {PROBABILITIES: DIGITS, "presence": slice(PRESENCE, COLUMNS)}  # columns of judgements
DTYPES = {"FP32": "<f4", "FP16": "<f2", "UINT8": "u1"}
RAW = {PIXELS * np.dtype(kind).itemsize: np.dtype(kind) for kind in DTYPES.values()}  # by size of one image
LENGTH = 4  # bytes, little-endian, before each element of BYTES
MOST_INPUTS = 16
MOST_SHOWN = 60  # characters of a request that are repeated in what is said of it


@dataclass(frozen=True, slots=True)
class Output:
    """What is wanted of the judgements, and how."""

    name: str
    binary: bool
    classes: int = 0  # so many of the best, as text; 0: all, as numbers


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to infer."""

    contents: list[Input]
    outputs: list[Output]
    id: str | None = None
    timeout: float | None = None  # seconds that it may wait for its turn

    def __len__(self) -> int:
        return sum(map(len, self.contents))


# --- requests -----------------------------------------------------------------------------------


def read(length: bytes | None, max_images: int, body: bytes) -> Asked:
    """Read a request; `length` is its `JSON_LENGTH`, if it has one. Raises `Problem`."""
    size = len(body) if length is None else read_length(length, len(body))
    if not size:
        return Asked([from_raw(body)], read_outputs([], binary=True))
    head = parse_object(body if size == len(body) else body[:size])
    parameters = settings_of(head)
    return Asked(
        read_inputs(listed(head, "inputs"), memoryview(body)[size:], max_images),
        read_outputs(listed(head, "outputs"), parameters.get("binary_data_output") is True),
        read_id(head.get("id")),
        read_timeout(parameters.get("timeout")),
    )


def read_length(length: bytes, most: int) -> int:
    if not length.isdigit() or len(length) > 19 or int(length) > most:
        sent = length[:40].decode("latin-1")
        raise wrong(f"{JSON_LENGTH} is {sent!r}; it must lie between 0 and the body's {most} bytes")
    return int(length)


def from_raw(body: bytes) -> Input:
    """Read one image without any JSON: a tensor of 28 x 28, as its size tells, or a picture."""
    dtype = RAW.get(len(body))
    if dtype is None or is_picture(body):
        return [Item(body)]
    return to_pixels(np.frombuffer(body, dtype).astype(np.uint8 if dtype == np.uint8 else np.float32))


def is_picture(body: bytes) -> bool:
    try:
        identify(body)
    except BadImage as exc:
        return exc.code != "not_an_image"
    return True


def read_inputs(inputs: list[dict[str, Any]], binary: memoryview, max_images: int) -> list[Input]:
    """Read each input from its `data` or, in their order, from the bytes after the JSON."""
    if not 0 < len(inputs) <= MOST_INPUTS:
        raise wrong(f"a request needs 'inputs', a list of 1 to {MOST_INPUTS} tensors")
    contents: list[Input] = []
    for tensor in inputs:
        part, binary = cut(tensor, binary)
        contents.append(read_input(tensor, part, max_images))
    check_count(sum(map(len, contents)), max_images)
    if binary:
        raise wrong(f"{len(binary)} bytes follow those of the inputs; unexpected additional input data")
    return contents


def cut(tensor: dict[str, Any], binary: memoryview) -> tuple[memoryview | None, memoryview]:
    """Return the bytes of a tensor, if it has any, and those that follow it."""
    size = settings_of(tensor).get("binary_data_size")
    if size is None:
        return None, binary
    if not is_whole(size) or size > len(binary):
        raise wrong(
            f"input {shown(name_of(tensor))} claims {shown(size)} bytes as its binary_data_size; {len(binary)} are left"
        )
    return binary[:size], binary[size:]


def read_input(tensor: dict[str, Any], binary: memoryview | None, max_images: int) -> Input:
    shape, datatype = shape_of(tensor), tensor.get("datatype")
    if datatype == "BYTES":
        return read_pictures(tensor, shape, binary, max_images)
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise wrong(
            f"input {shown(name_of(tensor))} has the datatype {shown(datatype)}; send FP32, FP16, UINT8 or BYTES"
        )
    count_images(shape, max_images)
    return from_json(tensor, shape) if binary is None else from_binary(tensor, shape, binary)


def from_binary(tensor: dict[str, Any], shape: list[int], binary: memoryview) -> Input:
    dtype = np.dtype(DTYPES[tensor["datatype"]])
    check_size(tensor, len(binary), math.prod(shape) * dtype.itemsize, "bytes")
    numbers = np.frombuffer(binary, dtype)
    return to_pixels(numbers.astype(np.float32) if dtype == np.float16 else numbers)


def from_json(tensor: dict[str, Any], shape: list[int]) -> Input:
    if tensor["datatype"] == "FP16":
        raise wrong("FP16 has no JSON; send it as binary data, or send FP32")
    numbers, _ = to_numbers(data_of(tensor), partial(check_most, tensor, math.prod(shape)))
    check_size(tensor, numbers.size, math.prod(shape), "elements")
    if tensor["datatype"] == "FP32":
        return to_pixels(numbers)
    pixels = numbers.clip(0, 255).astype(np.uint8)
    if (pixels != numbers).any():
        raise wrong("UINT8 are whole numbers from 0 to 255")
    return to_pixels(pixels)


def read_pictures(tensor: dict[str, Any], shape: list[int], binary: memoryview | None, max_images: int) -> list[Item]:
    """Read picture files: after their lengths in binary, and in JSON as base64."""
    count = math.prod(shape)
    check_count(count, max_images)
    if binary is not None:
        return [Item(content) for content in split(binary, count)]
    data = data_of(tensor)
    if isinstance(data, Long):
        raise wrong("BYTES are strings of base64, not numbers")
    leaves, _ = unnest(data)
    check_size(tensor, len(leaves), count, "elements")
    return [Item(from_base64(entry)) for entry in leaves]


def split(binary: memoryview, count: int) -> list[bytes]:
    """Return the elements of BYTES."""
    elements: list[bytes] = []
    for _ in range(count):
        size = int.from_bytes(binary[:LENGTH], "little")
        if len(binary) < LENGTH + size:
            raise wrong(f"element {len(elements)} of BYTES is cut short")
        elements.append(bytes(binary[LENGTH : LENGTH + size]))
        binary = binary[LENGTH + size :]
    if binary:
        raise wrong(f"{len(binary)} bytes follow the {count} elements of BYTES")
    return elements


def read_outputs(outputs: list[dict[str, Any]], binary: bool) -> list[Output]:
    """Return the outputs that are asked for; all, if none is."""
    wanted = [read_output(output, binary) for output in outputs[: len(OUTPUTS) + 1]]
    if len({output.name for output in wanted}) < len(wanted):
        raise wrong("an output is requested more than once")
    return wanted or [Output(name, binary) for name in OUTPUTS]


def read_output(output: dict[str, Any], binary: bool) -> Output:
    parameters, name = settings_of(output), name_of(output)
    if name not in OUTPUTS:
        raise wrong(f"unexpected inference output {shown(name)}; the model has {' and '.join(OUTPUTS)}")
    if "shared_memory_region" in parameters:
        raise Problem(501, "not_implemented", "shared memory is not supported")
    return Output(name, parameters.get("binary_data", binary) is True, read_classes(name, parameters))


def read_classes(name: str, parameters: dict[str, Any]) -> int:
    if "classification" not in parameters:
        return 0
    classes = parameters["classification"]
    if name != PROBABILITIES or not is_whole(classes) or not classes:
        raise wrong(f"'classification' is a number of classes of {PROBABILITIES}, at least 1")
    return min(int(classes), CLASSES)


def read_id(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise wrong("'id' must be a string")
    return value


def read_timeout(value: Any) -> float | None:
    """Read a number of microseconds; 0 stands for none."""
    if value is not None and not is_whole(value):
        raise wrong("'timeout' is a whole number of microseconds")
    return value / 1e6 if value else None


# --- their parts --------------------------------------------------------------------------------


def listed(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = [] if holder.get(name) is None else holder[name]
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise wrong(f"{name!r} must be a list of objects")
    return value


def settings_of(holder: dict[str, Any]) -> dict[str, Any]:
    value = {} if holder.get("parameters") is None else holder["parameters"]
    if not isinstance(value, dict):
        raise wrong("'parameters' must be an object")
    return value


def name_of(tensor: dict[str, Any]) -> str:
    name = tensor.get("name")
    if not isinstance(name, str):
        raise wrong("a tensor needs a 'name'")
    return name


def shape_of(tensor: dict[str, Any]) -> list[int]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not 0 < len(shape) <= MOST_AXES or not all(map(is_whole, shape)):
        raise wrong(f"the 'shape' of input {shown(name_of(tensor))} must be a list of whole numbers")
    return shape


def data_of(tensor: dict[str, Any]) -> list[Any] | Long:
    if "shared_memory_region" in settings_of(tensor):
        raise Problem(501, "not_implemented", "shared memory is not supported")
    data = tensor.get("data")
    if not isinstance(data, list | Long):
        raise wrong(f"input {shown(name_of(tensor))} needs 'data', a list, or a binary_data_size")
    return data


def check_size(tensor: dict[str, Any], found: int, expected: int, unit: str) -> None:
    if found != expected:
        raise wrong(f"input {shown(name_of(tensor))} has {found} {unit}, but its shape needs {expected}")


def check_most(tensor: dict[str, Any], expected: int, found: int) -> None:
    if found > expected:
        raise wrong(f"input {shown(name_of(tensor))} has more than the {expected} elements that its shape needs")


def is_whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def shown(value: Any) -> str:
    return repr(value)[:MOST_SHOWN]


def wrong(message: str) -> Problem:
    return Problem(400, "malformed", message)


# --- answers ------------------------------------------------------------------------------------


def write(head: dict[str, Any], rows: Judgements, outputs: list[Output]) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON if bytes of tensors follow that."""
    entries, tails = zip(*(write_output(rows, output) for output in outputs), strict=True)
    text = orjson.dumps(head | {"outputs": entries}, option=orjson.OPT_SERIALIZE_NUMPY)
    if not any(output.binary for output in outputs):
        return text, None
    return b"".join([text, *tails]), len(text)


def write_output(judgements: Judgements, output: Output) -> tuple[dict[str, Any], bytes]:
    rows = judgements[:, OUTPUTS[output.name]]
    data: Any = rows.ravel()
    binary, shape, datatype = rows.astype("<f4").tobytes(), list(rows.shape), "FP32"
    if output.classes:
        data = [text for row in rows for text in best(row, output.classes)]
        binary, shape, datatype = join(data), [len(rows), output.classes], "BYTES"
    entry = {"name": output.name, "shape": shape, "datatype": datatype}
    if output.binary:
        return entry | {"parameters": {"binary_data_size": len(binary)}}, binary
    return entry | {"data": data}, b""


def join(texts: list[str]) -> bytes:
    """Return the elements of BYTES, as `split` takes them apart."""
    return b"".join(len(text).to_bytes(LENGTH, "little") + text.encode() for text in texts)


def best(row: Probabilities, count: int) -> list[str]:
    """Return `probability:index:label` of the likeliest digits; of a digit, index and label are the same."""
    order = row.argsort()[::-1][:count]
    return [f"{row[digit]:f}:{digit}:{digit}" for digit in order]
