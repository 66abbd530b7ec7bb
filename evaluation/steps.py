"""Draw the way from pictures to pixels, step by step, as `digits.image` and `digits.reading` go it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits import image
from digits.cuts import FREE, cheapest_paths, cut
from digits.grey import Grey, grey
from digits.lattice import beliefs, best_reading
from digits.network import Network
from digits.rows import Row, find_rows, sized
from digits.sheet import ink_of, without_print

SIDE = 112  # pixels of each step
WIDTH = 480  # pixels of each step of numbers
GAP = 4
THROUGH_INK, THROUGH_PAPER = (230, 60, 40), (60, 190, 90)  # colours of cuts


def draw(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return a column for each picture: itself, its ink, its ink above the threshold, the digit's, the 28 x 28."""
    columns = [steps(picture) for picture in pictures]
    height, width = (len(columns[0]) * (SIDE + GAP), len(columns) * (SIDE + GAP))
    sheet = Image.new("RGB", (width - GAP, height - GAP), "white")
    for x, column in enumerate(columns):
        for y, step in enumerate(column):
            scaled = step.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)
            sheet.paste(scaled, (x * (SIDE + GAP), y * (SIDE + GAP)))
    return sheet


def steps(picture: Image.Image) -> list[Image.Image]:
    seen = grey(picture, side=image.LOOK)
    found = image.find_ink(seen)
    shown: list[NDArray[Any]] = [
        found.strength * (255 / max(float(found.strength.max()), 1.0)),
        found.mask * 255,
        found.choice.mask * 255,
        image.look(picture).pixels,
    ]
    return [picture, *(Image.fromarray(np.clip(array, 0, 255).astype(np.uint8)) for array in shown)]


def draw_numbers(pictures: Sequence[Image.Image], network: Network) -> Image.Image:
    """Return a column for each picture: itself, its ink, that of the pen alone, rows with cuts, what was chosen."""
    columns = [[fitted(step) for step in steps_of_numbers(picture, network)] for picture in pictures]
    height = max(sum(step.height + GAP for step in column) for column in columns)
    sheet = Image.new("RGB", (len(columns) * (WIDTH + GAP) - GAP, height - GAP), "white")
    for x, column in enumerate(columns):
        y = 0
        for step in column:
            sheet.paste(step, (x * (WIDTH + GAP), y))
            y += step.height + GAP
    return sheet


def fitted(step: Image.Image) -> Image.Image:
    return step.convert("RGB").resize((WIDTH, max(1, step.height * WIDTH // step.width)))


def steps_of_numbers(picture: Image.Image, network: Network) -> list[Image.Image]:
    ink = ink_of(sized(picture)[0])
    shown = [as_image(ink.strength / ink.full), as_image(without_print(ink.mask))]
    rows = [step for row in find_rows(picture).rows for step in (with_cuts(row), chosen(row, network))]
    return [picture, *shown, *rows]


def with_cuts(row: Row) -> Image.Image:
    """Draw the cuts of a row, those through ink in another colour."""
    colours = np.repeat(np.asarray(as_image(row.ink))[..., np.newaxis], 3, 2)
    for path, cost in zip(*cheapest_paths(row), strict=True):
        colour = THROUGH_INK if cost > FREE else THROUGH_PAPER
        colours[np.arange(len(path)), np.clip(path, 0, row.ink.shape[1] - 1)] = colour
    return Image.fromarray(colours)


def chosen(row: Row, network: Network) -> Image.Image:
    """Return what the network saw of the digits that were chosen, side by side."""
    cuts = cut(row).cuts()
    tokens = best_reading(cuts, beliefs(network.judge(cuts.pixels))) or []
    seen = [cuts.pixels[token.candidate] for token in tokens if token.candidate is not None]
    return Image.fromarray(np.concatenate(seen, axis=1) if seen else np.zeros((28, 28), np.uint8))


def as_image(array: Grey | NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray((np.clip(array, 0, 1) * 255).astype(np.uint8))
