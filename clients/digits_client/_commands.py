"""What each command asks, prints and returns. Knows nothing of how its options were written."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from digits_client import _evaluate
from digits_client._annotate import annotate, check_format
from digits_client._answers import Line, Prediction, Reading
from digits_client._client import Client
from digits_client._evaluate import Evaluation, answer_of, as_matrix
from digits_client._images import ImageLike, find
from digits_client._output import Row, as_csv, as_table, followed, harmless
from digits_client._sets import opened

T = TypeVar("T", Prediction, Reading)

PREDICTED = ("image", "digit", "confidence", "note")
READ = ("image", "line", "text", "fits", "confidence", "note")
MISTAKEN = ("image", "label", "answer", "confidence", "note")
FIELDS = ("name", "value")
EVALUATED = ("image", "label", "answer", "confidence", "note", "right")


def predict(client: Client, options: Namespace) -> int:
    named = answered(options.images, partial(client.predict_each, threshold=options.threshold))
    rows = [(name, one.digit, one.confidence, note_of(one)) for name, one in named]
    print_as(options, PREDICTED, rows, [asdict(one) | {"name": name} for name, one in named])
    return int(any(one.error for _, one in named))


def read(client: Client, options: Namespace) -> int:
    if options.annotate:
        check_annotated(options)
    wished = {name: getattr(options, name) for name in ("expect", "pattern", "boxes", "threshold")}
    named = answered(options.images, partial(client.read_each, **wished))
    rows = [(name, *row) for name, one in named for row in rows_of(one)]
    print_as(options, READ, rows, [asdict(one) | {"name": name} for name, one in named])
    for name, one in named if options.annotate else ():
        if not one.error:
            annotate(name, one, options.annotate)
    return int(not all(is_whole(one) for _, one in named))


def check_annotated(options: Namespace) -> None:
    """Raise `ValueError` before anything is asked if its answer could not be drawn."""
    names, out = find(options.images[0]), Path(options.annotate)
    if len(names) > 1:
        raise ValueError("--annotate takes one image, and this is a folder or pattern of several")
    if out.exists() and Path(names[0]).exists() and out.samefile(names[0]):
        raise ValueError(f"{out} is the image itself, which would be lost; --annotate takes another name for the copy")
    check_format(options.annotate)


def answered(arguments: Sequence[str], ask: Callable[[Iterator[ImageLike]], Iterator[T]]) -> list[tuple[str, T]]:
    """Return the answer to each image that arguments stand for, with its name as it was given."""
    names = [name for argument in arguments for name in ([argument] if argument == "-" else find(argument))]
    images: Iterator[ImageLike] = (sys.stdin.buffer if name == "-" else name for name in names)
    return list(zip(names, followed(ask(images), len(names), sys.stderr), strict=True))


def note_of(one: Prediction | Reading) -> str | None:
    if one.error:
        return one.error.message
    return one.reason if isinstance(one, Prediction) else None


def rows_of(one: Reading) -> list[Row]:
    """Return a row for each line of digits, the first of which is number 1."""
    if one.error or not one.lines:
        return [(None, None, None, None, note_of(one) or "no digits")]
    return [(at, line.text, line.fits, line.confidence, note_of_line(line)) for at, line in enumerate(one.lines, 1)]


def note_of_line(line: Line) -> str | None:
    """Say why a line is not what was hoped for."""
    notes = ["does not fit"] if line.fits is False else []
    notes += ["doubtful"] if "?" in line.text else []
    return ", ".join(notes) or None


def is_whole(one: Reading) -> bool:
    """Tell whether all of an image was read, and as it was expected."""
    return one.error is None and all(line.fits is not False and "?" not in line.text for line in one.lines)


def health(client: Client, options: Namespace) -> int:
    if options.wait is not None:
        client.wait_until_ready(options.wait)
    state = client.health()
    fields = {
        "status": "ok" if state.ok else "unavailable",
        "model": state.model and state.model.version,
        "reason": state.reason,
        "uptime": f"{state.uptime:.0f} s",
    }
    print_as(options, FIELDS, list(fields.items()), asdict(state))
    return int(not state.ok)


def model(client: Client, options: Namespace) -> int:
    manifest = client.model()
    print_as(options, FIELDS, list(flat(manifest)), manifest)
    return 0


def flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    """Yield the names and values in a manifest; of lists only how long they are."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, f"{len(value)} entries" if isinstance(value, list) else value


def evaluate(client: Client, options: Namespace) -> int:
    with opened(Path(options.set)) as samples:
        follow = partial(followed, out=sys.stderr)
        found = _evaluate.evaluate(client, samples, follow, threshold=options.threshold)
    if options.csv:
        wrong = set(found.wrong)
        print(as_csv(EVALUATED, [(*row_of(found, at), at not in wrong) for at in range(len(samples))]))
    elif options.json:
        print(as_json(summary(found, options.worst)))
    else:
        print(report(found, options.worst))
    if found.accuracy < options.at_least:
        right = f"{found.right:,} of {len(samples):,} right"
        print(f"digits: {right} are less than the share of {options.at_least:g} in --at-least", file=sys.stderr)
        return 1
    return 0


def row_of(found: Evaluation, index: int) -> Row:
    sample, one = found.samples[index], found.given[index]
    return sample.name, sample.label, answer_of(one), one.confidence, note_of(one)


def report(found: Evaluation, worst: int) -> str:
    low, high = found.interval
    count = f"{found.right:,} of {len(found.samples):,} right"
    parts = [f"{count}, {found.accuracy:.2%} (95 % interval {low:.2%} to {high:.2%})"]
    reasons = ", ".join(f"{count:,} {harmless(reason)}" for reason, count in found.unanswered.most_common())
    parts += [f"without an answer: {reasons}"] if reasons else []
    parts += [] if found.are_numbers else [f"\nlabels, and what was answered:\n{as_matrix(found)}"]
    rows = [row_of(found, index) for index in found.worst[:worst]]
    parts += [f"\nmistakes, the surest first:\n{as_table(MISTAKEN, rows)}"] if rows else []
    return "\n".join(parts)


def summary(found: Evaluation, worst: int) -> dict[str, Any]:
    """Return what a report says, for programs."""
    confusion: dict[str, dict[str, int]] = {}
    for (label, answer), count in sorted(found.confusion.items()):
        confusion.setdefault(label, {})[answer] = count
    return {
        "images": len(found.samples), "right": found.right, "accuracy": found.accuracy, "interval": found.interval,
        "unanswered": found.unanswered, "model": asdict(found.given[0].model),
        "confusion": None if found.are_numbers else confusion,
        "mistakes": [dict(zip(MISTAKEN, row_of(found, index), strict=True)) for index in found.worst[:worst]],
    }  # fmt: skip


def print_as(options: Namespace, head: Sequence[str], rows: Sequence[Row], value: object) -> None:
    """Print rows as a table or CSV, or a value as JSON, whichever was asked for."""
    if options.json:
        print(as_json(value))
    else:
        print((as_csv if options.csv else as_table)(head, rows))


def as_json(value: object) -> str:
    return json.dumps(value, indent=1)
