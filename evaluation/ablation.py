"""What each step of reading a picture gives: the same pictures, with one step left out at a time.

Runs in this process, on the model that is served: sets of labelled images, and digits that the trainer
holds out for validation, drawn in the surroundings, and in the forms, of `evaluation.drawing`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image, ImageOps

from digits import cuts, grey, image, ink, lattice, reading, rows, sheet, strokes
from digits.decode import decode, identify
from digits.network import Network
from digits.resampling import area_weights
from digits_client._sets import opened
from evaluation import judging
from evaluation.drawing import FORMS, PANELS, SURROUNDINGS, Paper, cut_out, filled_in, picture, written
from trainer import dataset
from trainer.config import Config
from trainer.dataset import Part

DRAWN = 500  # digits in each of the surroundings
NUMBERS, LONG = 100, 6  # so many numbers of so many digits in each of the forms, and on blank paper
LEAST = 0.05  # points, below which a difference is rounded away

Picture = tuple[Image.Image, int]
Sample = tuple[bytes, str]  # a file, and its label
StandIn = tuple[Any, str, Any]  # where, what, and what does nothing in its place

WITHOUT: dict[str, StandIn] = {
    "panels": (image, "panels_of_digits", lambda array: []),
    "grey by contrast": (grey, "contrast", lambda colours: colours @ np.array([0.299, 0.587, 0.114], np.float32)),
    "paper around each pixel": (image, "ink", ink.differing),
    "light from one side": (ink, "level", lambda array: array),
    "thin is ink": (ink, "thin_is_dark", lambda array: ink.differing(array, ink.even_paper(array))[1]),
    "as strong in shadow": (ink, "absorbed", ink.standing_out),
    "edges": (strokes, "without_edges", lambda mask: (mask, 0)),
    "lines": (strokes, "without_lines", lambda mask: (mask, 0)),
    "sloping lines": (strokes, "SLOPES", (0.0,)),
    "dashes": (strokes, "DASH", 0.0),
    "circles and frames": (strokes, "rings", lambda labels, parts: []),
    "all of what is cut out": (image, "whole_if_cut_out", lambda array, paper, all_ink, usual: None),
    "neighbours": (strokes, "belongs", lambda part, main, shape: True),
    "thin strokes": (image, "thicken", lambda strokes, mask: strokes),
    "full ink": (image, "brighten", lambda box: box * np.float32(255 / max(box.max(), 1e-6))),
    "a closer look": (image, "FINE", 0),
    "proportions": (image, "narrowed", lambda strokes: strokes),
    "small ones enlarged": (image, "CUT_OUT", ink.SMALL),
    "what hangs together": (ink, "parted_paper", lambda array: None),
    "corners": (ink, "corner_paper", lambda array: None),
    "between pixels": (image, "cubic_weights", area_weights),
    "the whole": (image, "shrunk", lambda array: None),
}
WITHOUT_FOR_NUMBERS: dict[str, StandIn] = {
    "panels": (sheet, "ink_with_panels", ink.ink_on_sheet),
    "forms": (sheet, "without_frames", lambda mask: mask),
    "circles": (strokes, "rings", lambda labels, parts: []),
    "all of what is cut out": (sheet, "is_cut_out", lambda mask: False),
    "ruled lines": (sheet, "without_rules", lambda mask: mask),
    "rows made level": (rows, "slope", lambda parts, row: 0.0),
    "enlarged": (rows, "SMALL", 0),
    "cuts through ink": (cuts, "DEAREST", -1.0),
    "slanted cuts": (cuts, "SLANTS", (0.0,)),
    "cost of cuts": (lattice, "CUT", 0.0),
    "cost of shapes": (lattice, "strangeness", lambda candidate: 0.0),
}


def ablate(reader: Network, sets: Sequence[Path]) -> str:
    """Return tables: accuracy of each set in percent, and how many points of it go without each step."""
    found = {path.stem: read_set(path) for path in sets}
    numbers = {name: samples for name, samples in found.items() if any(len(label) > 1 for _, label in samples)}
    single = {name: labelled(samples) for name, samples in found.items() if name not in numbers} | drawn()
    numbers |= in_forms()
    tables = [table(WITHOUT, single, partial(share_right, reader))]
    tables.append(table(WITHOUT_FOR_NUMBERS, numbers, partial(share_read, reader)))
    return "\n\n".join(tables)


def table(without: Mapping[str, StandIn], material: Mapping[str, Any], share: Callable[[Any], float]) -> str:
    whole = {name: share(some) for name, some in material.items()}
    lines = ["| | right, % |", "| --- | --- |", *(f"| {name} | {right:.1f} |" for name, right in whole.items())]
    lines += ["", "| without | costs, in points |", "| --- | --- |"]
    for step, (where, what, instead) in without.items():
        with mock.patch.object(where, what, instead):
            lost = {name: right - share(material[name]) for name, right in whole.items()}
        lines.append(f"| {step} | {costs(lost)} |")
    return "\n".join(lines)


def costs(lost: Mapping[str, float]) -> str:
    """Say where something is lost or gained, most first."""
    told = sorted(((points, name) for name, points in lost.items() if abs(points) >= LEAST), reverse=True)
    return ", ".join(f"{name} {points:.1f}" for points, name in told) or "nothing here"


def read_set(path: Path) -> list[Sample]:
    with opened(path) as samples:
        return [(bytes(sample.load()), sample.label) for sample in samples]


def labelled(samples: Sequence[Sample]) -> list[Picture]:
    return [(decode(identify(content)).image, int(label)) for content, label in samples]


def in_forms() -> dict[str, list[Sample]]:
    held, random = held_out(), np.random.default_rng(0)
    chosen = random.choice(len(held), (NUMBERS, LONG), replace=False)
    numbers = [(filled_in(held.pixels[some], random), "".join(map(str, held.labels[some]))) for some in chosen]
    plain = {"blank_paper": [(as_png(paper), label) for paper, label in numbers]}
    plain["cut_out"] = [(as_png(cut_out(paper)), label) for paper, label in numbers]
    forms = {
        name: [(as_png(form(paper.copy())), label) for paper, label in numbers]
        for name, form in (FORMS | PANELS).items()
    }
    return plain | forms


def as_png(paper: Paper) -> bytes:
    file = io.BytesIO()
    picture(paper).save(file, "PNG")
    return file.getvalue()


def held_out() -> Part:
    return dataset.load(None, validation=Config().validation).validation


def drawn() -> dict[str, list[Picture]]:
    held, random = held_out(), np.random.default_rng(0)
    chosen = random.choice(len(held), DRAWN, replace=False)
    digits, labels = held.pixels[chosen], held.labels[chosen].tolist()
    alone, in_cells = [written(pixels) for pixels in digits], [filled_in([pixels], random) for pixels in digits]
    papers = dict.fromkeys(SURROUNDINGS, alone) | dict.fromkeys(PANELS, in_cells)
    found = {
        name: [(picture(around(paper.copy())), label) for paper, label in zip(papers[name], labels, strict=True)]
        for name, around in (SURROUNDINGS | PANELS).items()
    }
    in_turn = [found[name][at] for at, name in zip(range(DRAWN), cycle(SURROUNDINGS))]
    return found | {"small": shrunk(in_turn, 36), "tiny": shrunk(found["cut_out"], 12)}


def shrunk(pictures: Sequence[Picture], side: int) -> list[Picture]:
    """Return what is seen of pictures in so many pixels on the longest side."""
    return [(ImageOps.contain(one, (side, side), Image.Resampling.BOX), label) for one, label in pictures]


def share_right(reader: Network, pictures: Sequence[Picture]) -> float:
    found = judging.read(reader, [image.look(one) for one, _ in pictures])
    return float(100 * np.mean(np.equal(found, [label for _, label in pictures])))


def share_read(reader: Network, samples: Sequence[Sample]) -> float:
    return float(100 * np.mean([text(reader, content) == label for content, label in samples]))


def text(reader: Network, content: bytes) -> str:
    found = reading.survey(identify(content))
    lines = found.lines(reader.judge(found.pixels())) if found.count else []
    return "\n".join("".join(str(digit.digit) for digit in line.digits) for line in lines)
