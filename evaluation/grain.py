"""How faint writing may be, how grainy the picture, and among how many specks; and what is seen on blank paper.

The light is that of a lamp beside the page. Digits are those that the trainer holds out. Runs in this
process, on the model that is served.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from digits import image
from digits.decode import identify
from digits.network import Network
from evaluation import judging
from evaluation.ablation import held_out, text
from evaluation.drawing import enlarged, number
from trainer.dataset import Part

CONTRASTS = (120, 60, 30, 15)  # between ink and paper, of 255
NOISES = (0, 1 / 8, 1 / 4, 1 / 3, 1 / 2)  # standard deviations, of the contrast
BLANK_NOISES = (0, 0.5, 1, 2, 4, 8, 12)  # standard deviations, of 255
SIZES = ((350, 500), (600, 800), (80, 300), (60, 120))  # of blank paper: a photo, a page, a line, a field
LIGHTS = ((0.0, 0.0), (0.2, 0.0), (0.1, 0.06), (0.05, 0.12))  # lost from left to right, and towards the edges
SPECKS = (0, 0.01, 0.02, 0.05, 0.1, 0.2)  # shares of the pixels that become black or white, half each
TALL, LONG = 140, 5  # pixels of a digit alone; digits of a number

Brightness = NDArray[np.float64]  # (h, w), 0...255
Written = tuple[NDArray[np.float64], str]  # how much of each pixel is covered by ink, 0...1, and what it says


def report(reader: Network, count: int) -> str:
    """Return a sentence about blank paper, and tables for so many digits and numbers, and for both among specks."""
    held, random = held_out(), np.random.default_rng(0)
    digits = [some_digit(held, random) for _ in range(count)]
    numbers = [some_number(held, random) for _ in range(count)]
    blank = list(blank_paper())
    inked = sum(image.see(identify(one)).box is not None for one in blank)
    read = sum(bool(text(reader, one)) for one in blank)
    sentence = f"{len(blank)} blank pictures: /predict finds ink in {inked}, /read finds digits in {read}"
    tables = [table("one digit", digits, lambda one: digit_in(reader, one))]
    tables.append(table("a number", numbers, lambda one: text(reader, one)))
    alone = [(held.pixels[chosen] / 255, str(held.labels[chosen])) for chosen in random.integers(len(held), size=count)]
    return "\n\n".join([sentence, *tables, among_specks(reader, alone, numbers)])


def table(name: str, written: Sequence[Written], read: Callable[[bytes], str]) -> str:
    """Return the percentage that is read correctly, by contrast and noise."""
    heads = ["0", *(f"1/{round(1 / noise)}" for noise in NOISES[1:])]
    lines = [f"| {name}: contrast | " + " | ".join(f"noise {head}" for head in heads) + " |", "| --- " * 6 + "|"]
    for contrast in CONTRASTS:
        shares = [share_right(written, contrast, noise * contrast, read) for noise in NOISES]
        lines.append(f"| {contrast} | " + " | ".join(f"{share:.0f}" for share in shares) + " |")
    return "\n".join(lines)


def share_right(written: Sequence[Written], contrast: float, noise: float, read: Callable[[bytes], str]) -> float:
    random = np.random.default_rng(0)
    seen = [(light(covered.shape, *LIGHTS[2]) - contrast * covered, label) for covered, label in written]
    return float(100 * np.mean([read(photo(values, noise, random, "JPEG")) == label for values, label in seen]))


def among_specks(reader: Network, digits: Sequence[Written], numbers: Sequence[Written]) -> str:
    """Return the percentage that is read correctly in two colours, by the share of specks."""
    smaller = [(np.asarray(Image.fromarray(np.float32(covered)).reduce(3)), label) for covered, label in numbers]
    heads = " | ".join(f"{share:.0%}" for share in SPECKS)
    lines = [f"| specks | {heads} |", "| --- " * (1 + len(SPECKS)) + "|"]
    for name, written, read in (
        ("a digit, 20 pixels tall", digits, digit_in),
        ("a number, 40 pixels tall", smaller, text),
    ):
        shares = [
            np.mean([read(reader, scan(covered, share)) == label for covered, label in written]) for share in SPECKS
        ]
        lines.append(f"| {name} | " + " | ".join(f"{100 * share:.0f}" for share in shares) + " |")
    return "\n".join(lines)


def scan(covered: NDArray[np.floating], share: float) -> bytes:
    """Return a PNG in two colours, a share of whose pixels are black or white by chance."""
    chance = np.random.default_rng(0).random(covered.shape)
    white = (chance >= share / 2) & ((chance > 1 - share / 2) | (covered < 0.5))
    return image.as_png(np.uint8(255) * white)


def digit_in(reader: Network, content: bytes) -> str:
    return str(judging.read(reader, [image.see(identify(content))])[0])


def some_digit(held: Part, random: Generator) -> Written:
    chosen = random.integers(len(held))
    covered = np.zeros((300, 400))
    covered[80 : 80 + TALL, 130 : 130 + TALL] = enlarged(held.pixels[chosen], TALL)
    return covered, str(held.labels[chosen])


def some_number(held: Part, random: Generator) -> Written:
    chosen = random.integers(len(held), size=LONG)
    paper = np.pad(number(list(held.pixels[chosen]), random)[..., 0], 60, mode="edge")
    return (paper.max() - paper) / np.ptp(paper), "".join(map(str, held.labels[chosen]))


def blank_paper() -> Iterator[bytes]:
    """Yield blank pictures in each light, with each noise, as PNG and as JPEG."""
    random = np.random.default_rng(0)
    for size in SIZES:
        for lost in LIGHTS:
            for noise in BLANK_NOISES:
                for kind in ("PNG", "JPEG"):
                    yield photo(light(size, *lost), noise, random, kind)


def light(size: tuple[int, ...], aside: float, outwards: float) -> Brightness:
    """Return how bright paper is that loses these shares of its light from left to right, and from middle to edges."""
    y, x = np.linspace(-1, 1, size[0])[:, np.newaxis], np.linspace(-1, 1, size[1])
    return np.asarray(235 * (1 - aside * (x + 1) / 2 - outwards * (x * x + y * y)))


def photo(brightness: Brightness, noise: float, random: Generator, kind: str) -> bytes:
    """Add normal noise of a standard deviation, and encode."""
    values = brightness + random.normal(0, noise, brightness.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(file, kind, quality=85)
    return file.getvalue()
