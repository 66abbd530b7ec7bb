"""Training as a user runs it: what it prints, what it publishes, and when it refuses to."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from digits import bundle, hdf5, image, network
from tests.models import MNIST, mnist
from trainer.augment import Variation
from trainer.config import Config
from trainer.evaluate import evaluate

ROOT = Path(__file__).parent.parent


def train(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainer", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | environ)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags of a training on 600 images, which is the same each time."""
    pixels, labels = mnist(800)
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, x_train=pixels[:600], y_train=labels[:600], x_test=pixels[600:], y_test=labels[600:])
    return ["--data", str(path), "--epochs", "1", "--target-accuracy", "0", "--seed", "1", "--deterministic"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a quick run publishes."""
    folder = tmp_path_factory.mktemp("models")
    done = train("--quick", "--output", str(folder))
    assert done.returncode == 0, done.stderr
    (folder / "log").write_text(done.stderr)
    return folder


# --- what is published --------------------------------------------------------------------------


def test_a_quick_run_publishes_a_model_that_reads_digits(models: Path) -> None:
    found = bundle.read_current(models)
    predict = network.load(found.h5)
    pixels, labels = mnist(1000)
    assert (predict(pixels).argmax(1) == labels).mean() > 0.95
    bundle.check_golden(found, predict)
    saved = hdf5.read(found.h5)
    assert [layer["class_name"] for layer in saved.config["config"]["layers"]] == [
        "InputLayer", "Conv2D", "MaxPooling2D", "Dropout", "Conv2D", "MaxPooling2D", "Dropout",
        "Flatten", "Dense", "Dropout", "Dense",
    ]  # fmt: skip


def test_the_classic_script_reads_the_file(models: Path) -> None:
    """What everyone who trained in a notebook has, in a process that knows nothing of this project."""
    script = """
import numpy as np, sys
from tensorflow.keras.models import load_model
x_test, y_test = (np.load(sys.argv[1])[name] for name in ("x_test", "y_test"))
model = load_model("mnist_cnn_model.h5")
digits = [model.predict(x_test[i].reshape(1, 28, 28, 1) / 255).argmax() for i in range(20)]
print("right:", sum(digits == y_test[:20]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(MNIST)], cwd=bundle.read_current(models).path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout.rpartition("right: ")[2]) >= 19


def test_the_manifest_says_what_the_model_is(models: Path) -> None:
    found = bundle.read_current(models)
    manifest = found.manifest
    assert manifest["model"]["size"] == len(found.h5)
    assert (manifest["model"]["architecture"], manifest["model"]["parameters"]) == ("cnn", 225_034)
    assert (manifest["data"]["train"], manifest["data"]["validation"], manifest["data"]["test"]) == (
        11_001,
        5_001,
        10_000,
    )
    assert {"seed": 0, "epochs": 2, "batch_size": 128}.items() <= manifest["training"].items()
    assert {"machine", "cpu", "keras", "tensorflow", "numpy", "python"} <= manifest["made_with"].keys()
    assert [sample["label"] for sample in manifest["golden"]] == list(range(10))
    assert manifest["checks"]["parity"]["images"] == 1000
    assert manifest["checks"]["parity"]["max_difference"] <= 1e-5
    assert manifest["checks"]["front_door"] == {"accuracy": manifest["test"]["accuracy"], "images": 10_000}
    assert sum(item["images"] for item in manifest["test"]["per_class"]) == 10_000


def test_the_figures_of_the_manifest_are_those_of_the_file(models: Path) -> None:
    """The test set is asked once more, from outside: accuracy and loss must come out the same."""
    found = bundle.read_current(models)
    with np.load(MNIST) as archive:
        report = evaluate(network.load(found.h5)(archive["x_test"]), archive["y_test"])
    assert report.accuracy == pytest.approx(found.manifest["test"]["accuracy"], abs=1e-9)
    assert report.loss == pytest.approx(found.manifest["test"]["loss"], abs=1e-5)
    assert report.per_class() == found.manifest["test"]["per_class"]


def test_golden_images_are_test_images(models: Path) -> None:
    pixels, _ = mnist(1000)
    for sample in bundle.read_current(models).manifest["golden"]:
        read = image.read(base64.b64decode(sample["image"]))
        assert (pixels == read).all((1, 2)).any()
        assert sum(sample["probabilities"]) == pytest.approx(1, abs=1e-5)


def test_history_and_plots_are_there(models: Path) -> None:
    path = bundle.read_current(models).path
    rows = list(csv.DictReader(io.StringIO((path / "history.csv").read_text())))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"accuracy", "loss", "val_accuracy", "val_loss", "seconds"} <= rows[0].keys()
    plots = sorted(plot.name for plot in (path / "plots").iterdir())
    assert plots == [
        "accuracy.png",
        "augmentation.png",
        "confusion.png",
        "loss.png",
        "mistakes.png",
        "reliability.png",
        "tiles.png",
    ]
    for plot in plots[:-1]:
        with Image.open(path / "plots" / plot) as picture:
            assert min(picture.size) >= 400


def test_the_log_can_be_read_in_a_file(models: Path) -> None:
    lines = (models / "log").read_text().splitlines()
    assert not [line for line in lines if "\r" in line or "\b" in line]
    assert any(line.startswith("training on 11,001 images, tensorflow on the CPU") for line in lines)
    assert len([line for line in lines if line.startswith("epoch ") and "validation accuracy" in line]) == 2
    assert any(line.startswith("test accuracy 0.9") for line in lines)
    assert lines[-1].startswith("published ")


def test_a_second_run_that_is_not_needed_does_nothing(models: Path) -> None:
    before = bundle.versions(models)
    done = train("--if-missing", "--output", str(models))
    assert (done.returncode, bundle.versions(models)) == (0, before)
    assert "published already" in done.stderr


def test_the_file_holds_no_more_than_a_network(models: Path) -> None:
    with h5py.File(bundle.read_current(models).path / bundle.H5_NAME) as file:
        assert json.loads(file.attrs["model_config"])["class_name"] == "Sequential"


# --- when it refuses ----------------------------------------------------------------------------


def test_bad_data_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(b"hello")
    done = train("--data", str(tmp_path / "own.npz"), "--output", str(tmp_path / "models"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'own.npz'}: is not an .npz")
    assert not (tmp_path / "models").exists()


def test_a_folder_that_cannot_be_written_to_is_reported_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file, not a folder")
    done = train("--output", str(tmp_path / "models"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'models'}: cannot be written to")


def test_logs_for_tensorboard_need_its_package_which_is_said_before_the_training(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['tensorboard'] = None; from trainer.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "--tensorboard", "--output", str(tmp_path / "models")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith("error: --tensorboard needs a package: pip install")) == (2, True)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--epochs", "0"], "at least 1"),
        (["--share", "2"], "above 0 and at most 1"),
        (["--learning-rate", "nan"], "above 0 and below 1"),
        (["--learning-rate", "1"], "above 0 and below 1"),
        (["--dropout", "1"], "at least 0 and below 1"),
        (["--validation", "0"], "above 0 and at most 0.5"),
        (["--seed", "-1"], "at least 0 and at most 4294967295"),
    ],
)
def test_flags_that_make_no_sense_are_named_with_what_is_allowed(
    arguments: list[str], allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        Config.from_args(arguments)
    assert caught.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said == f"error: {arguments[0]} must be {allowed}; python -m trainer --help lists all flags"


def test_all_that_is_allowed_is_taken() -> None:
    flags = ["dropout=0", "validation=0.5", "share=1", "taught=0", "augmented=1", "seed=4294967295"]
    assert Config.from_args([f"--{flag}" for flag in flags]).validation == 0.5


def test_hyper_parameters_are_not_what_is_done_with_the_weights() -> None:
    path = Path("elsewhere")
    actions = Config(
        path, path, target_accuracy=0, force=True, show_augmentation=path, if_missing=True, tensorboard=True
    )
    plain = Config().hyper_parameters(None)
    assert actions.hyper_parameters(None) == plain
    assert replace(actions, outliers=1).hyper_parameters(None) == plain | {"outliers": 1}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trian"], "error: there is no command trian, but compare, ensemble, report, runs; without one"),
        (["--teacher", "nosuch.h5"], "error: nosuch.h5: No such file or directory"),
    ],
)
def test_what_there_is_not_is_named(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = train(*arguments, "--output", str(tmp_path / "models"))
    assert (done.returncode, done.stderr.startswith(says)) == (2, True)


def test_quick_is_a_set_of_defaults() -> None:
    assert (Config.from_args(["--quick"]).epochs, Config.from_args(["--quick"]).share) == (2, 0.2)
    assert Config.from_args(["--quick", "--epochs", "5"]).epochs == 5


def test_recipes_are_sets_of_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    plain = Config.from_args(["--recipe", "plain"])
    assert (plain.augmented, plain.outliers, plain.recipe) == (0, 0, "plain")
    assert Config.from_args(["--recipe", "plain", "--outliers", "0.5"]).outliers == 0.5
    assert Config.from_args(["--recipe", "mnist"]).variation == Variation(
        share=0.7, strength=1, hidden=0.3, moved=3, patch=8
    )
    with pytest.raises(SystemExit):
        Config.from_args(["--recipe", "secret"])
    assert "--recipe must be one of plain, standard, full, mnist, sprint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--architecture", "vgg"], "no architecture 'vgg'"),
        (["--teacher", "README.md"], "README.md: this is not an HDF5 file"),
    ],
)
def test_what_a_training_needs_is_looked_for_before_it(arguments: list[str], reason: str, tmp_path: Path) -> None:
    done = train(*arguments, "--output", str(tmp_path / "models"))
    assert (done.returncode, reason in done.stderr, "training on" in done.stderr) == (2, True, False), done.stderr


def test_an_architecture_that_fails_is_named_and_nothing_is_trained(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def build():\n    raise RuntimeError('not today')\n")
    done = train("--architecture", str(tmp_path / "own.py"), "--output", str(tmp_path / "models"))
    assert done.returncode == 2
    said = f"error: build() of {tmp_path / 'own.py'} fails: RuntimeError: not today"
    assert done.stderr.splitlines()[-1] == said
    assert "Traceback" not in done.stderr


def test_a_sheet_of_variants_is_drawn_instead_of_training(tmp_path: Path) -> None:
    done = train("--show-augmentation", str(tmp_path / "sheet.png"), "--output", str(tmp_path / "models"))
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (10 * 56, 10 * 56)
    assert bundle.versions(tmp_path / "models") == []


# --- other backends, same seeds -----------------------------------------------------------------


@pytest.fixture(scope="module")
def forced(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    folder = tmp_path_factory.mktemp("forced")
    done = train(*tiny, "--force", "--output", str(folder))
    assert done.returncode == 0, done.stderr
    return bundle.read_current(folder)


def test_the_same_training_gives_the_same_file_which_what_is_better_does_not_give_way_to(
    forced: bundle.Bundle, tiny: list[str], tmp_path: Path
) -> None:
    done = train(*tiny, "--output", str(tmp_path))
    assert done.returncode == 1
    held = forced.manifest["data"]["validation"]
    assert f"not served: what is served is better: of {held} validation images" in done.stderr
    assert not (tmp_path / "current").exists()
    (version,) = bundle.versions(tmp_path)
    assert bundle.read(tmp_path / version).sha256 == forced.sha256


def test_it_also_runs_on_jax_and_says_which_network_the_teacher_was(
    forced: bundle.Bundle, tiny: list[str], tmp_path: Path
) -> None:
    """All bundles call their file alike, so that the hash tells; the page has both."""
    teacher = str(forced.path / bundle.H5_NAME)
    done = train(*tiny, "--force", "--teacher", teacher, "--output", str(tmp_path), KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr
    assert "jax on " in done.stderr
    taught = bundle.read_current(tmp_path)
    assert taught.manifest["made_with"]["backend"] == "jax"
    assert taught.manifest["training"]["teacher"] == {"file": bundle.H5_NAME, "sha256": forced.sha256}
    assert forced.sha256 in (taught.path / bundle.REPORT_NAME).read_text()


# --- figures ------------------------------------------------------------------------------------


def test_an_evaluation_counts_what_was_read_as_what() -> None:
    probabilities = np.full((4, 10), 0.01, np.float32)
    probabilities[[0, 1, 2, 3], [7, 2, 1, 1]] = 0.91
    report = evaluate(probabilities, np.array([7, 2, 1, 3], np.uint8))
    assert report.accuracy == 0.75
    assert report.loss == pytest.approx(-(3 * np.log(0.91) + np.log(0.01)) / 4)
    assert report.confusion[3, 1] == 1
    assert report.mistakes.tolist() == [3]
    one = report.per_class()[1]
    assert (one["images"], one["recall"], one["precision"]) == (1, 1.0, 0.5)


def test_where_only_the_service_is_installed_it_says_what_training_needs(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text('raise ModuleNotFoundError("No module named \'keras\'", name="keras")')
    command = [sys.executable, "-m", "trainer", "--quick", "--output", str(tmp_path / "models")]
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "error: keras is not installed; `make train` installs what it takes" in ended.stderr
