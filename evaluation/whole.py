"""How often digits are read that something lies upon, or that fill their picture: by the first look, and by both.

The digits are MNIST's that the trainer holds out, and those of sets, cut out along their ink. Letters among these are
there to be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from digits import image
from digits.decode import decode, identify
from digits.image import Pixels, Sight
from digits.ink import edges
from digits.judgements import DIGITS, PRESENCE, Judgements
from digits.network import Network
from digits.sizes import SIDE
from evaluation.ablation import held_out, read_set
from evaluation.judging import judge
from evaluation.sets import LOOK_ALIKES

STRETCHED = 50  # pixels, to which a digit without paper around is stretched
INK = 100  # of 255, from which on a pixel counts as ink where a picture is cut out
EACH = 500  # images of a set

Spoil = Callable[[Pixels, Generator], Pixels]


def haze(pixels: Pixels, random: Generator) -> Pixels:
    """Let clouds lie over the digit, nearly as bright as it is."""
    clouds = np.zeros((SIDE, SIDE))
    for side, weight in ((2, 4), (4, 2), (8, 1)):
        clouds += weight * enlarged(random.random((side, side)))
    clouds -= clouds.min()
    return as_pixels((pixels / 255 + clouds / clouds.max()) / 1.5 * 255)


def splashes(pixels: Pixels, random: Generator) -> Pixels:
    """Let drops of ink cover a fourteenth of the picture."""
    wet = Image.fromarray(as_pixels(255 * random.random(pixels.shape))).filter(ImageFilter.GaussianBlur(1.3))
    strength = np.asarray(wet, float)
    return as_pixels(pixels + 12 * np.maximum(strength - np.quantile(strength, 13 / 14), 0))


def stripe(pixels: Pixels, random: Generator) -> Pixels:
    """Invert a stripe of three pixels, leaning by up to 29 degrees."""
    middle, lean = random.uniform(4, 24), 14 * np.sin(random.uniform(-0.6, 0.6))
    return np.where(line([(middle - lean, 0), (middle + lean, SIDE)], 3), 255 - pixels, pixels)


def zigzag(pixels: Pixels, random: Generator) -> Pixels:
    """Draw a zigzag of one pixel from left to right."""
    start, end = random.uniform(6, 22, 2)
    corners = [(3.5 * at, start + (end - start) * at / 8 + (2.5 if at % 2 else -2.5)) for at in range(9)]
    return np.where(line(corners, 1), np.uint8(255), pixels)


def stretched(pixels: Pixels, random: Generator) -> Pixels:
    """Let the digit fill the picture, at the cost of its proportions."""
    return filling(pixels, SIDE)


SPOILT: dict[str, Spoil] = {
    "haze": haze, "splashes": splashes, "a stripe": stripe, "a zigzag": zigzag, "stretched to 28 x 28": stretched,
}  # fmt: skip


def report(reader: Network, threshold: float, count: int, paths: Sequence[Path]) -> str:
    """Return a table: what is answered correctly of both; of letters, no digit at all is correct."""
    held, random = held_out(), np.random.default_rng(0)
    chosen = random.choice(len(held), count, replace=False)
    digits, labels = held.pixels[chosen], [str(label) for label in held.labels[chosen]]
    found = {f"MNIST, {name}": ([spoil(one, random) for one in digits], labels) for name, spoil in SPOILT.items()}
    found |= {f"{path.stem}, {STRETCHED} x {STRETCHED}": cut_out(path) for path in paths}
    lines = ["| | by the first look, % | by both, % |", "| --- | --- | --- |"]
    for name, (pictures, expected) in found.items():
        first, both = (100 * share for share in shares_right(reader, threshold, pictures, expected))
        lines.append(f"| {name} | {first:.1f} | {both:.1f} |")
    return "\n".join(lines)


def shares_right(
    reader: Network, threshold: float, pictures: Sequence[Pixels], expected: Sequence[str]
) -> tuple[float, float]:
    sights = [image.look(Image.fromarray(one)) for one in pictures]
    first = answers(reader.judge(np.stack([sight.pixels for sight in sights])), sights, threshold)
    both = answers(*judge(reader, sights), threshold)
    return float(np.mean(np.equal(first, expected))), float(np.mean(np.equal(both, expected)))


def answers(judgements: Judgements, sights: Sequence[Sight], threshold: float) -> list[str]:
    """Return the digit of each picture, or nothing where there is none, or there are several."""
    return [
        "" if row[PRESENCE] < threshold or sight.others else str(row[DIGITS].argmax())
        for row, sight in zip(judgements, sights, strict=True)
    ]


def cut_out(path: Path) -> tuple[list[Pixels], list[str]]:
    """Return some pictures of a set without paper around, bright on dark; and what is to be answered."""
    samples = [(content, label) for content, label in read_set(path) if label not in LOOK_ALIKES]
    some = np.random.default_rng(0).permutation(len(samples))[:EACH]
    pictures = [filling(bright(decode(identify(samples[at][0])).image), STRETCHED) for at in some]
    return pictures, [samples[at][1] if samples[at][1].isdigit() else "" for at in some]


def bright(picture: Image.Image) -> Pixels:
    """Return a picture with ink brighter than its paper, which is most of its border."""
    pixels = np.asarray(picture.convert("L"))
    return 255 - pixels if np.median(edges(pixels)) > 127 else pixels


def filling(pixels: Pixels, side: int) -> Pixels:
    """Cut a digit out along its ink, and stretch it to a square."""
    top, bottom, left, right = image.bounds(pixels > INK)
    ink = Image.fromarray(pixels[top:bottom, left:right])
    return np.asarray(ink.resize((side, side), Image.Resampling.BICUBIC))


def line(points: Sequence[tuple[float, float]], width: int) -> NDArray[np.bool_]:
    paper = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(paper).line(points, fill=1, width=width)
    return np.asarray(paper) > 0


def enlarged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC), float)


def as_pixels(values: NDArray[np.float64]) -> Pixels:
    return np.asarray(np.clip(values, 0, 255), np.uint8)
