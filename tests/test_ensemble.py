"""Several models become one that answers with the mean of what they answer, and is served like any other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from digits import bundle, network
from digits.errors import BadModel
from digits.image import Pixels
from service.settings import Settings
from tests import models
from tests.conftest import Serve
from tests.test_architectures import as_if_trained
from tests.test_parity import calibrate, randomise, save
from trainer import averaging, ensemble
from trainer.__main__ import main
from trainer.architectures import find
from trainer.calibrate import tempered
from trainer.compare import caveats
from trainer.config import Config
from trainer.dataset import Dataset, Part, load

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # TensorFlow's own

TOLERANCE = 1e-5
PIXELS, LABELS = models.mnist(1200)


@pytest.fixture(scope="module")
def unlike(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A `.h5` of each architecture, and two that take other inputs, all with weights that tell images apart."""
    layers = keras.layers
    flat = keras.Sequential([keras.Input((784,)), layers.Dense(9, "tanh"), layers.Dense(10)])
    scaling = [layers.Rescaling(1 / 255), layers.Conv2D(4, 5, 3, activation="relu"), layers.Flatten()]
    scaled = keras.Sequential([keras.Input((28, 28, 1)), *scaling, layers.Dense(10, activation="softmax")])
    ours = [find(name)(dropout=0.2) for name in ("cnn", "resnet", "efficientnet")]
    return [made(model, tmp_path_factory.mktemp("model")) for model in (*ours, scaled, flat)]


def made(model: keras.Model, folder: Path) -> bytes:
    """Return the `.h5` of a network with random weights."""
    x = PIXELS[:64] / np.float64(1 if averaging.takes_bytes(model) else 255)
    if len(model.input_shape) == 4:
        as_if_trained(model, x)
    else:
        randomise(model)
    if model.layers[-1].activation is keras.activations.softmax:
        calibrate(model, x)
    return save(model, folder)


def answers_of(each: Sequence[bytes], pixels: Pixels) -> NDArray[np.float32]:
    """Return the judgements (k, n, 11) of networks as they are served."""
    return np.stack([network.load(h5).judge(pixels) for h5 in each])


# --- the network --------------------------------------------------------------------------------


def test_networks_of_all_kinds_are_averaged_as_they_are_served(unlike: list[bytes]) -> None:
    pixels = PIXELS[:64]
    mean = averaging.mean_of([averaging.load(h5) for h5 in unlike])
    expected = answers_of(unlike, pixels)
    assert expected.std(1).mean() > 0.01
    served = network.load(mean.h5())
    np.testing.assert_allclose(served.judge(pixels), expected.mean(0), rtol=0, atol=TOLERANCE)
    answers = mean.answers(pixels)
    np.testing.assert_allclose(answers[0], served(pixels), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(answers[1:], expected[..., :10], rtol=0, atol=TOLERANCE)
    assert served.parameters == sum(network.load(h5).parameters for h5 in unlike)


def test_a_temperature_divides_the_logits_of_each(unlike: list[bytes]) -> None:
    pixels = PIXELS[:64]
    mean = averaging.mean_of([averaging.load(h5) for h5 in unlike[:2]])
    mean.cool(0.5)
    expected = np.mean([tempered(each[:, :10], 0.5) for each in answers_of(unlike[:2], pixels)], 0)
    np.testing.assert_allclose(network.load(mean.h5())(pixels), expected, rtol=0, atol=TOLERANCE)


def test_the_members_are_left_as_they_are(unlike: list[bytes]) -> None:
    model = averaging.load(unlike[0])
    before = [array.copy() for array in model.get_weights()]
    averaging.mean_of([model, averaging.load(unlike[1])]).cool(2.0)
    assert all((one == other).all() for one, other in zip(before, model.get_weights(), strict=True))
    assert [layer.name.startswith("member") for layer in model.layers] == [False] * len(model.layers)


def test_what_has_no_logits_to_be_divided_is_refused(tmp_path: Path) -> None:
    layers = keras.layers
    pooled = [layers.Conv2D(10, 3), layers.Softmax(), layers.GlobalAveragePooling2D()]
    with pytest.raises(BadModel, match="not in a Dense layer of ten"):
        averaging.load(save(keras.Sequential([keras.Input((28, 28, 1)), *pooled]), tmp_path))


def test_every_layer_has_a_name_of_its_own_and_none_holds_others(unlike: list[bytes]) -> None:
    mean = averaging.mean_of([averaging.load(unlike[0]), averaging.load(unlike[0])])
    names = [layer.name for layer in mean.model.layers]
    assert len(set(names)) == len(names)
    assert not [layer for layer in mean.model.layers if isinstance(layer, keras.Model)]
    assert sum(isinstance(layer, keras.layers.Dense) for layer in mean.model.layers) == 4


# --- the command --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set, cut from the test set of MNIST."""
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, x_train=PIXELS[:900], y_train=LABELS[:900], x_test=PIXELS[900:], y_test=LABELS[900:])
    return path


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two networks that read digits, as `.h5` alone: what they were trained on nobody knows."""
    folder = tmp_path_factory.mktemp("members")
    for name, h5 in (("a.h5", models.features(count=200, images=2000)), ("b.h5", models.templates())):
        (folder / name).write_bytes(h5)
    return [folder / "a.h5", folder / "b.h5"]


@pytest.fixture(scope="module")
def published(members: list[Path], data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    assert main(arguments(members, data, folder, "--force")) == 0
    return folder


def arguments(models: Sequence[object], data: Path, output: Path, *more: str) -> list[str]:
    return [
        "ensemble",
        *map(str, models),
        "--data",
        str(data),
        "--output",
        str(output),
        "--target-accuracy",
        "0.5",
        *more,
    ]


def test_the_bundle_answers_as_its_members_at_one_temperature(published: Path, members: list[Path]) -> None:
    found = bundle.read_current(published)
    served = network.load(found.h5)
    bundle.check_golden(found, served)
    temperature = found.manifest["calibration"]["temperature"]
    each = answers_of([path.read_bytes() for path in members], PIXELS[:100])[..., :10]
    expected = np.mean([tempered(answers, temperature) for answers in each], 0)
    np.testing.assert_allclose(served(PIXELS[:100]), expected, rtol=0, atol=TOLERANCE)


def test_its_temperature_makes_the_mean_likelier(published: Path, members: list[Path]) -> None:
    """Than the mean without one is, on images that it was not found with: those of the test set."""
    found = bundle.read_current(published)
    mean = answers_of([path.read_bytes() for path in members], PIXELS[900:]).mean(0)
    chosen = mean[np.arange(300), LABELS[900:]]
    assert found.manifest["test"]["loss"] < -np.log(chosen).mean()


def test_the_manifest_says_what_it_is_made_of(published: Path, members: list[Path]) -> None:
    manifest = bundle.read_current(published).manifest
    assert [item["version"] for item in manifest["members"]] == [bundle.read_bare(path).version for path in members]
    for item, path in zip(manifest["members"], members, strict=True):
        assert item["model"]["sha256"] == bundle.hash_of(path.read_bytes())
        assert 0.5 < item["validation"]["accuracy"] < 1
        assert item["validation"]["images"] == manifest["data"]["validation"] == 75
    assert manifest["model"]["architecture"] == "ensemble"
    assert manifest["checks"]["front_door"]["accuracy"] == manifest["test"]["accuracy"]
    assert manifest["plots"] == ["confusion.png", "mistakes.png", "reliability.png", "tiles.png"]
    assert [line.split(" says")[0] for line in manifest["compared"]["caveats"][:2]] == ["nothing", "nothing"]
    assert {"presence", "confidence"} == manifest["thresholds"].keys()


def test_a_comparison_knows_what_its_members_were_trained_on() -> None:
    part = Part(PIXELS[:10], LABELS[:10])
    data = Dataset(part, part, part, "own.npz", "ab")
    same, other = ({"version": sha, "data": {"sha256": sha}} for sha in ("ab", "cd"))
    assert caveats({"version": "e", "members": [same, same]}, data, Config(), "test") == []
    (line,) = caveats({"version": "e", "data": {"sha256": "ab"}, "members": [same, "?"]}, data, Config(), "test")
    assert line.startswith("nothing says what a model without a name was trained on")
    (line,) = caveats({"version": "e", "data": {"sha256": "ab"}, "members": [same, other]}, data, Config(), "test")
    assert line.startswith("cd was trained on other data")


def test_of_a_member_nothing_is_kept_that_is_no_number(h5: bytes, tmp_path: Path) -> None:
    test = {"accuracy": 10**400, "loss": "x", "images": 300}
    training = {"validation": 10**400, "strength": 0.5, "hidden": None}
    found = models.publish(tmp_path, h5, golden=False, test=test, training=training)
    part = Part(PIXELS[:10], LABELS[:10])
    member = ensemble.Member(found, network.load(h5)(part.pixels))
    assert ensemble.as_facts(member, part)["test"] == {"images": 300}
    config = ensemble.as_trained(Config(), [found.manifest, found.manifest])
    assert (config.validation, config.strength, config.hidden) == (Config().validation, 0.5, Config().hidden)


@pytest.mark.anyio
async def test_the_service_serves_it_like_any_other(published: Path, serve: Serve) -> None:
    found = bundle.read_current(published)
    expected = network.load(found.h5).judge(PIXELS[:5])
    async with serve(Settings(models=published)) as client:
        answer = await client.post("/predict", json={"pixels": PIXELS[:5].tolist()})
        page = (await client.get("/model/report")).text
    assert answer.json()["model"]["version"] == found.version
    for prediction, row in zip(answer.json()["predictions"], expected, strict=True):
        assert prediction["probabilities"] == pytest.approx(row[:10].tolist(), abs=TOLERANCE)
        assert prediction["presence"] == pytest.approx(float(row[10]), abs=TOLERANCE)
    assert "What it is the mean of" in page
    assert all(item["version"] in page for item in found.manifest["members"])
    assert "doesn't have" not in page


def test_members_are_found_as_bundles_and_hold_the_same_images_out(
    members: list[Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All were trained with another --validation; one did not vary its images, and knew no --moved and --patch."""
    plain, varied = {"augmented": 0.0}, {"augmented": 0.5, "moved": 0.5, "patch": 2}
    held = load(data, validation=0.2)
    figures = {"accuracy": 0.75, "loss": 0.5, "images": 300, "confusion": []}
    versions = [
        models.publish(
            tmp_path, path.read_bytes(), golden=False, data=held.summary(), test=figures,
            training={"validation": 0.2, **how},
        ).version
        for path, how in zip(members, (plain, varied), strict=True)
    ]  # fmt: skip
    assert main(arguments(versions, data, tmp_path, "--force")) == 0
    found = bundle.read_current(tmp_path)
    assert "warning" not in capsys.readouterr().err
    assert found.manifest["data"]["validation"] == len(held.validation) > 75
    told = {name: found.manifest["training"][name] for name in ("validation", "augmented", "moved", "patch")}
    assert told == {"validation": 0.2, "augmented": 0.5, "moved": 1.5, "patch": 5}
    assert found.manifest["members"][1]["test"] == {"accuracy": 0.75, "loss": 0.5, "images": 300}
    assert found.manifest["compared"]["caveats"] == []


def test_it_is_not_served_where_what_is_served_is_better(
    members: list[Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worse = models.templates(scale=0.5)
    (tmp_path / "worse.h5").write_bytes(worse)
    better = models.publish(tmp_path / "models", models.features(count=300, images=3000), golden=False)
    given = arguments([tmp_path / "worse.h5", members[1]], data, tmp_path / "models")
    assert main(given) == 1
    said = capsys.readouterr().err
    assert "not served: what is served is better" in said
    assert bundle.read_current(tmp_path / "models").version == better.version
    assert len(bundle.versions(tmp_path / "models")) == 2


# --- what is refused ----------------------------------------------------------------------------


def refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the sentence of an error, which stands alone and after nothing but warnings."""
    assert main(given) == 2
    *before, last = capsys.readouterr().err.splitlines()
    assert all(line.startswith("warning: ") for line in before)
    return last.removeprefix("error: ")


def test_what_is_no_member_is_named(
    members: list[Path], published: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.h5").write_bytes(b"no model")
    (tmp_path / "same.h5").write_bytes(members[0].read_bytes())
    itself = bundle.read_current(published)
    for other, said in (
        ("no-such-version", "no-such-version"),
        (tmp_path / "broken.h5", "this is not an HDF5 file"),
        (tmp_path / "same.h5", "are the same network"),
        (itself.path, f"{itself.version} is an ensemble itself; name its members instead"),
    ):
        assert said in refused(arguments([members[0], other], data, tmp_path / "models"), capsys)
    missing = refused(arguments(members, tmp_path / "none.npz", tmp_path / "models"), capsys)
    assert missing.endswith("there is no such file or folder")
    assert bundle.versions(tmp_path / "models") == []


def test_one_model_is_no_ensemble(members: list[Path], data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["ensemble", str(members[0]), "--data", str(data)])
    assert caught.value.code == 2
    assert "two members at least" in capsys.readouterr().err


def test_a_member_that_keras_understands_otherwise_is_refused(
    members: list[Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The slope of hard_sigmoid is another since Keras 3; what is served of a file of Keras 2 is what Keras 2 meant."""
    with warnings.catch_warnings(action="ignore"):  # TensorFlow has its own
        import tf_keras

    layers = tf_keras.layers
    old = [layers.Flatten(), layers.Dense(9, activation="hard_sigmoid"), layers.Dense(10, activation="softmax")]
    model = tf_keras.Sequential([tf_keras.Input((28, 28, 1)), *old])
    randomise(model)
    (tmp_path / "old.h5").write_bytes(save(model, tmp_path))
    said = refused(arguments([members[0], tmp_path / "old.h5"], data, tmp_path / "models"), capsys)
    assert "away from what is served of it, once Keras has loaded it" in said
    assert said.startswith(bundle.read_bare(tmp_path / "old.h5").version)


def test_an_ensemble_that_would_be_too_large_is_refused_before_it_is_tested(
    members: list[Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each file is below the limit, both together are not."""
    random = np.random.default_rng(0)
    for name in ("c.h5", "d.h5"):
        hidden = random.normal(0, 0.01, (784, 11_000)).astype(np.float32), np.zeros(11_000, np.float32)
        kernel = random.normal(0, 0.01, (11_000, 10)).astype(np.float32)
        (tmp_path / name).write_bytes(models.dense_h5(kernel, np.zeros(10, np.float32), hidden))
    given = arguments([tmp_path / "c.h5", tmp_path / "d.h5"], data, tmp_path / "models")
    assert main(given) == 2
    said = capsys.readouterr().err
    assert "test accuracy" not in said
    assert said.splitlines()[-1].startswith("error: the file has ")
