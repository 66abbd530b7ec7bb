"""python -m trainer runs: train with many seeds, side by side, and say what they come to.

Each seed is a training of its own, in a process with its own share of the cores, and publishes into
a folder of its own: `runs/seed-0/`, `runs/seed-1/`, … What is served stays as it is. Seeds that
miss the target count like the others, for a mean without them would flatter; one that fails is
named. `summary.csv` and `summary.json` are written beside them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from statistics import mean, stdev
from typing import cast

from digits import bundle
from digits.bundle import Manifest
from digits.cores import cores
from digits.errors import BadBundle
from digits.parent import end_with_parent
from trainer.config import Config
from trainer.console import say, silence_imports
from trainer.errors import DONE, FAILED, INTERRUPTED
from trainer.machine import memory

LOG = "log"  # what a training prints, in its folder
MEMORY = 3 << 30  # bytes for each training; TensorFlow and 60,000 images, some of them varied, take most of it
MOST_ON_A_GPU = 3  # more get done no sooner; docs/training.md has the figures
FIGURES = ("accuracy", "loss", "calibration_error", "seconds")
SHARED_GPU = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}  # else the first has it all

Task = Callable[[int, Path], int]  # a seed and its folder to an exit code; run in a process of its own


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one seed. `version` and `figures` are None where it published nothing that can be read."""

    seed: int
    version: str | None
    figures: dict[str, float] | None
    exit_code: int | None
    problem: str | None = None  # with what it published


def main(arguments: list[str]) -> int:
    own, flags, first = parsed(arguments)
    seeds = range(first, first + own.seeds)
    make_folders(own.output, seeds)
    at_once = min(own.at_once, len(seeds)) or together(len(seeds), cores(), memory(), sees_accelerator)
    say(f"{len(seeds)} seeds, {at_once} at once; {own.output}/seed-*/{LOG} have what they print")
    runs: list[Run] = []
    code = INTERRUPTED
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started ends with this
    with (
        suppress(KeyboardInterrupt),
        closing(side_by_side(Training(tuple(flags)), seeds, own.output, at_once)) as ended,
    ):
        for run in ended:
            say(line(run, own.output))
            runs.append(run)
        code = DONE if all(run.figures for run in runs) else FAILED
    if code == INTERRUPTED:
        say(f"interrupted; {len(seeds) - len(runs)} seeds were ended")
    runs.sort(key=lambda run: run.seed)
    write(own.output, runs, flags)
    print(table(runs))
    return code


def parsed(arguments: list[str]) -> tuple[argparse.Namespace, list[str], int]:
    """Return our flags, those of the training, and the first seed. What makes no sense is named here, and only once."""
    own, flags = parser().parse_known_args(arguments)
    config = Config.from_args(flags)
    if own.seeds < 1 or own.at_once < 0:
        parser().error("--seeds must be at least 1, and --at-once at least 0")
    if config.if_missing:
        parser().error("--if-missing makes no sense here: each seed has a folder of its own")
    if config.show_augmentation:
        parser().error("--show-augmentation makes no sense here: with it nothing is trained")
    return own, flags, config.seed


def make_folders(output: Path, seeds: Sequence[int]) -> None:
    try:
        for seed in seeds:
            folder_of(output, seed).mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        parser().error(f"{output} cannot be written to: {exc}")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m trainer runs",
        description="Train with many seeds and summarise: mean and sample standard deviation. All other flags are "
        "those of the training; --seed is the first. Exit codes: 0 all seeds published, 1 some did not, 2 bad flags.",
        allow_abbrev=False,  # --seed is a flag of the training
    )  # fmt: skip
    made.add_argument("--seeds", type=int, default=5, metavar="N", help="number of seeds (default: %(default)s)")
    made.add_argument(
        "--output", type=Path, default=Path("runs"), metavar="PATH", help="folder of all runs (default: %(default)s)"
    )
    made.add_argument(
        "--at-once", type=int, default=0, metavar="N", help="trainings at once; 0: as cores, memory and GPU allow"
    )
    return made


def together(seeds: int, at_most: int, free: int, sees_gpu: Callable[[], bool]) -> int:
    """Return how many of so many trainings go side by side: one for each core, as far as so many free bytes allow.

    On a GPU they are `MOST_ON_A_GPU` at most.
    """
    most = max(1, min(seeds, at_most, free // MEMORY))
    return MOST_ON_A_GPU if most > MOST_ON_A_GPU and sees_gpu() else most


def sees_accelerator() -> bool:
    """Ask Keras, in a process that ends with its answer, and so keeps nothing of a GPU from the trainings."""
    with ProcessPoolExecutor(1, get_context("spawn")) as aside:
        return aside.submit(keras_sees_accelerator).result()


def keras_sees_accelerator() -> bool:
    silence_imports()
    os.environ.update(SHARED_GPU)
    from trainer import devices

    return bool(devices.accelerators())


# --- running ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Training:
    """The task of a seed: the trainer with some flags, quiet, into a folder."""

    flags: tuple[str, ...]

    def __call__(self, seed: int, folder: Path) -> int:
        from trainer.__main__ import main as train

        return train([*self.flags, "--force", "--seed", str(seed), "--output", str(folder)])


@dataclass(frozen=True, slots=True)
class Started:
    """A training that runs, on the cores of its place; `before` are the versions that were in its folder."""

    seed: int
    process: SpawnProcess
    place: set[int]
    before: set[str]


def side_by_side(task: Task, seeds: Sequence[int], output: Path, at_once: int) -> Generator[Run, None, None]:
    """Run a task for each seed in processes, some at once; yields what becomes of them, the first to end first.

    The folders of the seeds are there. When the iteration ends, however, none of them runs any more.
    """
    waiting, places = deque(seeds), deque(shares(at_once))
    running: list[Started] = []
    try:
        while waiting or running:
            while waiting and places:
                running.append(start(task, waiting.popleft(), output, places.popleft()))
            ready = wait([one.process.sentinel for one in running])
            for ended in [one for one in running if one.process.sentinel in ready]:
                running.remove(ended)
                ended.process.join()
                places.append(ended.place)
                yield outcome(ended.seed, folder_of(output, ended.seed), ended.before, ended.process.exitcode)
    finally:
        for left in running:
            left.process.terminate()
        for left in running:
            left.process.join()


def start(task: Task, seed: int, output: Path, place: set[int]) -> Started:
    folder = folder_of(output, seed)
    before = set(bundle.versions(folder))
    process = get_context("spawn").Process(target=work, args=(task, seed, folder, place, os.getpid()))
    process.start()
    return Started(seed, process, place, before)


def folder_of(output: Path, seed: int) -> Path:
    return output / f"seed-{seed}"


def shares(at_once: int) -> list[set[int]]:
    """Deal the cores out; where there are more processes than cores, or cores cannot be chosen, all have all."""
    if not hasattr(os, "sched_getaffinity"):
        return [set()] * at_once
    usable = sorted(os.sched_getaffinity(0))[: cores()]
    return [set(usable[place::at_once] or usable) for place in range(at_once)]


def work(task: Task, seed: int, folder: Path, place: set[int], parent: int) -> None:
    """Do a task in this process: on some cores, into a log, and not longer than its parent lives."""
    end_with_parent(parent, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches all; the parent ends this one
    if place:
        os.sched_setaffinity(0, place)  # libraries of numbers take a thread for each core that they may use
    os.environ.update(SHARED_GPU)
    with (folder / LOG).open("w") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())  # of what isn't written by Python, too
            cast(TextIOWrapper, stream).reconfigure(line_buffering=True)  # of both in the order of printing
    sys.exit(task(seed, folder))


def outcome(seed: int, folder: Path, before: set[str], exit_code: int | None) -> Run:
    """Read what a seed published, though it may have missed the target."""
    made = [version for version in bundle.versions(folder) if version not in before]
    if not made:
        return Run(seed, None, None, exit_code)
    try:
        manifest = bundle.read_manifest(folder / made[-1] / bundle.MANIFEST_NAME)
    except BadBundle as exc:
        return Run(seed, None, None, exit_code, str(exc))
    return Run(seed, made[-1], figures_of(manifest), exit_code)


def figures_of(manifest: Manifest) -> dict[str, float]:
    """Return what is summarised of a manifest: on the test set, and how long all took but to publish."""
    test, calibration, seconds = (manifest[key] for key in ("test", "calibration", "seconds"))
    values = test["accuracy"], test["loss"], calibration["test_error"], sum(seconds.values())
    return dict(zip(FIGURES, map(float, values), strict=True))


# --- summary ------------------------------------------------------------------------------------


def summary(runs: Sequence[Run]) -> dict[str, dict[str, float | None]]:
    """Return mean and sample standard deviation of each figure over the seeds that have it; sd of one is None."""
    found = [run.figures for run in runs if run.figures]
    columns = {name: [figures[name] for figures in found] for name in FIGURES} if found else {}
    return {
        name: {"mean": mean(values), "sd": stdev(values) if len(values) > 1 else None}
        for name, values in columns.items()
    }


def line(run: Run, output: Path) -> str:
    if run.figures is None:
        log = folder_of(output, run.seed) / LOG
        why = run.problem or last_line(log)
        return f"seed {run.seed} failed (exit code {run.exit_code}): {why}; all of it is in {log}"
    missed = "" if run.exit_code == 0 else "; not served, its log says why, but counted"
    return f"seed {run.seed}: test accuracy {run.figures['accuracy']:.4f} in {run.figures['seconds']:.0f} s{missed}"


def last_line(log: Path) -> str:
    """Return what a training said last, which is why it failed, if it failed by itself."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((said for line in reversed(lines) if (said := line.strip())), "it said nothing")


def table(runs: Sequence[Run]) -> str:
    """Return the figures of all seeds, and what they come to."""
    rows = [["seed", "accuracy", "loss", "calibration", "seconds"]]
    rows += [[str(run.seed), *(cells(run.figures) if run.figures else ["failed", "", "", ""])] for run in runs]
    both = summary(runs)
    if both:
        rows.append(["mean", *cells({name: both[name]["mean"] for name in FIGURES})])
        rows.append(["± sd", *cells({name: both[name]["sd"] for name in FIGURES})])
    lines = ["".join(f"{cell:>13}" for cell in row) for row in rows]
    measured = sum(run.figures is not None for run in runs)
    return "\n".join([*lines, f"n = {measured}" + (f" of {len(runs)}" if measured < len(runs) else "")])


def cells(figures: Mapping[str, float | None]) -> list[str]:
    places = {"accuracy": ".4%", "loss": ".5f", "calibration_error": ".5f", "seconds": ".1f"}
    return ["–" if (value := figures[name]) is None else format(value, places[name]) for name in FIGURES]


def write(output: Path, runs: Sequence[Run], flags: Sequence[str]) -> None:
    """Write `summary.json` and `summary.csv`."""
    output.mkdir(parents=True, exist_ok=True)
    whole = {
        "flags": list(flags), "made_with": made_with(output, runs), "summary": summary(runs),
        "runs": [asdict(run) for run in runs],
    }  # fmt: skip
    (output / "summary.json").write_text(json.dumps(whole, indent=1) + "\n")
    with (output / "summary.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["seed", "version", "exit_code", *FIGURES])
        for run in runs:
            figures = run.figures or {}
            writer.writerow([run.seed, run.version, run.exit_code, *(figures.get(name, "") for name in FIGURES)])


def made_with(output: Path, runs: Sequence[Run]) -> dict[str, str] | None:
    """Return what the manifest of the first that published says of machine and packages; those of all are the same."""
    made = next((folder_of(output, run.seed) / run.version for run in runs if run.version), None)
    return bundle.read_manifest(made / bundle.MANIFEST_NAME).get("made_with") if made else None
