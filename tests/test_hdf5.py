"""A `.h5` from an unknown hand is read or refused; it neither reaches outside, nor runs, nor swells."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from digits import convert, hdf5, network
from digits.errors import BadModel
from digits.graph import MAX_WORK
from tests import hostile
from tests.hostile import called_on, dense, functional, image_input, layer, model, sequential

HEALTHY = model()
TEXT = h5py.string_dtype()
FLATTEN = layer("Flatten")
CYCLE = [
    called_on(layer("Add", name="add"), "inputlayer", "loop"),
    called_on(layer("Dropout", name="loop"), "add"),
    called_on(dense(), "loop"),
]


def conv(**changes: Any) -> dict[str, Any]:
    return layer("Conv2D", filters=1, kernel_size=[1, 1], **changes)


def repeated(entry: dict[str, Any], times: int) -> dict[str, Any]:
    """Return a model that calls one layer on itself again and again."""
    name = entry["config"]["name"]
    calls = [[["inputlayer", 0, 0, {}]], *([[name, index, 0, {}]] for index in range(times - 1))]
    return functional(image_input(), entry | {"inbound_nodes": calls}, outputs=[name, times - 1, 0])


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    # not HDF5
    "empty": ("not_hdf5", lambda: b""),
    "text": ("not_hdf5", lambda: b"a model, honestly\n" * 100),
    "a zip archive, such as .keras": ("not_hdf5", lambda: b"PK\x03\x04" + bytes(1000)),
    "the signature alone": ("not_hdf5", lambda: HEALTHY[:8]),
    "cut short": ("not_hdf5", lambda: HEALTHY[:-1]),
    "above the size cap": ("too_large", lambda: HEALTHY + bytes(hdf5.MAX_BYTES)),
    # reaching elsewhere
    "external link": ("unsafe", lambda: hostile.with_link(h5py.ExternalLink("/etc/hostname", "/x"))),
    "soft link": ("unsafe", lambda: hostile.with_link(h5py.SoftLink("/model_weights/dense/dense/kernel"))),
    "dangling soft link": ("unsafe", lambda: hostile.with_link(h5py.SoftLink("/nowhere"))),
    "cycle of hard links": ("too_large", hostile.with_cycle),
    "cycle with long names": ("too_large", hostile.with_long_names),
    "virtual dataset": ("unsafe", hostile.with_virtual),
    "external dataset": (
        "unsafe",
        lambda: hostile.replace_kernel(shape=(784, 10), dtype="f4", external=[("/etc/passwd", 0, 31_360)]),
    ),
    # other than numbers
    "named type": ("unsafe", lambda: hostile.with_link(np.dtype("f4"))),
    "strings": ("unsafe", lambda: hostile.replace_kernel(data=["a", "b"], dtype=TEXT)),
    "object references": ("unsafe", lambda: hostile.replace_kernel(shape=(2,), dtype=h5py.ref_dtype)),
    "ragged arrays": ("unsafe", lambda: hostile.replace_kernel(shape=(2,), dtype=h5py.vlen_dtype(np.float32))),
    "compound": ("unsafe", lambda: hostile.replace_kernel(shape=(2,), dtype=[("a", "f4"), ("b", "i4")])),
    "opaque": ("unsafe", lambda: hostile.replace_kernel(shape=(2,), dtype="V8")),
    "complex": ("unsafe", lambda: hostile.replace_kernel(shape=(784, 10), dtype="c8")),
    "integers": ("unsafe", lambda: hostile.replace_kernel(shape=(784, 10), dtype="i4")),
    "nothing": ("unsafe", lambda: hostile.replace_kernel(data=h5py.Empty("f4"))),
    "NaN": ("mismatch", lambda: hostile.with_kernel(float("nan"))),
    "infinity": ("mismatch", lambda: hostile.with_kernel(float("inf"))),
    "more than float32 holds": ("mismatch", lambda: hostile.with_kernel(1e300)),
    # swelling
    "vast shape, nothing stored": ("too_large", lambda: hostile.replace_kernel(shape=(1 << 40, 1 << 20), dtype="f4")),
    "vast chunk": (
        "too_large",
        lambda: hostile.replace_kernel(shape=(1, 1), dtype="f4", chunks=(1 << 13, 1 << 13), maxshape=(None, None)),
    ),
    "many names of one array": ("too_large", lambda: hostile.with_many_links(64)),
    "too many objects": ("too_large", lambda: hostile.with_many_groups(hdf5.MAX_OBJECTS)),
    "gzip bomb": ("unsafe", lambda: hostile.with_gzip_bomb(1 << 26)),
    "shuffle": ("unsafe", lambda: hostile.replace_kernel(shape=(784, 10), dtype="f4", shuffle=True)),
    "scale-offset": ("unsafe", lambda: hostile.replace_kernel(shape=(784, 10), dtype="f4", scaleoffset=2)),
    "lzf": ("unsafe", lambda: hostile.replace_kernel(shape=(784, 10), dtype="f4", compression="lzf")),
    "n-bit": ("unsafe", lambda: hostile.with_low_filter(h5py.h5z.FILTER_NBIT)),
    "szip": ("unsafe", lambda: hostile.with_low_filter(h5py.h5z.FILTER_SZIP, 4, 8)),
    "unknown filter": ("unsafe", lambda: hostile.with_low_filter(32_000, 1, 2, 3)),
    # configuration: its form
    "no model_config": ("malformed", lambda: hostile.without_attribute("model_config")),
    "configuration alone": ("malformed", hostile.without_weights),
    "model_config a number": ("malformed", lambda: hostile.with_attribute("model_config", 7)),
    "model_config an array of strings": (
        "malformed",
        lambda: hostile.with_attribute("model_config", ["{}"] * 100, dtype=TEXT),
    ),
    "model_config empty": ("malformed", lambda: hostile.with_attribute("model_config", h5py.Empty("S10"))),
    "model_config not UTF-8": ("malformed", lambda: hostile.with_attribute("model_config", np.bytes_(b"\xff\xfe{}"))),
    "not JSON": ("malformed", lambda: model("{'class_name': 'Sequential'}")),
    "JSON, but a list": ("malformed", lambda: model("[]")),
    "deep JSON": ("malformed", lambda: model("[" * 100_000)),
    "huge JSON": ("too_large", lambda: model(json.dumps("x" * hdf5.MAX_CONFIG))),
    "huge integer": ("malformed", lambda: model('{"class_name": ' + "9" * 5_000 + "}")),
    "keras_version a number": ("malformed", lambda: hostile.with_attribute("keras_version", 3)),
    # configuration: its classes
    "a model of some class": ("unsupported", lambda: model({"class_name": "Evil", "config": {}})),
    "Lambda": ("unsupported", lambda: model(sequential(image_input(), layer("Lambda", function=["4wE=", None, None])))),
    "registered class": (
        "unsupported",
        lambda: model(sequential(image_input(), FLATTEN | {"registered_name": "mine>Flatten"}, dense())),
    ),
    "foreign module": ("unsupported", lambda: model(sequential(image_input(), FLATTEN | {"module": "os"}, dense()))),
    "registered model": ("unsupported", lambda: model(sequential(image_input()) | {"registered_name": "mine>Model"})),
    "unknown layer": ("unsupported", lambda: model(sequential(image_input(), layer("LSTM"), dense()))),
    "nested model": ("unsupported", lambda: model(sequential(image_input(), sequential(FLATTEN), dense()))),
    "second input layer": (
        "unsupported",
        lambda: model(sequential(image_input(), layer("InputLayer", name="b"), dense())),
    ),
    "activation of one's own": (
        "unsupported",
        lambda: model(
            sequential(image_input(), FLATTEN, dense(activation={"class_name": "function", "config": "evil"}))
        ),
    ),
    # configuration: its values
    "no layers": ("malformed", lambda: model(sequential())),
    "input alone": ("unsupported", lambda: model(sequential(image_input()))),
    "a layer that is none": ("malformed", lambda: model(sequential(image_input(), 7))),
    "two layers of one name": ("malformed", lambda: model(sequential(image_input(), FLATTEN, FLATTEN, dense()))),
    "too many layers": ("malformed", lambda: model(sequential(*[layer("Dropout", name=str(n)) for n in range(1001)]))),
    "too many calls": ("too_large", lambda: model(repeated(layer("Softmax"), 1_001))),
    "too many operations": ("too_large", lambda: model(repeated(layer("ReLU", threshold=1.0, max_value=2.0), 500))),
    "a convolution of everything with everything": ("too_large", lambda: hostile.with_wide_window(280)),
    "a pooling of everything with everything": ("too_large", lambda: hostile.with_wide_pooling(160)),
    "many heavy layers": ("too_large", lambda: hostile.with_wide_window(200, layers=4)),
    "units negative": ("unsupported", lambda: model(sequential(image_input(), FLATTEN, dense(units=-10)))),
    "units absurd": ("mismatch", lambda: model(sequential(image_input(), FLATTEN, dense(units=10**18)))),
    "units a text": ("unsupported", lambda: model(sequential(image_input(), FLATTEN, dense(units="10")))),
    "strides zero": ("unsupported", lambda: model(sequential(image_input(), conv(strides=0)))),
    "window larger than the image": (
        "mismatch",
        lambda: model(sequential(image_input(), layer("MaxPooling2D", pool_size=29))),
    ),
    "absurd window": ("unsupported", lambda: model(sequential(image_input(), layer("MaxPooling2D", pool_size=10**9)))),
    "absurd padding": ("unsupported", lambda: model(sequential(image_input(), layer("ZeroPadding2D", padding=10**9)))),
    "many wide layers": (
        "too_large",
        lambda: model(
            sequential(
                image_input(), layer("ZeroPadding2D", padding=480), *[layer("ReLU", name=str(n)) for n in range(20)]
            )
        ),
    ),
    "large padding": ("too_large", lambda: model(sequential(image_input(), layer("ZeroPadding2D", padding=1023)))),
    "padding unknown": (
        "unsupported",
        lambda: model(sequential(image_input(), layer("MaxPooling2D", padding="causal"))),
    ),
    "absurd reshape": (
        "mismatch",
        lambda: model(sequential(image_input(), layer("Reshape", target_shape=[10**9, 10**9]))),
    ),
    "reshape to nothing": (
        "unsupported",
        lambda: model(sequential(image_input(), layer("Reshape", target_shape=[0, -1]))),
    ),
    "scale infinite": (
        "unsupported",
        lambda: model(sequential(image_input(), layer("Rescaling", scale=float("inf")), FLATTEN, dense())),
    ),
    "scale beyond float32": (
        "unsupported",
        lambda: model(sequential(image_input(), layer("Rescaling", scale=1e300), FLATTEN, dense())),
    ),
    "channels first": (
        "unsupported",
        lambda: model(sequential(image_input(), conv(data_format="channels_first"))),
    ),
    "wrong input": ("unsupported", lambda: model(sequential(image_input((32, 32, 3)), FLATTEN, dense()))),
    "input of unknown size": ("unsupported", lambda: model(sequential(image_input((None, None, 1)), FLATTEN, dense()))),
    "wrong output": ("unsupported", lambda: model(sequential(image_input(), FLATTEN))),
    "no probabilities": ("unsupported", lambda: model(sequential(image_input(), FLATTEN, dense(activation="sigmoid")))),
    # configuration: its wiring
    "two inputs": (
        "unsupported",
        lambda: model(functional(image_input(), inputs=[["inputlayer", 0, 0], ["inputlayer", 0, 0]])),
    ),
    "two outputs": (
        "unsupported",
        lambda: model(functional(image_input(), outputs=[["dense", 0, 0], ["dense", 0, 0]])),
    ),
    "an output of a layer that has two": (
        "unsupported",
        lambda: model(functional(image_input(), outputs=["dense", 0, 1])),
    ),
    "cyclic": ("malformed", lambda: model(functional(image_input(), *CYCLE))),
    "input that is no layer": (
        "malformed",
        lambda: model(functional(called_on(FLATTEN, "x"), dense(), inputs=["x", 0, 0])),
    ),
    "output that is no layer": (
        "malformed",
        lambda: model(functional(image_input(), called_on(FLATTEN, "inputlayer"), dense())),
    ),
    "called with training=True": (
        "unsupported",
        lambda: model(
            functional(image_input(), called_on(FLATTEN, "inputlayer", training=True), called_on(dense(), "flatten"))
        ),
    ),
    # weights
    "weights of another shape": ("mismatch", lambda: hostile.replace_kernel(shape=(10, 784), dtype="f4")),
    "weight missing": ("mismatch", lambda: model(vandal=lambda h5: h5.__delitem__("model_weights/dense/dense/bias"))),
    "no bias where there is to be one": ("mismatch", hostile.without_depthwise_bias),
    "weight too many": ("mismatch", lambda: hostile.with_link(np.zeros(3, np.float32))),
    "weight of no layer": (
        "mismatch",
        lambda: model(vandal=lambda h5: h5.__setitem__("model_weights/x/kernel", np.zeros(3, "f4"))),
    ),
    "weight in a layer without": (
        "mismatch",
        lambda: model(vandal=lambda h5: h5.__setitem__("model_weights/flatten/x", np.zeros(3, "f4"))),
    ),
    "two weights of one name": (
        "mismatch",
        lambda: model(vandal=lambda h5: h5.__setitem__("model_weights/dense/kernel", np.zeros(3, "f4"))),
    ),
}


def test_the_healthy_model_is_read() -> None:
    assert network.Network(convert.to_onnx(HEALTHY)).parameters == 7850


def test_of_a_network_with_huge_layers_few_images_are_in_memory_at_once() -> None:
    wide = [conv(), *(layer("ReLU", name=f"relu{index}") for index in range(14))]
    wide[0]["config"]["filters"] = 1300  # just below what one layer may have
    arrays = {
        "conv2d/conv2d/kernel": np.ones((1, 1, 1, 1300), np.float32), "conv2d/conv2d/bias": np.zeros(1300, np.float32),
        "dense/dense/kernel": np.ones((1300, 10), np.float32), "dense/dense/bias": np.zeros(10, np.float32),
    }  # fmt: skip
    found = network.Network(
        convert.to_onnx(model(sequential(image_input(), *wide, layer("GlobalAveragePooling2D"), dense()), arrays))
    )
    elements = 28 * 28 * 1300 * 15
    assert 1 <= found._at_once <= network.MOST_ELEMENTS // elements
    pixels = np.random.default_rng(6).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    alone = [found(pixels[index : index + 1])[0] for index in range(5)]
    np.testing.assert_allclose(found(pixels), alone, rtol=0, atol=1e-6)


def old_style() -> dict[str, bytes]:
    """Return the healthy model as other versions of Keras wrote it."""
    arrays = {f"{path}:0": array for path, array in hostile.weights().items()}
    shaped = layer("Flatten", batch_input_shape=[None, 28, 28, 1])
    functional_layers = [image_input(), called_on(FLATTEN, "inputlayer"), called_on(dense(), "flatten")]
    slashes = {
        "a/b/a/b/kernel:0": arrays["dense/dense/kernel:0"],
        "a/b/a/b/bias:0": arrays["dense/dense/bias:0"],
    }
    return {
        "without an input layer": model(sequential(shaped, dense()), arrays),
        "a bare list of layers": model({"class_name": "Sequential", "config": [shaped, dense()]}, arrays),
        "of the class Model": model(functional(*functional_layers) | {"class_name": "Model"}, arrays),
        "in lists of one": model(functional(*functional_layers, inputs=[["inputlayer", 0, 0]]), arrays),
        "slashes in a name": model(
            sequential(layer("Flatten", name="a", batch_input_shape=[None, 28, 28, 1]), dense(name="a/b")), slashes
        ),
    }


@pytest.mark.parametrize("name", old_style())
def test_other_ways_to_write_the_healthy_model_are_read(name: str) -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (4, 28, 28)).astype(np.uint8)
    expected = network.Network(convert.to_onnx(HEALTHY))(pixels)
    assert expected.std() > 0.01
    answer = network.Network(convert.to_onnx(old_style()[name]))(pixels)
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_gets_its_code(name: str) -> None:
    code, make = FILES[name]
    with pytest.raises(BadModel) as refusal:
        convert.to_onnx(make())
    assert refusal.value.code == code, str(refusal.value)
    assert 10 < len(str(refusal.value)) <= 501


@pytest.mark.parametrize(
    ("names", "kind"),
    [(("metadata.json", "config.json", "model.weights.h5"), "a .keras file"), (("arr_0.npy",), "an archive")],
)
def test_an_archive_is_called_what_it_is(names: tuple[str, ...], kind: str) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, bytes(100))
    with pytest.raises(BadModel, match=kind):
        convert.to_onnx(file.getvalue())


def test_a_model_may_be_nearly_as_heavy_as_the_limit() -> None:
    assert 276**4 < MAX_WORK < 280**4
    assert convert.to_onnx(hostile.with_wide_window(276))


def test_damaged_bytes_end_in_a_model_or_a_refusal(tmp_path: Path) -> None:
    """Each is read in a process of its own, for libhdf5 is known to crash, and to read some for ever."""
    (tmp_path / "model.h5").write_bytes(HEALTHY)
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, tmp_path / "model.h5"], capture_output=True, text=True, timeout=120, check=True
    )
    outcomes = json.loads(done.stdout)
    assert sum(outcomes.values()) == 300
    assert set(outcomes) <= {
        "model",
        "malformed",
        "unsafe",
        "mismatch",
        "not_hdf5",
        "unsupported",
        "too_large",
        "crash",
    }
    assert outcomes["model"] > 10
    assert outcomes["malformed"] > 10


FUZZ = """
import collections, json, os, pathlib, resource, sys
from digits import convert
from digits.errors import BadModel
from tests import hostile

def outcome(data):
    try:
        convert.to_onnx(data)
    except BadModel as refusal:
        return refusal.code
    return "model"

healthy, counts = pathlib.Path(sys.argv[1]).read_bytes(), collections.Counter()
names = "model malformed unsafe mismatch not_hdf5 unsupported too_large".split()
for seed in range(300):
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (2, 2))  # a hang is a crash
        result = 99  # what a Python error other than BadModel ends with
        try:
            result = names.index(outcome(hostile.flipped(healthy, seed)))
        finally:
            os._exit(result)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        counts["crash"] += 1
    else:
        code = os.WEXITSTATUS(status)
        counts[names[code] if code < len(names) else "error"] += 1
print(json.dumps(counts))
"""

HEAVY: dict[str, Callable[[], bytes]] = {
    "the heaviest model": hostile.vast,
    "the heaviest model, only declared": hostile.unallocated,
    "a file at the cap": lambda: (HEALTHY + bytes(hdf5.MAX_BYTES))[: hdf5.MAX_BYTES],
    "gzip bomb": hostile.with_gzip_bomb,
    "cycle with long names": hostile.with_long_names,
    "vast chunk": FILES["vast chunk"][1],
    "many names of one array": FILES["many names of one array"][1],
    "deep JSON": FILES["deep JSON"][1],
}


@pytest.mark.parametrize("name", HEAVY)
def test_reading_takes_at_most_a_few_times_the_cap(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(HEAVY[name]())
    done = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "model.h5"], capture_output=True, text=True, timeout=60, check=True
    )
    idle, peak = map(int, done.stdout.split())
    assert 20 << 20 < idle < 200 << 20
    assert peak - idle < 7 * hdf5.MAX_BYTES, f"{peak >> 20} MiB"


PEAK = """
import resource, subprocess, sys

def peak(path):
    with open(path, "rb") as file:
        subprocess.run([sys.executable, "-m", "digits.convert"], stdin=file, capture_output=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024

print(peak("/dev/null"), peak(sys.argv[1]))
"""
