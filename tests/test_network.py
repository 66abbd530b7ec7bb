"""A network runs in this process; a `.h5` is read in another, whatever becomes of that one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from digits import conversion, convert, network
from digits.conversion import Conversion
from digits.errors import BadModel
from digits.image import Pixels
from digits.network import Network
from tests import hostile


@pytest.fixture(scope="module")
def small() -> Network:
    conv = hostile.layer("Conv2D", filters=4, kernel_size=[3, 3], activation="relu")
    pool = hostile.layer("MaxPooling2D")
    layers = [hostile.image_input(), conv, pool, hostile.layer("Flatten"), hostile.dense()]
    random = np.random.default_rng(4)
    arrays = {
        "conv2d/conv2d/kernel": random.normal(0, 0.5, (3, 3, 1, 4)),
        "conv2d/conv2d/bias": random.normal(0, 0.1, 4),
        "dense/dense/kernel": random.normal(0, 0.1, (13 * 13 * 4, 10)),
        "dense/dense/bias": random.normal(0, 0.1, 10),
    }
    return Network(convert.to_onnx(hostile.model(hostile.sequential(*layers), arrays)))


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(5).integers(0, 256, (32, 28, 28)).astype(np.uint8)


def python(script: str) -> tuple[str, ...]:
    return sys.executable, "-c", script


# --- answering ----------------------------------------------------------------------------------


def test_probabilities_are_ten_and_sum_to_one(small: Network, pixels: Pixels) -> None:
    probabilities = small(pixels)
    assert probabilities.shape == (32, 10)
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


def test_a_batch_is_answered_as_its_images_are_alone(small: Network, pixels: Pixels) -> None:
    alone = np.concatenate([small(image[None]) for image in pixels])
    assert alone.std(0).max() > 0.01
    np.testing.assert_allclose(small(pixels), alone, rtol=0, atol=1e-6)


def test_any_number_of_images_is_answered_in_order(small: Network) -> None:
    many = np.random.default_rng(6).integers(0, 256, (2 * network.AT_ONCE + 1, 28, 28)).astype(np.uint8)
    backwards = small.judge(many[::-1].copy())
    assert backwards.shape == (len(many), 11)
    np.testing.assert_allclose(small.judge(many), backwards[::-1], rtol=0, atol=1e-6)


def test_ten_thousand_images_take_little_more_memory_than_some() -> None:
    """In a process of its own, which says by how many KiB the most that it ever took grew."""
    script = """
import resource
import numpy as np
from digits import bundle, network

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

served = network.load(bundle.read_current(bundle.DEFAULT_MODEL).h5)
images = np.zeros((10_000, 28, 28), np.uint8)
served(images[: network.AT_ONCE])
before = most()
served(images)
print(most() - before)
"""
    done = subprocess.run(python(script), capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50_000  # in one run it takes more than a million


def test_several_threads_get_their_own_answers(small: Network, pixels: Pixels) -> None:
    batches = [pixels[n % 32 :][: 1 + n % 5] for n in range(200)]
    expected = [small(batch) for batch in batches]
    with ThreadPoolExecutor(8) as threads:
        for answer, right in zip(threads.map(small, batches), expected, strict=True):
            np.testing.assert_allclose(answer, right, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 28, 28), np.float32),
        np.zeros((1, 28, 28), np.int64),
        np.zeros((28, 28), np.uint8),
        np.zeros((1, 28, 28, 1), np.uint8),
        np.zeros((1, 784), np.uint8),
        np.zeros((1, 27, 28), np.uint8),
    ],
    ids=lambda batch: f"{batch.dtype} {batch.shape}",
)
def test_anything_but_bytes_of_28_by_28_is_refused(small: Network, batch: Pixels) -> None:
    with pytest.raises(ValueError, match=r"uint8 \(n, 28, 28\)"):
        small(batch)


def test_it_says_what_it_is(small: Network) -> None:
    assert small.parameters == 3 * 3 * 4 + 4 + 13 * 13 * 4 * 10 + 10
    assert small.keras_version == "3.15.1"


def test_what_onnx_runtime_cannot_run_is_a_bad_model() -> None:
    with pytest.raises(BadModel) as refusal:
        Network(b"no model")
    assert refusal.value.code == "unsupported"


# --- converting in a child ----------------------------------------------------------------------


def test_a_child_converts_as_this_process_would(pixels: Pixels) -> None:
    data = hostile.model()
    loaded = network.load(data)
    assert loaded.parameters == 7850
    here = Network(convert.to_onnx(data))
    np.testing.assert_allclose(loaded(pixels), here(pixels), rtol=0, atol=1e-6)


def test_a_refusal_of_the_child_is_raised_here() -> None:
    with pytest.raises(BadModel, match="dense/more is a soft or external link") as refusal:
        network.load(hostile.with_link(h5py.SoftLink("/x")))
    assert refusal.value.code == "unsafe"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import os; os.abort()", r"signal 6 \(Aborted\)$"),
        ("import os; os.kill(os.getpid(), 9)", r"signal 9 \(Killed\); out of memory\?"),
        ("raise MemoryError('no more')", "exit status 1, MemoryError: no more"),
        ("import sys; sys.exit(3)", "exit status 3, and it said nothing"),
        ("import sys; sys.exit(65)", "said nothing"),
        ("import sys; print('garbage', file=sys.stderr); sys.exit(65)", "said nothing"),
        ("import threading; threading.Event().wait()", "more than 0.5 s"),
    ],
)
def test_a_child_that_fails_makes_the_model_unreadable(script: str, reason: str) -> None:
    with pytest.raises(BadModel, match=reason) as refusal:
        conversion.convert(b"", command=python(script), seconds=0.5 if "wait" in script else 30)
    assert refusal.value.code == "unreadable"


def test_a_conversion_can_be_ended_while_it_is_waited_for() -> None:
    child = Conversion(python("import threading; threading.Event().wait()"))
    with child, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(child.finish, b"")
        child.end()
        with pytest.raises(BadModel, match="signal 9"):
            waiting.result()


def test_a_conversion_that_was_ended_leaves_no_pipes_open() -> None:
    with Conversion(python("import threading; threading.Event().wait()")) as child:
        child.end()
        child._child.wait()
    assert all(pipe.closed for pipe in (child._child.stdin, child._child.stdout, child._child.stderr) if pipe)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is told")
def test_a_converter_whose_starter_is_gone_already_ends() -> None:
    another = os.getppid()  # than this process, which starts it
    child = subprocess.run([*conversion.COMMAND, str(another)], stdin=subprocess.PIPE, timeout=60)
    assert child.returncode == -signal.SIGKILL


def test_a_child_that_does_not_read_its_input_is_no_matter() -> None:
    assert conversion.convert(bytes(1 << 20), command=python("print('done')")) == b"done\n"


def test_the_memory_of_the_child_is_bounded() -> None:
    script = "from digits import convert; convert.limit_memory(); bytearray(convert.MAX_MEMORY)"
    with pytest.raises(BadModel, match="MemoryError"):
        conversion.convert(b"", command=python(script))


def test_neither_hdf5_nor_onnx_nor_keras_is_loaded_here(tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(hostile.model())
    script = (
        "import pathlib, sys; from digits import network; "
        "network.load(pathlib.Path(sys.argv[1]).read_bytes()); "
        "print([name for name in ('h5py', 'onnx', 'keras', 'tensorflow', 'onnxruntime') if name in sys.modules])"
    )
    command = [*python(script), str(tmp_path / "model.h5")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "['onnxruntime']"
