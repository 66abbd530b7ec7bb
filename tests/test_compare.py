"""A difference between two networks is said to be one only where chance would seldom make it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits import bundle
from digits.errors import BadBundle
from tests import models
from tests.server import ROOT
from trainer import named
from trainer.compare import caveats, mcnemar, sentence
from trainer.config import Config
from trainer.dataset import Dataset, Part
from trainer.errors import INTERRUPTED


def pairs(only_first: int, only_second: int, both: int = 90, neither: int = 2) -> tuple[NDArray[np.bool_], ...]:
    """Return what two networks were right about, in so many images of each kind."""
    counts = [both, only_first, only_second, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_images_are_counted_by_who_was_right() -> None:
    found = mcnemar(*pairs(5, 3))
    assert (found.both, found.only_first, found.only_second, found.neither, found.images) == (90, 5, 3, 2, 100)
    assert found.accuracies == (0.95, 0.93)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (0, 4), (2, 5), (7, 7), (1, 11)])
def test_the_p_value_is_the_share_of_coin_throws_that_are_as_uneven(first: int, second: int) -> None:
    n = first + second
    throws = [sum(coins) for coins in itertools.product((0, 1), repeat=n)]
    as_uneven = sum(abs(2 * heads - n) >= abs(first - second) for heads in throws)
    assert mcnemar(*pairs(first, second)).p_value == pytest.approx(as_uneven / len(throws))


@pytest.mark.parametrize(("first", "second"), [(25, 30), (300, 380), (5000, 5000), (1, 3000)])
def test_it_agrees_with_scipy_for_any_number_of_images(first: int, second: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(first, first + second, 0.5).pvalue
    assert mcnemar(*pairs(first, second)).p_value == pytest.approx(expected, rel=1e-9)


def test_what_both_know_changes_nothing() -> None:
    assert mcnemar(*pairs(9, 1, both=0)).p_value == mcnemar(*pairs(9, 1, both=50_000)).p_value


def test_a_network_is_no_better_than_itself() -> None:
    itself, _ = pairs(4, 0)
    found = mcnemar(itself, itself)
    assert (found.p_value, found.is_more_than_noise) == (1.0, False)


def test_answers_to_other_images_are_not_compared() -> None:
    for first, second in (([True], [True, False]), ([], []), ([[True]], [[True]])):
        with pytest.raises(ValueError, match="the same images"):
            mcnemar(np.array(first, bool), np.array(second, bool))


def test_the_sentence_names_the_better_one_or_none() -> None:
    assert sentence(mcnemar(*pairs(12, 1)), "A", "B").startswith("A is better than B")
    assert sentence(mcnemar(*pairs(1, 12)), "A", "B").startswith("B is better than A")
    assert sentence(mcnemar(*pairs(3, 2)), "A", "B").startswith("no difference")


# --- which images a model knows already ---------------------------------------------------------


def dataset(sha256: str) -> Dataset:
    part = Part(np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.uint8))
    return Dataset(part, part, part, "own.npz", sha256)


def manifest(sha256: str = "ab", **training: Any) -> dict[str, Any]:
    return {"version": "v1", "data": {"source": "own.npz", "sha256": sha256}, "training": training}


@pytest.mark.parametrize("held", [Config().validation, 0.17])
def test_nothing_is_said_of_a_model_whose_training_held_these_images_out(held: float) -> None:
    assert caveats(manifest(validation=held), dataset("ab"), Config(), "validation") == []


@pytest.mark.parametrize(
    ("facts", "on", "said"),
    [
        ({"version": "bare-1"}, "test", "nothing says"),
        (manifest("cd"), "test", "other data"),
        (manifest(validation=0.05), "validation", "--validation 0.05"),
        (manifest(validation="x"), "validation", "nothing says which images"),
        (manifest(validation=None), "validation", "nothing says which images"),
        (manifest(validation=10**400), "validation", "nothing says which images"),
        (manifest() | {"data": {"source": ["own.npz"]}}, "test", "other data (from somewhere)"),
    ],
)
def test_a_model_that_may_know_the_images_is_named(facts: dict[str, Any], on: str, said: str) -> None:
    (found,) = caveats(facts, dataset("ab"), Config(), on)
    assert said in found
    assert facts["version"] in found


def test_another_split_matters_to_the_validation_set_alone() -> None:
    assert caveats(manifest(validation=0.05), dataset("ab"), Config(), "test") == []


def test_words_of_others_are_shown_short_and_harmless() -> None:
    source = "own\n\x1b[31mred" + "x" * 3000
    (found,) = caveats({"version": "v\r1", "data": {"source": source}}, dataset("ab"), Config(), "test")
    assert found.startswith("v?1 was trained on other data (own??[31mredxxx")
    assert found.isprintable()
    assert len(found) < 200


# --- the command --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set, cut from the test set of MNIST."""
    pixels, labels = models.mnist(900)
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, x_train=pixels[:600], y_train=labels[:600], x_test=pixels[600:], y_test=labels[600:])
    return path


def compare(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainer", "compare", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_bundle_and_a_bare_file_are_compared(published: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "better.h5").write_bytes(models.features(count=300, images=3000))
    version = bundle.versions(published)[0]
    done = compare(version, tmp_path / "better.h5", "--models", published, "--data", data, "--on", "test", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["images"] == 300
    assert found["both"] + found["only_first"] + found["only_second"] + found["neither"] == 300
    assert found["accuracies"][0] < found["accuracies"][1]
    assert found["is_more_than_noise"]
    assert found["first"] == version
    assert done.stderr.count("nothing says what") == 2


def test_people_get_a_sentence(published: Path, data: Path) -> None:
    done = compare(published, published, "--data", data)
    assert "no difference between A and B is proven" in done.stdout
    assert "of the validation set" in done.stdout


def test_what_is_no_model_or_no_data_is_named(published: Path, tmp_path: Path) -> None:
    done = compare("nothing", published, "--models", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "nothing" in done.stderr
    done = compare(published, published, "--data", tmp_path / "none.npz")
    assert (done.returncode, "there is no such file" in done.stderr) == (2, True)


# What runs in the background of a shell is started with SIGINT ignored.
HEEDING = "import signal, sys, trainer.__main__ as it; signal.signal(signal.SIGINT, signal.default_int_handler)"


def test_ctrl_c_is_no_traceback(published: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.npz")
    line = ["compare", str(published), str(published), "--data", str(tmp_path / "data.npz")]
    code = f"{HEEDING}; sys.exit(it.main(sys.argv[1:]))"
    process = subprocess.Popen([sys.executable, "-c", code, *line], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    with (tmp_path / "data.npz").open("wb"):  # opens when it is read
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (INTERRUPTED, "interrupted; what is served is what was served before\n")


def test_a_model_is_found_by_folder_version_file_and_folder_of_models(published: Path) -> None:
    version = bundle.versions(published)[0]
    h5 = (published / version / bundle.H5_NAME).read_bytes()
    for name in (version, str(published / version), str(published), str(published / version / bundle.H5_NAME)):
        assert named.find(name, published).h5 == h5


def test_a_name_that_leads_nowhere_is_no_model(published: Path, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "link").symlink_to(published / bundle.versions(published)[0])
    assert named.find(str(tmp_path / "link"), published).version == bundle.versions(published)[0]
    for name in ("no-such-version", "x" * 300, str(tmp_path / "circle"), str(tmp_path / "circle" / "x")):
        with pytest.raises(BadBundle, match="no version, folder or file"):
            named.find(name, published)
