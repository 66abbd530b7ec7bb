"""Many seeds are trained side by side; what they come to is told honestly, and none spoils another."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from digits import bundle
from tests import models
from tests.server import ROOT
from trainer import runs
from trainer.errors import INTERRUPTED
from trainer.machine import processor
from trainer.runs import Run, Task, side_by_side, summary, table


@dataclass(frozen=True)
class Trainer:
    """A training that takes no time: publishes `h5` with an accuracy made of the seed; some seeds fail."""

    h5: bytes
    failing: tuple[int, ...] = ()

    def __call__(self, seed: int, folder: Path) -> int:
        print("training on", sorted(os.sched_getaffinity(0)))
        if seed in self.failing:
            raise RuntimeError("out of luck")
        facts = {"test": {"accuracy": 0.99 + seed / 1000, "loss": 0.03}, "calibration": {"test_error": 0.002}}
        models.publish(folder, self.h5, golden=False, seconds={"train": 4.0, "evaluate": 1.0}, **facts)
        return seed % 2  # odd ones miss their target


def run(task: Task, seeds: Sequence[int], output: Path, at_once: int = 2) -> list[Run]:
    for seed in seeds:
        runs.folder_of(output, seed).mkdir(parents=True)
    with closing(side_by_side(task, seeds, output, at_once)) as ended:
        return sorted(ended, key=lambda item: item.seed)


def test_every_seed_has_a_folder_of_its_own_and_a_log(tmp_path: Path, h5: bytes) -> None:
    found = run(Trainer(h5), range(3), tmp_path)
    assert [item.seed for item in found] == [0, 1, 2]
    for item in found:
        folder = tmp_path / f"seed-{item.seed}"
        assert bundle.versions(folder) == [item.version]
        assert item.figures == {
            "accuracy": 0.99 + item.seed / 1000, "loss": 0.03, "calibration_error": 0.002, "seconds": 5.0,
        }  # fmt: skip
        assert (folder / runs.LOG).read_text().startswith("training on")
    assert not (tmp_path / bundle.CURRENT).exists()


def test_a_seed_that_fails_is_named_and_loses_no_other(tmp_path: Path, h5: bytes) -> None:
    found = run(Trainer(h5, failing=(1,)), range(3), tmp_path)
    assert [item.figures is None for item in found] == [False, True, False]
    assert found[1].exit_code == 1
    assert "out of luck" in (tmp_path / "seed-1" / runs.LOG).read_text()
    assert "seed 1 failed (exit code 1): RuntimeError: out of luck; " in runs.line(found[1], tmp_path)
    assert table(found).endswith("n = 2 of 3")


@dataclass(frozen=True)
class Breaking:
    """Publishes as `Trainer` does, but what seed 1 publishes cannot be read."""

    trainer: Trainer

    def __call__(self, seed: int, folder: Path) -> int:
        self.trainer(seed, folder)
        if seed == 1:
            (version,) = bundle.versions(folder)
            (folder / version / bundle.MANIFEST_NAME).write_text('{"format": 1, "loss": NaN}')
        return 0


def test_a_seed_whose_bundle_cannot_be_read_has_failed_and_loses_no_other(tmp_path: Path, h5: bytes) -> None:
    found = run(Breaking(Trainer(h5)), range(3), tmp_path)
    assert [item.figures is None for item in found] == [False, True, False]
    assert f"{bundle.MANIFEST_NAME} is not" in runs.line(found[1], tmp_path)
    runs.write(tmp_path, found, [])
    assert [item["version"] is None for item in json.loads((tmp_path / "summary.json").read_text())["runs"]] == [
        False, True, False,
    ]  # fmt: skip


def test_a_seed_that_misses_its_target_counts(tmp_path: Path, h5: bytes) -> None:
    found = run(Trainer(h5), range(2), tmp_path)
    assert found[1].exit_code == 1
    assert summary(found)["accuracy"]["mean"] == pytest.approx(0.9905)
    assert "counted" in runs.line(found[1], tmp_path)


def test_only_what_this_run_published_is_counted(tmp_path: Path, h5: bytes) -> None:
    earlier = {seed: models.publish(runs.folder_of(tmp_path, seed), h5, golden=False).version for seed in (0, 7)}
    with closing(side_by_side(Trainer(h5, failing=(7,)), [0, 7], tmp_path, 2)) as ended:
        found = {item.seed: item.version for item in ended}
    assert found[0] in set(bundle.versions(tmp_path / "seed-0")) - {earlier[0]}
    assert found[7] is None


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen here")
def test_the_cores_are_dealt_out() -> None:
    usable = os.sched_getaffinity(0)
    for at_once in range(1, 2 * len(usable) + 1):
        dealt = runs.shares(at_once)
        assert len(dealt) == at_once
        assert all(share and share <= usable for share in dealt)
        if at_once <= len(usable):
            assert sum(map(len, dealt)) == len(set().union(*dealt))


@pytest.mark.parametrize(
    ("seeds", "cores", "gib", "gpu", "expected"),
    [(8, 16, 64, False, 8), (20, 16, 64, False, 16), (8, 16, 7, False, 2), (8, 16, 1, False, 1),
     (8, 16, 64, True, 3), (8, 16, 7, True, 2), (2, 16, 64, True, 2)],
)  # fmt: skip
def test_as_many_go_side_by_side_as_cores_memory_and_gpu_allow(
    seeds: int, cores: int, gib: int, gpu: bool, expected: int
) -> None:
    assert runs.together(seeds, cores, gib << 30, lambda: gpu) == expected


def test_where_keras_is_asked_for_a_gpu_is_a_process_of_its_own() -> None:
    script = "import sys; from trainer import runs; print(runs.sees_accelerator(), 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    from trainer import devices

    assert done.stdout == f"{bool(devices.accelerators())} False\n"


@dataclass(frozen=True)
class First:
    """Seed 0 ends as soon as seed 1 has begun, which never ends by itself."""

    def __call__(self, seed: int, folder: Path) -> int:
        begun = folder.parent / "begun"  # a FIFO: opens when both ends are wanted
        if seed == 1:
            (folder / "pid").write_text(str(os.getpid()))
            begun.open("w").close()
            signal.pause()
        begun.open().close()
        return 0


def test_when_the_iteration_ends_no_process_is_left(tmp_path: Path) -> None:
    for seed in (0, 1):
        runs.folder_of(tmp_path, seed).mkdir()
    os.mkfifo(tmp_path / "begun")
    ended = side_by_side(First(), [0, 1], tmp_path, 2)
    assert next(ended).seed == 0
    ended.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "seed-1" / "pid").read_text()), 0)


# --- figures ------------------------------------------------------------------------------------


def made(seed: int, accuracy: float) -> Run:
    return Run(seed, f"v{seed}", {"accuracy": accuracy, "loss": 0.1, "calibration_error": 0.0, "seconds": 1.0}, 0)


def test_mean_and_sample_standard_deviation_are_those_of_numpy() -> None:
    values = [0.991, 0.995, 0.99, 0.9973]
    found = summary([made(seed, value) for seed, value in enumerate(values)])["accuracy"]
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["sd"] == pytest.approx(np.std(values, ddof=1))


def test_one_seed_has_no_standard_deviation_and_none_has_no_mean() -> None:
    assert summary([made(0, 0.99)])["accuracy"] == {"mean": 0.99, "sd": None}
    assert "–" in table([made(0, 0.99)])
    assert summary([Run(0, None, None, 1)]) == {}
    assert table([Run(0, None, None, 1)]).endswith("n = 0 of 1")


# --- the command --------------------------------------------------------------------------------


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "trainer", "runs", *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "0"], "--seeds"),
        (["--epochs", "0"], "--epochs"),
        (["--if-missing"], "--if-missing"),
        (["--show-augmentation", "sheet.png"], "--show-augmentation"),
    ],
)
def test_flags_that_make_no_sense_are_named_before_anything_is_made(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    done = command(*arguments, "--output", tmp_path / "runs")
    assert (done.returncode, said in done.stderr) == (2, True)
    assert not (tmp_path / "runs").exists()


def test_real_trainings_are_summarised(tmp_path: Path) -> None:
    """Two seeds on a tiny set, with logs for TensorBoard; each bundle has its report."""
    pixels, labels = models.mnist(800)
    tiny = tmp_path / "tiny.npz"
    np.savez(tiny, x_train=pixels[:600], y_train=labels[:600], x_test=pixels[600:], y_test=labels[600:])
    output = tmp_path / "runs"
    quick = ["--data", tiny, "--epochs", 1, "--target-accuracy", 0, "--tensorboard"]
    done = command("--seeds", 2, "--seed", 3, "--output", output, *quick)
    logs = "\n".join(log.read_text() for log in output.glob(f"*/{runs.LOG}"))
    assert done.returncode == 0, done.stderr + logs
    whole = json.loads((output / "summary.json").read_text())
    assert [item["seed"] for item in whole["runs"]] == [3, 4]
    rows = list(csv.DictReader(io.StringIO((output / "summary.csv").read_text())))
    accuracies = [float(row["accuracy"]) for row in rows]
    assert whole["summary"]["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert f"{np.mean(accuracies):.4%}" in done.stdout
    for row in rows:
        found = bundle.read_current(output / f"seed-{row['seed']}")
        assert found.version == row["version"]
        assert found.manifest["training"]["seed"] == int(row["seed"])
        page = (found.path / bundle.REPORT_NAME).read_text()
        assert found.version in page
        assert whole["made_with"] == found.manifest["made_with"]
        assert found.manifest["made_with"]["cpu"] == processor()
        assert processor() in page
        assert_logged(output / f"seed-{row['seed']}" / "tensorboard", found.path / "history.csv")


def assert_logged(folder: Path, history: Path) -> None:
    """TensorBoard itself reads the same figures as `history.csv` has."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (row,) = csv.DictReader(io.StringIO(history.read_text()))
    for name, prefix in (("train", ""), ("validation", "val_")):
        (logs,) = folder.glob(f"*/{name}")
        events = EventAccumulator(str(logs)).Reload()
        for figure in ("accuracy", "loss"):
            (scalar,) = events.Scalars(figure)
            assert scalar.step == 1
            assert scalar.value == pytest.approx(float(row[f"{prefix}{figure}"]), rel=1e-6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_them(number: signal.Signals, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.npz")
    line = ["runs", "--seeds", "1", "--data", str(tmp_path / "data.npz"), "--output", str(tmp_path / "runs")]
    process = subprocess.Popen([sys.executable, "-m", "trainer", *line], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    with (tmp_path / "data.npz").open("wb", buffering=0) as data:  # opens when the training reads it
        process.send_signal(number)
        _, said = process.communicate()
        with pytest.raises(BrokenPipeError):
            data.write(b"nobody reads it any more")
    assert process.returncode == INTERRUPTED
    assert "interrupted" in said
