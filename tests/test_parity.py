"""The network gives the probabilities that Keras gives, for every layer and setting that is supported.

Each model has random weights and is saved as `.h5` by Keras 3 and by Keras 2 (`tf_keras`), then
answered by both Keras and `digits`. Its last layer is scaled so that the ten probabilities are
neither alike nor settled: a mistake anywhere before it shows.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from digits import convert
from digits.activations import ACTIVATIONS
from digits.errors import BadModel
from digits.image import Pixels
from digits.network import Network

TOLERANCE = 1e-5

Build = Callable[[Any], Any]  # from `keras` or `tf_keras` to a model that ends in Dense(10)
Layers = Callable[[Any], list[Any]]  # from `keras.layers` to what comes before that


@pytest.fixture(scope="session", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    with warnings.catch_warnings(action="ignore"):  # TensorFlow has its own
        return importlib.import_module(request.param)


@pytest.fixture
def pixels() -> Pixels:
    """16 random images, some dark and some bright."""
    random = np.random.default_rng(1)
    return (random.integers(0, 256, (16, 28, 28)) * random.random((16, 1, 1))).astype(np.uint8)


def stack(layers: Layers, shape: tuple[int, ...] = (28, 28, 1)) -> Build:
    """Return a Sequential model of some layers and a head."""

    def build(keras: Any) -> Any:
        head = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
        return keras.Sequential([keras.Input(shape), *layers(keras.layers), *head])

    return build


def classic(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="cnn",
    )


def without_an_input_layer(keras: Any) -> Any:
    model = keras.Sequential([keras.layers.Conv2D(3, 3), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
    model.build((None, 28, 28, 1))
    return model


def with_dropped_dimensions(keras: Any) -> Any:
    """A Dense(10) over one position, so that softmax is followed by a reshape."""
    layers = keras.layers
    head = [layers.Conv2D(4, 28), layers.Dense(10, activation="softmax"), layers.Flatten()]
    return keras.Sequential([keras.Input((28, 28, 1)), *head])


def with_a_softmax_layer(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(10), layers.Softmax()])


def with_a_softmax_activation(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((784,)), layers.Dense(10), layers.Activation("softmax")])


def functional(keras: Any) -> Any:
    layers = keras.layers
    image = keras.Input((28, 28, 1))
    x = layers.Conv2D(4, 3, activation="relu")(image)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10, activation="softmax")(x))


def residual(keras: Any) -> Any:
    """Two ways of unlike layout: the values of a convolution lie channels first, those of a Dense last."""
    layers = keras.layers
    image = keras.Input((28, 28, 1))
    convolved = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image)
    mixed = layers.Dense(4, activation="tanh")(convolved)
    x = layers.Add()([mixed, convolved])
    x = layers.Add()([convolved, x, mixed])
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


def weighted_channels(keras: Any) -> Any:
    """Squeeze and excite; and a product and a concatenation of tensors of unlike layout."""
    layers = keras.layers
    image = keras.Input((28, 28, 1))
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(image)
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Multiply()([x, layers.Conv2D(4, 1, activation="sigmoid")(weights)])
    mixed = layers.Dense(4, activation="tanh")(x)
    x = layers.Concatenate()([layers.Multiply()([mixed, x]), x, mixed])
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


def shared(keras: Any) -> Any:
    """One layer called three times, the model's output among the earlier calls."""
    layers = keras.layers
    image = keras.Input((28, 28))
    twice = layers.Dense(28, activation="tanh")
    first = twice(image)
    x = layers.Add()([image, twice(twice(first)), first])
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


def bytes_in_functional(keras: Any) -> Any:
    layers = keras.layers
    image = keras.Input((784,))
    x = layers.Rescaling(1 / 127.5, offset=-1)(layers.Reshape((28, 28, 1))(image))
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


MODELS: dict[str, Build] = {
    "the classic": classic,
    "no input layer": without_an_input_layer,
    "Softmax": with_a_softmax_layer,
    "Activation softmax": with_a_softmax_activation,
    "softmax, then Flatten": with_dropped_dimensions,
    "Functional": functional,
    "Add": residual,
    "Multiply, Concatenate": weighted_channels,
    "shared layer": shared,
}

LAYERS: dict[str, Build] = {
    "input (28, 28)": stack(lambda _: [], (28, 28)),
    "input (28, 28, 1)": stack(lambda _: []),
    "input 784": stack(lambda _: [], (784,)),
    "Conv2D": stack(lambda k: [k.Conv2D(4, 3)]),
    "Conv2D same": stack(lambda k: [k.Conv2D(4, 4, padding="same")]),
    "Conv2D strides": stack(lambda k: [k.Conv2D(4, 3, strides=(3, 2))]),
    "Conv2D strides same": stack(lambda k: [k.Conv2D(4, (4, 5), strides=(3, 2), padding="same")]),
    "Conv2D dilation": stack(lambda k: [k.Conv2D(4, 3, dilation_rate=(2, 3))]),
    "Conv2D dilation same": stack(lambda k: [k.Conv2D(4, 3, dilation_rate=3, padding="same")]),
    "Conv2D groups": stack(lambda k: [k.Conv2D(4, 3), k.Conv2D(6, 3, groups=2)]),
    "Conv2D oblong": stack(lambda k: [k.Conv2D(4, (1, 5)), k.Conv2D(4, (4, 2), padding="same")]),
    "Conv2D without bias": stack(lambda k: [k.Conv2D(4, 3, use_bias=False)]),
    "Conv2D after Conv2D": stack(lambda k: [k.Conv2D(4, 3, activation="relu"), k.Conv2D(5, 3, activation="tanh")]),
    "DepthwiseConv2D": stack(lambda k: [k.Conv2D(4, 3), k.DepthwiseConv2D(3)]),
    "DepthwiseConv2D all": stack(
        lambda k: [
            k.Conv2D(4, 3),
            k.DepthwiseConv2D((3, 5), strides=2, padding="same", depth_multiplier=3, activation="relu"),
        ]
    ),
    "DepthwiseConv2D dilation": stack(
        lambda k: [k.Conv2D(4, 3), k.DepthwiseConv2D(3, dilation_rate=2, use_bias=False)]
    ),
    "SeparableConv2D": stack(lambda k: [k.Conv2D(4, 3), k.SeparableConv2D(6, 3, activation="swish")]),
    "SeparableConv2D all": stack(
        lambda k: [
            k.Conv2D(4, 3),
            k.SeparableConv2D(5, 3, strides=2, padding="same", depth_multiplier=2, use_bias=False),
        ]
    ),
    "GlobalMaxPooling2D": stack(lambda k: [k.Conv2D(9, 3, activation="relu"), k.GlobalMaxPooling2D()]),
    "MaxPooling2D": stack(lambda k: [k.Conv2D(3, 3), k.MaxPooling2D()]),
    "MaxPooling2D strides": stack(lambda k: [k.Conv2D(3, 3), k.MaxPooling2D((3, 2), strides=(2, 3))]),
    "MaxPooling2D same": stack(lambda k: [k.Conv2D(3, 3), k.MaxPooling2D(3, strides=(5, 3), padding="same")]),
    "AveragePooling2D": stack(lambda k: [k.Conv2D(3, 3), k.AveragePooling2D(2)]),
    "AveragePooling2D strides": stack(lambda k: [k.Conv2D(3, 3), k.AveragePooling2D((2, 3), strides=(3, 1))]),
    "AveragePooling2D same": stack(lambda k: [k.Conv2D(3, 3), k.AveragePooling2D(4, strides=3, padding="same")]),
    "GlobalAveragePooling2D": stack(lambda k: [k.Conv2D(9, 3, activation="relu"), k.GlobalAveragePooling2D()]),
    "GlobalAveragePooling2D keepdims": stack(
        lambda k: [k.Conv2D(9, 3, activation="relu"), k.GlobalAveragePooling2D(keepdims=True), k.Conv2D(3, 1)]
    ),
    "ZeroPadding2D": stack(lambda k: [k.ZeroPadding2D(), k.Conv2D(3, 3)]),
    "ZeroPadding2D pair": stack(lambda k: [k.Conv2D(3, 3), k.ZeroPadding2D((2, 0)), k.Conv2D(3, 3)]),
    "ZeroPadding2D sides": stack(lambda k: [k.ZeroPadding2D(((1, 2), (3, 0))), k.Conv2D(3, 3)]),
    "BatchNormalization": stack(lambda k: [k.Conv2D(3, 3), k.BatchNormalization()]),
    "BatchNormalization first": stack(lambda k: [k.BatchNormalization()]),
    "BatchNormalization last axis": stack(lambda k: [k.Conv2D(3, 3), k.BatchNormalization(axis=3, epsilon=0.1)]),
    "BatchNormalization without scale": stack(lambda k: [k.Conv2D(3, 3), k.BatchNormalization(scale=False)]),
    "BatchNormalization without center": stack(lambda k: [k.Conv2D(3, 3), k.BatchNormalization(center=False)]),
    "BatchNormalization without both": stack(
        lambda k: [k.Conv2D(3, 3), k.BatchNormalization(-1, 0.9, 0.01, False, False)]
    ),
    "BatchNormalization after Dense": stack(lambda k: [k.Flatten(), k.Dense(9), k.BatchNormalization()]),
    "ReLU": stack(lambda k: [k.Conv2D(3, 3), k.ReLU()]),
    "ReLU max_value": stack(lambda k: [k.Conv2D(3, 3), k.ReLU(max_value=1.5)]),
    "ReLU negative_slope": stack(lambda k: [k.Conv2D(3, 3), k.ReLU(negative_slope=0.3)]),
    "ReLU threshold": stack(lambda k: [k.Conv2D(3, 3), k.ReLU(threshold=0.7)]),
    "ReLU all": stack(lambda k: [k.Conv2D(3, 3), k.ReLU(max_value=2.0, negative_slope=0.2, threshold=0.4)]),
    "ReLU of max_value 0": stack(lambda k: [k.Conv2D(3, 3), k.ReLU(max_value=0.0, negative_slope=0.2)]),
    "Softmax within": stack(lambda k: [k.Conv2D(3, 3), k.Softmax()]),
    "Softmax of axis": stack(lambda k: [k.Conv2D(3, 3), k.Softmax(axis=3)]),
    "windows that leave pixels out": stack(
        lambda k: [k.Conv2D(3, 3, strides=(3, 2)), k.MaxPooling2D((2, 3)), k.ReLU(), k.Conv2D(2, 2), k.Dropout(0.5)]
    ),
    "Dropout": stack(lambda k: [k.Conv2D(3, 3), k.Dropout(0.5)]),
    "Dropout with a seed": stack(lambda k: [k.Conv2D(3, 3), k.Dropout(0.5, seed=1)]),
    "SpatialDropout2D": stack(lambda k: [k.Conv2D(3, 3), k.SpatialDropout2D(0.5)]),
    "AlphaDropout": stack(lambda k: [k.Conv2D(3, 3), k.AlphaDropout(0.5)]),
    "GaussianDropout": stack(lambda k: [k.Conv2D(3, 3), k.GaussianDropout(0.5)]),
    "GaussianNoise": stack(lambda k: [k.GaussianNoise(0.5), k.Conv2D(3, 3)]),
    "ActivityRegularization": stack(lambda k: [k.Conv2D(3, 3), k.ActivityRegularization(0.5)]),
    "Flatten": stack(lambda k: [k.Conv2D(3, 3), k.Flatten(), k.Dense(9)]),
    "Reshape": stack(lambda k: [k.Reshape((28, 28, 1)), k.Conv2D(3, 3)], (784,)),
    "Reshape -1": stack(lambda k: [k.Conv2D(3, 3), k.Reshape((-1, 26)), k.Dense(3)]),
    "Reshape flat": stack(lambda k: [k.Conv2D(3, 3), k.Reshape((-1,)), k.Dense(9)]),
    "Reshape to channels": stack(lambda k: [k.Reshape((14, 14, 4)), k.Conv2D(3, 3)], (28, 28)),
    "Rescaling": stack(lambda k: [k.Conv2D(2, 3), k.Rescaling(2.0, offset=-0.5), k.ReLU()]),
    "Rescaling first": stack(lambda k: [k.Rescaling(2.0, offset=-1.0), k.ReLU()]),
    "Rescaling per channel": stack(lambda k: [k.Conv2D(2, 3), k.Rescaling([0.5, 3.0], offset=[1.0, -1.0]), k.ReLU()]),
    "Dense": stack(lambda k: [k.Flatten(), k.Dense(9, activation="tanh")]),
    "Dense without bias": stack(lambda k: [k.Flatten(), k.Dense(9, use_bias=False)]),
    "Dense of rank 2": stack(lambda k: [k.Dense(9, activation="tanh")], (28, 28)),
    "Dense of rank 3": stack(lambda k: [k.Conv2D(4, 3), k.Dense(3, activation="tanh", use_bias=False), k.Conv2D(2, 3)]),
}

BYTES: dict[str, Build] = {  # models that scale 0...255 themselves
    "1/255": stack(lambda k: [k.Rescaling(1 / 255)]),
    "1/127.5 - 1": stack(lambda k: [k.Rescaling(1 / 127.5, offset=-1.0)]),
    "inverted": stack(lambda k: [k.Rescaling(-1 / 255, offset=1.0)]),
    "a list": stack(lambda k: [k.Rescaling([1 / 255], offset=[0.0])]),
    "after ZeroPadding2D": stack(lambda k: [k.ZeroPadding2D(2), k.Rescaling(1 / 255), k.Conv2D(3, 3)]),
    "after Reshape": stack(lambda k: [k.Reshape((28, 28, 1)), k.Rescaling(1 / 255), k.Conv2D(3, 3)], (784,)),
    "Functional": bytes_in_functional,
}


@pytest.mark.parametrize("name", MODELS)
def test_models_answer_as_in_keras(keras: Any, name: str, pixels: Pixels, tmp_path: Path) -> None:
    compare(MODELS[name](keras), pixels, pixels / 255, tmp_path)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_answer_as_in_keras(keras: Any, name: str, pixels: Pixels, tmp_path: Path) -> None:
    compare(LAYERS[name](keras), pixels, pixels / 255, tmp_path)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_answer_as_in_keras(keras: Any, name: str, pixels: Pixels, tmp_path: Path) -> None:
    for build in (
        stack(lambda k: [k.Conv2D(3, 5, activation=name)]),
        stack(lambda k: [k.Conv2D(3, 5), k.Activation(name)]),
        stack(lambda k: [k.Flatten(), k.Dense(9, activation=name)]),
    ):
        compare(build(keras), pixels, pixels / 255, tmp_path)


@pytest.mark.parametrize("name", BYTES)
def test_models_that_scale_bytes_are_given_bytes(keras: Any, name: str, pixels: Pixels, tmp_path: Path) -> None:
    compare(BYTES[name](keras), pixels, pixels.astype(np.float32), tmp_path)


def test_logits_become_probabilities(keras: Any, pixels: Pixels, tmp_path: Path) -> None:
    layers = keras.layers
    dense = keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(10)])
    pooled = [layers.Conv2D(10, 3, activation="linear"), layers.GlobalAveragePooling2D()]
    for model in (dense, keras.Sequential([keras.Input((28, 28, 1)), *pooled])):
        randomise(model)
        expected = softmax(answers(model, pixels / 255))
        assert expected.std() > 0.01
        np.testing.assert_allclose(network_of(model, tmp_path)(pixels), expected, rtol=0, atol=TOLERANCE)


def test_an_ensemble_gives_the_mean_of_its_members(keras: Any, pixels: Pixels, tmp_path: Path) -> None:
    layers = keras.layers
    image = keras.Input((784,))
    members = [layers.Dense(10, activation="softmax")(image) for _ in range(3)]
    model = keras.Model(image, layers.Average()(members))
    randomise(model)
    expected = answers(model, pixels / 255)
    assert expected.std(0).mean() > 0.01
    np.testing.assert_allclose(network_of(model, tmp_path)(pixels), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("pooling", ["global", "window"])
def test_probabilities_of_many_places_give_their_mean(keras: Any, pooling: str, pixels: Pixels, tmp_path: Path) -> None:
    """So does the presence that their logits tell of; a softmax of what are probabilities would be another answer."""
    layers = keras.layers
    image = keras.Input((28, 28, 1))
    logits = layers.Conv2D(10, 5, strides=3)(image)  # (8, 8, 10)
    places = layers.Softmax()(logits)
    pooled = layers.GlobalAveragePooling2D() if pooling == "global" else layers.AveragePooling2D(8)
    model = keras.Model(image, layers.Flatten()(pooled(places)))
    randomise(model)
    network = network_of(model, tmp_path)
    expected = answers(model, pixels / 255)
    assert expected.std(0).mean() > 0.001
    np.testing.assert_allclose(network(pixels), expected, rtol=0, atol=TOLERANCE)
    presence = 1 / (1 + 1 / np.exp(answers(keras.Model(image, logits), pixels / 255)).sum(-1))  # (n, 8, 8)
    np.testing.assert_allclose(network.judge(pixels)[:, 10], presence.mean((1, 2)), rtol=0, atol=TOLERANCE)


def test_a_mean_of_anything_but_probabilities_is_refused(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    image = keras.Input((784,))
    members = [layers.Dense(10, activation=name)(image) for name in ("softmax", "sigmoid")]
    with pytest.raises(BadModel, match="ends in Mean"):
        network_of(keras.Model(image, layers.Average()(members)), tmp_path)


@pytest.mark.parametrize("kind", ["Rescaling", "BatchNormalization", "Add", "Multiply", "Add of a Reshape"])
def test_what_is_made_of_probabilities_gets_no_second_softmax(keras: Any, kind: str, tmp_path: Path) -> None:
    layers = keras.layers
    image = keras.Input((784,))
    first, second = (layers.Dense(10, activation="softmax")(image) for _ in range(2))
    made = {
        "Rescaling": lambda: layers.Rescaling(2.0)(first),
        "BatchNormalization": lambda: layers.BatchNormalization()(first),
        "Add": lambda: layers.Add()([first, second]),
        "Multiply": lambda: layers.Multiply()([layers.Dense(10)(image), second]),
        "Add of a Reshape": lambda: layers.Reshape((10,))(layers.Add()([layers.Reshape((1, 10))(first)] * 2)),
    }
    with pytest.raises(BadModel, match="sums or products of a softmax"):
        network_of(keras.Model(image, made[kind]()), tmp_path)


def test_a_softmax_further_inside_leaves_logits_logits(keras: Any, pixels: Pixels, tmp_path: Path) -> None:
    layers = keras.layers
    image = keras.Input((784,))
    inner = layers.Dense(9, activation="softmax")(image)
    logits = layers.Rescaling(3.0)(layers.BatchNormalization()(layers.Dense(10)(inner)))
    model = keras.Model(image, logits)
    randomise(model)
    expected = softmax(answers(model, pixels / 255))
    assert expected.std(0).mean() > 0.001
    np.testing.assert_allclose(network_of(model, tmp_path)(pixels), expected, rtol=0, atol=TOLERANCE)


def test_a_network_knows_its_parameters_and_the_keras_that_wrote_it(keras: Any, tmp_path: Path) -> None:
    model = classic(keras)
    network = network_of(model, tmp_path)
    assert network.parameters == model.count_params()
    assert network.keras_version == keras.__version__


def test_only_pixels_that_make_no_difference_to_keras_are_cut_off(pixels: Pixels, keras: Any, tmp_path: Path) -> None:
    model = classic(keras)
    randomise(model)
    calibrate(model, pixels / 255)
    graph = onnx.load_from_string(convert.to_onnx(save(model, tmp_path))).graph
    ends = next(numpy_helper.to_array(item) for item in graph.initializer if item.name == graph.node[0].input[2])
    assert (graph.node[0].op_type, ends.tolist()) == ("Slice", [26, 26])
    for at, matters in ((25, True), (26, False), (27, False)):
        changed = pixels.copy()
        changed[:, at], changed[:, :, at] = 255 - pixels[:, at], 255 - pixels[:, :, at]
        assert (answers(model, changed / 255) != answers(model, pixels / 255)).any() == matters


def test_the_comparison_notices_a_weight_that_is_off_by_a_thousandth(
    pixels: Pixels, keras: Any, tmp_path: Path
) -> None:
    model = classic(keras)
    randomise(model)
    calibrate(model, pixels / 255)
    network = network_of(model, tmp_path)
    kernel, bias = model.layers[0].get_weights()
    model.layers[0].set_weights([kernel * 1.001, bias])
    assert np.abs(network(pixels) - answers(model, pixels / 255)).max() > 10 * TOLERANCE


def compare(model: Any, pixels: Pixels, x: NDArray[Any], folder: Path) -> None:
    """Assert that `digits` gives for the pixels what Keras gives for x."""
    randomise(model)
    x = x.reshape(-1, *model.input_shape[1:])
    calibrate(model, x)
    expected = answers(model, x)
    assert expected.std(0).mean() > 0.01, "the images must make a difference, or nothing is compared"
    assert expected.max(1).min() < 0.9, "the probabilities must not be settled"
    np.testing.assert_allclose(network_of(model, folder)(pixels), expected, rtol=0, atol=TOLERANCE)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    shares: NDArray[np.float64] = exponentials / exponentials.sum(1, keepdims=True)
    return shares


def randomise(model: Any) -> None:
    """Give each array random values, those of variance positive ones."""
    random = np.random.default_rng(2)
    for layer in model.layers:
        arrays = []
        for variable in layer.weights:
            name, shape = variable.name, tuple(variable.shape)
            if "variance" in name or "gamma" in name:
                arrays.append(random.uniform(0.5, 2, shape))
            else:
                arrays.append(random.normal(0, 2 / np.sqrt(np.prod(shape[:-1])) if shape[1:] else 0.3, shape))
        layer.set_weights(arrays)


def calibrate(model: Any, x: NDArray[Any]) -> None:
    """Scale the last layer with weights so that the images spread the logits by one around zero."""
    last = [layer for layer in model.layers if layer.weights][-1]
    kernel, bias = last.get_weights()
    last.set_weights([kernel * 1e-3, bias * 0])  # far from saturation
    logits = np.log(answers(model, x)) * 1e3
    mean, spread = logits.mean(0), (logits - logits.mean(0)).std()
    last.set_weights([kernel / spread, (mean.mean() - mean) / spread])


def answers(model: Any, x: NDArray[Any]) -> NDArray[np.float64]:
    x = x.reshape(-1, *model.input_shape[1:]).astype(np.float32)
    return np.asarray(model(x, training=False)).astype(np.float64)


def network_of(model: Any, folder: Path) -> Network:
    return Network(convert.to_onnx(save(model, folder)))


def save(model: Any, folder: Path) -> bytes:
    with warnings.catch_warnings(action="ignore"):  # that .h5 is old
        model.save(folder / "model.h5")
    return (folder / "model.h5").read_bytes()
