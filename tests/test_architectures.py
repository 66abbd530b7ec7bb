"""Each network that can be trained is what it says, and is served as Keras has it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.models import mnist
from tests.server import ROOT
from tests.test_parity import answers, calibrate, network_of, randomise
from trainer.architectures import OURS, BadArchitecture, find

EXAMPLE = str(ROOT / "docs" / "examples" / "nine_convolutions.py")
TINY = """
import keras

def build():
    return keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
"""


@pytest.mark.parametrize("name", [*OURS, EXAMPLE], ids=[*OURS, "of one's own"])
def test_it_is_served_as_keras_has_it(name: str, tmp_path: Path) -> None:
    pixels, _ = mnist(64)
    model = find(name)(dropout=0.2)
    as_if_trained(model, pixels / 255)
    calibrate(model, pixels / 255)
    expected = answers(model, pixels / 255)
    assert expected.std(0).mean() > 0.01
    np.testing.assert_allclose(network_of(model, tmp_path)(pixels), expected, rtol=0, atol=1e-5)


def test_the_default_is_exactly_the_classic() -> None:
    model = find("cnn")(dropout=0.5)
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [0.25, 0.25, 0.5]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("cnn", 225_034), ("resnet", 1_221_322), ("efficientnet", 354_800), (EXAMPLE, 1_189_526)],
)
def test_each_is_as_large_as_it_says(name: str, parameters: int) -> None:
    assert find(name)(dropout=0.2).count_params() == parameters


def test_a_file_may_bring_ones_own(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(TINY)
    model = find(str(tmp_path / "tiny.py"))(dropout=0.2)
    randomise(model)
    pixels, _ = mnist(3)
    np.testing.assert_allclose(network_of(model, tmp_path)(pixels), answers(model, pixels / 255), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vgg", "no architecture 'vgg', but cnn, resnet"),
        ("none.py", "no such file"),
        ("empty.py", r"no function build"),
    ],
)
def test_what_there_is_not_is_said(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(BadArchitecture, match=reason):
        find(str(tmp_path / name) if name.endswith(".py") else name)


LAYERS = "import keras\nfrom keras.layers import Dense, Flatten, Softmax\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def build(): return (", "own.py fails: SyntaxError"),
        ("import no_such_package", "own.py fails: ModuleNotFoundError: No module named 'no_such_package'"),
        ("build = 7", "has no function build"),
        ("def build(): raise ValueError('nine\\nlives')", r"build\(\) of .*own.py fails: ValueError: nine lives$"),
        ("def build(width): pass", r"build\(\) of .*own.py fails: TypeError: "),
        ("def build(): assert False", "fails: AssertionError$"),
        ("def build(): pass", "returns NoneType, not a keras.Model"),
        (LAYERS + "def build(): return keras.Sequential([Flatten(), Dense(10, 'softmax')])", "without a keras.Input"),
        (
            LAYERS + "def build(): return keras.Sequential([keras.Input((784,)), Dense(10, 'softmax')])",
            r"from \(None, 784\) to \(None, 10\), not from \(None, 28, 28, 1\)",
        ),
        (
            LAYERS + "def build(): return keras.Sequential([keras.Input((28, 28, 1)), Flatten(), Dense(9, 'softmax')])",
            r"to \(None, 9\), not",
        ),
        (
            LAYERS + "def build(): return keras.Sequential([keras.Input((28, 28, 1)), Flatten(), Dense(10)])",
            "not in a Dense layer of ten with a softmax",
        ),
    ],
)
def test_what_makes_no_network_is_named_with_the_reason(code: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(code)
    with pytest.raises(BadArchitecture, match=reason) as caught:
        find(str(tmp_path / "own.py"))(dropout=0.2)
    assert "\n" not in str(caught.value)


def as_if_trained(model: keras.Model, x: NDArray[np.float64]) -> None:
    """Have each normalisation know the statistics of some images, as it does after training."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(x[..., np.newaxis].astype(np.float32), training=True)
