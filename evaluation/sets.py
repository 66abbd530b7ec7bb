"""Ask a running service about labelled images, and say how often it is right.

Sets are those of `digits evaluate`, which counts what is right, too. Here several sets stand side by
side, errors in numbers are counted by characters, and mistakes are drawn. Letters are there to be
refused. Knows nothing of how digits are read.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from digits_client import Client, Prediction
from digits_client._evaluate import Evaluation, as_matrix, evaluate, is_number
from digits_client._sets import opened
from trainer.thresholds import auroc

LOOK_ALIKES = set("OoIilSsZzBbgq")  # letters that are left out, for they may well be digits
CELL = (150, 92)  # pixels of one mistake on the contact sheet
COLUMNS = 10
MOST_MISTAKES = 200


@dataclass(frozen=True)
class Measured(Evaluation):
    """What came of one set."""

    name: str
    seconds: float
    pictures: Mapping[int, bytes]  # of the first that are wrong

    @property
    def character_error_rate(self) -> float:
        """How many digits must be put in, taken out or replaced, for each that there is (Levenshtein 1966)."""
        pairs = zip(self.expected, self.answers, strict=True)
        return sum(distance(label, answer) for label, answer in pairs) / sum(map(len, self.expected))


def distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


def measure(client: Client, path: Path) -> Measured:
    """Ask about every image of a set. Raises `OSError`, `ValueError` for what is no set, and `DigitsError`."""
    with opened(path) as samples:
        found = [sample for sample in samples if sample.label not in LOOK_ALIKES]
        if not found:
            raise ValueError(f"{path} has no labels but {', '.join(sorted(LOOK_ALIKES))}, which may well be digits")
        started = time.perf_counter()
        evaluation = evaluate(client, found, explain=True)
        seconds = time.perf_counter() - started
        contents = ((index, found[index].load()) for index in evaluation.wrong[:MOST_MISTAKES])
        pictures = {index: content for index, content in contents if isinstance(content, bytes)}
    return Measured(found, evaluation.given, path.stem, seconds, pictures)


def line(item: Measured) -> str:
    """Return one row of the table of sets."""
    n = len(item.samples)
    low, high = item.interval
    each = item.seconds / n * 1e3
    if item.are_numbers:
        more = f"{item.character_error_rate:.2%} of characters wrong"
    else:
        reasons = (f"{count} {reason}" for reason, count in item.unanswered.most_common())
        more = ", ".join(reasons) or "all answered"
    return f"| {item.name} | {n:,} | {item.accuracy:.2%} ({low:.1%} to {high:.1%}) | {more} | {each:.1f} ms |"


def report(measured: Sequence[Measured]) -> str:
    head = ["| set | images | right (95 % interval) | | time an image |", "| --- | --- | --- | --- | --- |"]
    single = [item for item in measured if not item.are_numbers]
    matrices = [f"\n{item.name}: label, and what was answered\n{as_matrix(item)}" for item in single]
    return "\n".join([*head, *map(line, measured), *told_apart(single), *matrices])


def told_apart(single: Sequence[Measured]) -> list[str]:
    """Say how well presence tells digits from letters."""
    digits, letters = (np.array(presences(single, are_digits)) for are_digits in (True, False))
    if not len(digits) or not len(letters):
        return []
    return [f"\nDigits and letters are told apart by their presence with an AUROC of {auroc(digits, letters):.4f}."]


def presences(measured: Sequence[Measured], are_digits: bool) -> list[float]:
    pairs = ((sample.label, one) for item in measured for sample, one in zip(item.samples, item.given, strict=True))
    return [
        one.presence
        for label, one in pairs
        if isinstance(one, Prediction) and one.presence is not None and is_number(label) == are_digits
    ]


def facts(measured: Sequence[Measured]) -> dict[str, Any]:
    """Return what programs are told, such as `python -m trainer report`: which model answered, and how well."""
    model = measured[0].given[0].model
    return {"model": {"version": model.version, "sha256": model.sha256}, "sets": [facts_of(item) for item in measured]}


def facts_of(item: Measured) -> dict[str, Any]:
    counts = {"name": item.name, "images": len(item.samples), "right": item.right, "seconds": round(item.seconds, 3)}
    if item.are_numbers:
        return counts | {"character_error_rate": item.character_error_rate}
    return counts | {"none": dict(item.unanswered.most_common())}


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
        shown = ImageOps.exif_transpose(Image.open(io.BytesIO(item.pictures[index]))).convert("RGB")
    except (KeyError, OSError):  # an array, or what the service could not read either
        return cell
    shown.thumbnail((CELL[0] - 2 if item.are_numbers else side, side))
    cell.paste(shown, (0, 16))
    return cell
