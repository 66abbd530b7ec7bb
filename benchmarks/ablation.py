"""What each step of reading a picture gives: the same pictures, with one step left out at a time.

Runs in this process, on the published model: sets of labelled images, and MNIST's test digits
drawn in the surroundings of `benchmarks.drawing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from benchmarks.accuracy import read_set
from benchmarks.drawing import SURROUNDINGS, picture, written
from benchmarks.material import MNIST
from digits import bundle, grey, image, ink, network, strokes
from digits.decode import decode, identify
from digits.network import Network

DRAWN = 500  # digits in each of the surroundings
AT_ONCE = 200  # images in one run of the network

Picture = tuple[Image.Image, int]
StandIn = tuple[Any, str, Any]  # where, what, and what does nothing in its place

WITHOUT: dict[str, StandIn] = {
    "grey by contrast": (grey, "contrast", lambda colours: colours @ np.array([0.299, 0.587, 0.114], np.float32)),
    "paper around each pixel": (image, "ink", ink.differing),
    "light from one side": (ink, "level", lambda array: array),
    "thin is ink": (ink, "thin_is_dark", lambda array: ink.differing(array)[1]),
    "as strong in shadow": (ink, "absorbed", ink.standing_out),
    "edges": (strokes, "without_edges", lambda mask: (mask, 0)),
    "lines": (strokes, "without_lines", lambda mask: (mask, 0)),
    "neighbours": (strokes, "belongs", lambda part, main, shape: True),
    "thin strokes": (image, "thicken", lambda strokes, mask: strokes),
    "full ink": (image, "brighten", lambda box: box * np.float32(255 / max(box.max(), 1e-6))),
    "a closer look": (image, "FINE", 0),
}


def ablate(models: Path, sets: Sequence[Path]) -> str:
    """Return a table: accuracy of each set in percent, with everything and without each step."""
    reader = network.load(bundle.read_current(models).h5)
    material = {path.stem: labelled(path) for path in sets} | drawn()
    rows = [row("everything", reader, material)]
    for name, (where, what, instead) in WITHOUT.items():
        with mock.patch.object(where, what, instead):
            rows.append(row(f"without: {name}", reader, material))
    head = ["| | " + " | ".join(material) + " |", "| --- |" + " --- |" * len(material)]
    return "\n".join([*head, *rows])


def labelled(path: Path) -> list[Picture]:
    return [(decode(identify(sample.content)), int(sample.label)) for sample in read_set(path)]


def drawn() -> dict[str, list[Picture]]:
    with np.load(MNIST) as archive:
        digits = list(zip(archive["x_test"][:DRAWN], archive["y_test"][:DRAWN].tolist(), strict=True))
    return {
        name: [(picture(surround(written(pixels))), label) for pixels, label in digits]
        for name, surround in SURROUNDINGS.items()
    }


def row(name: str, reader: Network, material: Mapping[str, Sequence[Picture]]) -> str:
    shares = [f"{share_right(reader, pictures):.1f}" for pictures in material.values()]
    return f"| {name} | " + " | ".join(shares) + " |"


def share_right(reader: Network, pictures: Sequence[Picture]) -> float:
    pixels = np.stack([image.normalise(one) for one, _ in pictures])
    answers = [reader(pixels[start : start + AT_ONCE]).argmax(1) for start in range(0, len(pixels), AT_ONCE)]
    return float(100 * np.mean(np.concatenate(answers) == [label for _, label in pictures]))
