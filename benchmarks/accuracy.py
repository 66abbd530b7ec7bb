"""Ask a running service about labelled images, and say how often it is right.

A set is a zip or a folder that holds `labels.csv` (columns `file` and `label`) and the files it
names. What the service gives no digit for counts as wrong. Knows nothing of how digits are read.
"""

from __future__ import annotations

import base64
import csv
import io
import math
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from digits_client import Client, Prediction

TOGETHER = 50  # images in a request
NONE = "–"  # in place of a digit
CELL = (150, 92)  # pixels of one mistake on the contact sheet
COLUMNS = 10
MOST_MISTAKES = 200
Z = 1.96  # standard deviations of a 95 % interval


@dataclass(frozen=True)
class Sample:
    name: str
    content: bytes
    label: str


@dataclass(frozen=True)
class Measured:
    """What came of one set."""

    name: str
    samples: Sequence[Sample]
    predictions: Sequence[Prediction]
    seconds: float

    @property
    def answers(self) -> list[str]:
        return [NONE if item.digit is None else str(item.digit) for item in self.predictions]

    @property
    def wrong(self) -> list[int]:
        pairs = zip(self.samples, self.answers, strict=True)
        return [index for index, (sample, answer) in enumerate(pairs) if sample.label != answer]


def read_set(path: Path) -> list[Sample]:
    """Raises `OSError`, `KeyError` for a file that is not there, and `ValueError` for what is no such set."""
    if path.is_dir():
        return samples((path / "labels.csv").read_bytes(), lambda name: (path / name).read_bytes())
    try:
        with zipfile.ZipFile(path) as archive:
            return samples(archive.read("labels.csv"), archive.read)
    except (zipfile.BadZipFile, KeyError) as exc:
        raise ValueError(f"{path} is no zip with labels.csv and the files that it names: {exc}") from exc


def samples(table: bytes, read: Callable[[str], bytes]) -> list[Sample]:
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise ValueError("labels.csv must have the columns file and label, and at least one row")
    return [Sample(row["file"], read(row["file"]), row["label"]) for row in rows]


def measure(client: Client, path: Path) -> Measured:
    """Ask about every image of a set, some at a time. Raises what `read_set` does, and `DigitsError`."""
    found = read_set(path)
    predictions: list[Prediction] = []
    started = time.perf_counter()
    for start in range(0, len(found), TOGETHER):
        some = [sample.content for sample in found[start : start + TOGETHER]]
        predictions += client.predict(some, explain=True)
    return Measured(path.stem, found, predictions, time.perf_counter() - started)


def interval(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Wilson 1927)."""
    p, spread = right / n, Z**2 / n
    middle = (p + spread / 2) / (1 + spread)
    reach = Z * math.sqrt(p * (1 - p) / n + spread / (4 * n)) / (1 + spread)
    return middle - reach, middle + reach


def line(item: Measured) -> str:
    """Return one row of the table of sets."""
    n = len(item.samples)
    right = n - len(item.wrong)
    low, high = interval(right, n)
    reasons = Counter(p.error.code if p.error else p.reason for p in item.predictions if p.digit is None)
    none = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "0"
    each = item.seconds / n * 1e3
    return f"| {item.name} | {n:,} | {right / n:.2%} ({low:.1%} to {high:.1%}) | {none} | {each:.1f} ms |"


def confusion(item: Measured) -> str:
    """Return the confusion matrix: a row for each label, a column for each answer."""
    counts = Counter(zip((sample.label for sample in item.samples), item.answers, strict=True))
    labels = sorted({label for label, _ in counts})
    answers = [*map(str, range(10)), NONE]
    rows = [f"{label:>6}" + "".join(f"{counts[label, answer] or '·':>6}" for answer in answers) for label in labels]
    return "\n".join([f"{'':6}" + "".join(f"{answer:>6}" for answer in answers), *rows])


def report(measured: Sequence[Measured]) -> str:
    head = ["| set | images | right (95 % interval) | no digit | time an image |", "| --- | --- | --- | --- | --- |"]
    matrices = [f"\n{item.name}: label, and what was answered\n{confusion(item)}" for item in measured]
    return "\n".join([*head, *map(line, measured), *matrices])


def contact_sheet(measured: Sequence[Measured]) -> Image.Image:
    """Draw what went wrong: each image, and beside it what the network saw."""
    mistakes = [(item, index) for item in measured for index in item.wrong][:MOST_MISTAKES]
    width, height = CELL
    sheet = Image.new("RGB", (COLUMNS * width, max(1, -(-len(mistakes) // COLUMNS)) * height), "white")
    for place, (item, index) in enumerate(mistakes):
        sheet.paste(mistake(item, index), (place % COLUMNS * width, place // COLUMNS * height))
    return sheet


def mistake(item: Measured, index: int) -> Image.Image:
    cell = Image.new("RGB", CELL, "white")
    sample, prediction = item.samples[index], item.predictions[index]
    sure = f"{prediction.confidence:.2f}" if prediction.confidence is not None else ""
    ImageDraw.Draw(cell).text((2, 1), f"{item.name[:9]} {sample.label}: {item.answers[index]} {sure}", fill="black")
    side = CELL[0] // 2 - 2
    if prediction.explanation:
        seen = Image.open(io.BytesIO(base64.b64decode(prediction.explanation["image"])))
        cell.paste(seen.resize((side, side), Image.Resampling.NEAREST), (side + 2, 16))
    try:
        given = Image.open(io.BytesIO(sample.content)).convert("RGB")
    except OSError:  # the service could not read it either
        return cell
    given.thumbnail((side, side))
    cell.paste(given, (0, 16))
    return cell
