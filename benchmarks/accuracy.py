"""Ask a running service about labelled images, and say how often it is right.

A set is a zip or a folder that holds `labels.csv` (columns `file` and `label`) and the files it
names. Where a label has more than one digit, the set is read as numbers. What the service gives no
digit for counts as wrong, unless the label is a letter: then it is right. Knows nothing of how
digits are read.
"""

from __future__ import annotations

import base64
import csv
import io
import math
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps

from digits_client import Client, Prediction, Reading

TOGETHER = 50  # images in a request, of
MOST_BYTES = 8 << 20
NONE = "–"  # in place of a digit
LOOK_ALIKES = set("OoIilSsZzBbgq")  # letters that are left out, for they may well be digits
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
    given: Sequence[Prediction] | Sequence[Reading]
    seconds: float

    @property
    def are_numbers(self) -> bool:
        return isinstance(self.given[0], Reading)

    @property
    def answers(self) -> list[str]:
        return [answer_of(item) for item in self.given]

    @property
    def expected(self) -> list[str]:
        return [sample.label if sample.label.isdigit() else NONE for sample in self.samples]

    @property
    def wrong(self) -> list[int]:
        pairs = zip(self.expected, self.answers, strict=True)
        return [index for index, (label, answer) in enumerate(pairs) if label != answer]

    @property
    def character_error_rate(self) -> float:
        """How many digits must be put in, taken out or replaced, for each that there is (Levenshtein 1966)."""
        pairs = zip(self.expected, self.answers, strict=True)
        return sum(distance(label, answer) for label, answer in pairs) / sum(map(len, self.expected))


def answer_of(given: Prediction | Reading) -> str:
    if isinstance(given, Reading):
        return given.text or NONE
    return NONE if given.digit is None else str(given.digit)


def distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


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
    found = [sample for sample in read_set(path) if sample.label not in LOOK_ALIKES]
    are_numbers = any(len(sample.label) > 1 for sample in found)
    given: list[Any] = []
    started = time.perf_counter()
    for some in requests(found):
        given += client.read(some) if are_numbers else client.predict(some, explain=True)
    return Measured(path.stem, found, given, time.perf_counter() - started)


def requests(found: Sequence[Sample]) -> Iterator[list[bytes]]:
    """Return what is asked together: some files, of no more bytes than a service takes."""
    some: list[bytes] = []
    for sample in found:
        if some and (len(some) == TOGETHER or sum(map(len, some)) + len(sample.content) > MOST_BYTES):
            yield some
            some = []
        some.append(sample.content)
    yield some


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
    each = item.seconds / n * 1e3
    if item.are_numbers:
        more = f"{item.character_error_rate:.2%} of characters wrong"
    else:
        more = none_of([one for one in item.given if isinstance(one, Prediction) and one.digit is None])
    return f"| {item.name} | {n:,} | {right / n:.2%} ({low:.1%} to {high:.1%}) | {more} | {each:.1f} ms |"


def none_of(given: Sequence[Prediction]) -> str:
    """Return for what reasons there are how many answers without a digit."""
    reasons = Counter(one.error.code if one.error else one.reason for one in given)
    return ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "all answered"


def confusion(item: Measured) -> str:
    """Return the confusion matrix: a row for each label, a column for each answer."""
    counts = Counter(zip((sample.label for sample in item.samples), item.answers, strict=True))
    labels = sorted({label for label, _ in counts})
    answers = [*map(str, range(10)), NONE]
    rows = [f"{label:>6}" + "".join(f"{counts[label, answer] or '·':>6}" for answer in answers) for label in labels]
    return "\n".join([f"{'':6}" + "".join(f"{answer:>6}" for answer in answers), *rows])


def report(measured: Sequence[Measured]) -> str:
    head = ["| set | images | right (95 % interval) | | time an image |", "| --- | --- | --- | --- | --- |"]
    single = [item for item in measured if not item.are_numbers]
    matrices = [f"\n{item.name}: label, and what was answered\n{confusion(item)}" for item in single]
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
    sample, given = item.samples[index], item.given[index]
    sure = f"{given.confidence:.2f}" if given.confidence is not None else ""
    says = f"{sample.label}: {item.answers[index]} {sure}"
    ImageDraw.Draw(cell).text((2, 1), says if item.are_numbers else f"{item.name[:9]} {says}", fill="black")
    side = CELL[0] // 2 - 2
    if isinstance(given, Prediction) and given.explanation:
        seen = Image.open(io.BytesIO(base64.b64decode(given.explanation["image"])))
        cell.paste(seen.resize((side, side), Image.Resampling.NEAREST), (side + 2, 16))
    try:
        shown = ImageOps.exif_transpose(Image.open(io.BytesIO(sample.content))).convert("RGB")
    except OSError:  # the service could not read it either
        return cell
    shown.thumbnail((CELL[0] - 2 if item.are_numbers else side, side))
    cell.paste(shown, (0, 16))
    return cell
