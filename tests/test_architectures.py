"""Each network that can be trained is what it says, and is served as Keras has it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.models import mnist
from tests.test_parity import answers, calibrate, network_of, randomise
from trainer.architectures import OURS, UnknownArchitecture, find

MOST = 1_500_000  # parameters
TINY = """
import keras

def build():
    return keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
"""


@pytest.mark.parametrize("name", OURS)
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
    assert model.count_params() == 225_034
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [0.25, 0.25, 0.5]


@pytest.mark.parametrize("name", OURS)
def test_none_is_large(name: str) -> None:
    assert find(name)(dropout=0.2).count_params() <= MOST


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
    with pytest.raises(UnknownArchitecture, match=reason):
        find(str(tmp_path / name) if name.endswith(".py") else name)


def as_if_trained(model: keras.Model, x: NDArray[np.float64]) -> None:
    """Have each normalisation know the statistics of some images, as it does after training."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(x[..., np.newaxis].astype(np.float32), training=True)
