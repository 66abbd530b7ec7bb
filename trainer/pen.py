"""Draw digits, and what is none, as a pen would, each time by another hand.

MNIST was written by Americans in the 1980s: its 1 is a bar, its 7 has no stroke through it. The
digits of this table are of the other kinds too. Drawings are (h, w) floats in 0...255, ink bright,
until they are brought to MNIST's geometry. All chance comes from the generator that is given.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from digits import image
from digits.image import Pixels

Points = NDArray[np.float64]  # (n, 2): x and y
Drawing = NDArray[np.float32]  # (h, w) in 0...255

# Strokes as points "xy" on a grid of 5 columns, beyond which a bar may go, and 9 rows: 0 the top of a capital, 6 the
# line, 8 below it. A stroke with `~` is a curve. Letters that are digits to many eyes are left out: B b g I i l O o q S
# s Z z.
LETTERS: dict[str, tuple[str, ...]] = {
    "A": ("06 20 46", "14 34"), "C": ("~41 20 02 04 26 45",), "D": ("00 06", "~00 20 42 44 26 06"),
    "E": ("40 00 06 46", "03 33"), "F": ("40 00 06", "03 33"), "G": ("~41 20 02 04 26 45 43", "23 43"),
    "H": ("00 06", "40 46", "03 43"), "J": ("~30 34 26 06 05", "10 40"), "K": ("00 06", "40 03 46"),
    "L": ("00 06 46",), "M": ("06 00 23 40 46",), "N": ("06 00 46 40",), "P": ("06 00", "~00 30 42 33 03"),
    "Q": ("~20 02 04 26 44 42 20", "24 47"), "R": ("06 00", "~00 30 42 33 03", "13 46"), "T": ("00 40", "20 26"),
    "U": ("~00 04 26 44 40",), "V": ("00 26 40",), "W": ("00 16 22 36 40",), "X": ("00 46", "40 06"),
    "Y": ("00 23 40", "23 26"), "a": ("~43 22 04 06 26 44", "42 46"), "c": ("~43 22 04 06 26 45",),
    "d": ("~43 22 04 06 26 44", "40 46"), "e": ("~04 44 42 22 03 05 26 45",), "f": ("~40 20 22 26", "02 42"),
    "h": ("00 06", "~04 22 42 44 46"), "j": ("~32 36 28 08", "30 31"), "k": ("00 06", "42 04 46"),
    "m": ("02 06", "~04 12 22 24 26", "~24 32 42 44 46"), "n": ("02 06", "~04 22 42 44 46"),
    "p": ("02 08", "~03 22 42 44 26 05"), "r": ("02 06", "~04 12 32 43"), "t": ("~20 24 26 46", "02 42"),
    "u": ("~02 04 16 34 42", "42 46"), "v": ("02 26 42",), "w": ("02 16 24 36 42",), "x": ("02 46", "42 06"),
    "y": ("02 25", "42 08"),
}  # fmt: skip
# Of other scripts, and of none; left out likewise are Theta, Phi, Sigma and beta, Cyrillic Be, Che, E and Ze, brackets.
SIGNS: tuple[tuple[str, ...], ...] = (
    ("06 00 40",), ("06 20 46",), ("00 40", "13 33", "06 46"), ("06 00 40 46",), ("~00 03 24 43 40", "20 26"),
    ("~15 03 11 20 31 43 35", "06 16 15", "46 36 35"), ("~40 33 16 05 03 12 26 46",), ("~00 21 36 46", "23 06"),
    ("02 42", "12 16", "~32 35 46"), ("~02 05 16 25 36 45 42",), ("07 06 46 47", "16 20 36"),
    ("20 26", "00 46", "40 06"), ("00 06 40 46",), ("06 10 40 46",), ("00 06 36", "30 36 46 47"),
    ("00 06 46 40", "20 26"), ("00 06 46 40", "20 26", "46 47"), ("00 06", "~03 23 34 26 06", "40 46"),
    ("00 06", "03 13", "~31 12 14 36 45 42 31"), ("46 40", "~40 10 02 13 43", "23 06"), ("03 43",),
    ("03 43", "21 25"), ("02 42", "04 44"), ("03 43", "21 21", "25 25"), ("02 42", "20 24", "06 46"),
    ("02 42", "04 44", "30 16"), ("41 03 45",), ("01 43 05",), ("~01 20 41 33 24 25", "27 27"),
    ("10 06", "40 36", "02 42", "04 44"), ("10 16", "30 36", "02 42", "04 44"),
    ("40 06", "~00 10 11 01 00", "~35 45 46 36 35"), ("~46 11 20 31 04 06 26 43",),
    ("~33 22 13 24 34 32 34 43 31 20 02 05 26 45",), ("20 24", "01 43", "41 03"), ("03 43", "31 43 35"),
    ("03 43", "11 03 15"), ("20 26", "02 20 42"), ("20 26", "04 26 44"), ("03 13 26 40 60",),
    ("~04 02 12 34 44 42 32 14 04",), ("~04 12 34 42",), ("06 06", "26 26", "46 46"), ("03 15 40",),
    ("06 20 46 02 42 06",), ("~21 10 01 03 26", "~21 30 41 43 26"),
    ("~20 02 04 26 44 42 20", "12 12", "32 32", "~14 25 34"), ("~20 11 22 31 20", "22 24 06", "24 46", "03 43"),
    ("00 40 46 06 00", "00 46", "40 06"), ("00 40 46 06 00", "20 26", "03 43"), ("~22 23 33 32 11 14 44 40 00 06",),
    ("03 11 25 31 45",), ("~03 11 25 31 45",), ("00 06", "20 26", "40 46"), ("00 40", "03 43", "06 46"),
)  # fmt: skip
DIGITS: tuple[tuple[str, ...], ...] = (  # for each digit the ways to write it, strokes parted by commas
    ("~20 02 04 26 44 42 20", "~30 01 04 26 44 41 20 10", "~40 10 02 05 26 44 42 30 20",
     "~20 02 04 26 44 42 20, 40 06"),
    ("20 26", "11 30 36", "02 30 36", "03 30 36", "13 30 26", "11 30 36, 16 46", "02 20 26, 06 46", "04 30 36",
     "06 30 36", "~05 14 30, 30 36", "04 30 36, 16 46"),
    ("~02 00 30 42 24 06, 06 46", "~01 20 41 33 06 15 26 46", "~02 10 40 32 06, ~06 15 26 46",
     "~01 10 40 33 16 05 14 26 46"),
    ("~01 20 41 23, ~23 44 36 05", "00 40 22, ~22 44 36 05", "~01 10 40 32 13 33 44 36 06",
     "~11 01 20 41 23 12 23 44 36 16 04",
     "~12 01 20 41 23, ~23 44 36 06", "~11 02 01 20 41 32 13, ~13 33 44 36 05"),
    ("10 04 44, 32 36", "20 04 44, 30 36", "30 04 44, 30 36", "00 03 43, 40 46", "00 04 44, 22 26",
     "~10 03 33 40, 40 46", "20 04 44, 32 35", "~20 03 04 44, 32 46", "20 04 33 36", "30 04 43 36",
     "~30 11 03 14 34, 33 36"),
    ("40 00 03, ~03 32 44 26 05", "~03 32 44 26 05, 03 10 40", "40 10 02, ~02 32 44 36 06"),
    ("~30 03 05 26 45 33 04", "~20 02 05 26 45 44 23 04", "~40 12 04 16 36 44 23 05"),
    ("00 40 16", "00 40 16, 13 43", "01 00 40 26, 13 43", "02 00 40 26", "~01 10 30 40 16, 03 43",
     "01 00 40 26, 04 44", "00 40 36, 13 44", "~01 10 30 40 32 26, 13 43", "03 00 40 36", "~02 00 30 40 43 36",
     "01 00 40 26, 13 53", "~01 10 30 40 26, 14 54"),
    ("~20 01 22 44 26 04 22 41 20", "~41 20 01 22 44 36 16 04 22 41", "~20 02 22 42 20, ~23 05 26 45 23",
     "~20 01 02 24 42 41 20, ~24 15 26 35 24", "~30 10 01 23 34 26 14 23 41 30", "~10 01 23 35 26 15 23 40"),
    ("~41 20 01 13 33 41, 41 36", "~41 20 01 13 33 41, ~41 45 26 05", "~40 10 02 23 42 40, 40 46",
     "~41 20 01 13 32 41, ~41 33 44 36 06"),
)  # fmt: skip
POINTS = [f"{x}{y}" for x in (0, 2, 4) for y in (0, 2, 4, 6)]  # of the grid, between which strokes of no script go
INKED = 60  # of 255; more is ink
CANVAS = 96  # pixels on each side of what is drawn
WOBBLE = 0.28  # of the grid, standard deviation of each point
PEN = (0.07, 0.17)  # width of the pen as a share of the longest side, about that of MNIST
SLANT = 0.35  # columns of the grid a row, at most
WIDTH = (0.6, 1.3)  # of a column, in rows


def digits(labels: NDArray[np.uint8], random: Generator) -> Pixels:
    """Return (n, 28, 28) pixels of drawn digits for (n,) labels."""
    return np.stack([normalised(digit(int(label), random)) for label in labels])


def letter(random: Generator) -> Drawing:
    """Draw a letter that no digit looks like."""
    return written(LETTERS[random.choice(list(LETTERS))], random)


def sign(random: Generator) -> Drawing:
    """Draw a letter of another script, or a sign of none, that no digit looks like."""
    return written(SIGNS[random.integers(len(SIGNS))], random)


def character(random: Generator) -> Drawing:
    """Draw four to seven strokes between points of the grid, as scripts have them that nobody here reads."""
    strokes = []
    for _ in range(random.integers(4, 8)):
        points = random.choice(POINTS, random.integers(2, 4), replace=False)
        strokes.append(random.choice(["", "~"]) + " ".join(points))
    return written(tuple(strokes), random)


def figure(random: Generator) -> Drawing:
    """Draw a ragged shape, filled."""
    corners = random.integers(3, 12)
    angles = (np.arange(corners) + random.random(corners)) * (2 * np.pi / corners)
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * random.uniform(0.3, 1, (corners, 1))
    sheet = Image.new("L", (CANVAS, CANVAS))
    ImageDraw.Draw(sheet).polygon(((points + 1) * (CANVAS / 2)).ravel().tolist(), 255)
    return np.asarray(sheet, np.float32)


def blots(random: Generator) -> Drawing:
    """Draw what is above a level in a smooth surface of chance: stains, fur, leaves."""
    side = int(random.integers(4, 11))
    surface = Image.fromarray(random.normal(size=(side, side)).astype(np.float32)).resize((CANVAS, CANVAS))
    levels = np.asarray(surface)
    return np.where(levels > np.quantile(levels, random.uniform(0.5, 0.85)), np.float32(255), np.float32(0))


def digit(label: int, random: Generator) -> Drawing:
    return written(tuple(random.choice(DIGITS[label]).split(",")), random)


def scribble(random: Generator) -> Drawing:
    """Draw one to three strokes that mean nothing."""
    count = random.integers(1, 4)
    return drawn([smooth(random.uniform(0, 6, (random.integers(3, 8), 2))) for _ in range(count)], random)


def written(strokes: tuple[str, ...], random: Generator) -> Drawing:
    slant, width = random.uniform(-SLANT, SLANT), random.uniform(*WIDTH)
    return drawn([traced(stroke.strip(), slant, width, random) for stroke in strokes], random)


def traced(stroke: str, slant: float, width: float, random: Generator) -> Points:
    points = np.array([[int(point[0]), int(point[1])] for point in stroke.removeprefix("~").split()], np.float64)
    points += random.normal(0, WOBBLE, points.shape)
    points[:, 0] = points[:, 0] * width - slant * points[:, 1]
    return smooth(points) if stroke.startswith("~") or random.random() < 0.3 else points


def smooth(points: Points) -> Points:
    """Cut the corners of a line, twice (Chaikin 1974); its ends stay."""
    for _ in range(2):
        early, late = 0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]
        points = np.concatenate([points[:1], np.stack([early, late], 1).reshape(-1, 2), points[-1:]])
    return points


def drawn(strokes: list[Points], random: Generator) -> Drawing:
    """Draw strokes with a round pen, as large as the canvas lets them be."""
    every = np.concatenate(strokes)
    low, extent = every.min(0), max(float(np.ptp(every, axis=0).max()), 1e-3)
    pen = random.uniform(*PEN) * CANVAS
    sheet = Image.new("L", (CANVAS, CANVAS))
    brush = ImageDraw.Draw(sheet)
    radius = (pen - 1) / 2  # Pillow counts the pixels at both ends in
    for stroke in strokes:
        places = (stroke - low) * ((CANVAS - pen - 2) / extent) + pen / 2
        brush.line(places.ravel().tolist(), 255, round(pen))
        for corners in np.concatenate([places - radius, places + radius], 1).tolist():
            brush.ellipse(corners, 255)
    return np.asarray(sheet, np.float32)


def normalised(drawing: Drawing) -> Pixels:
    """Return the (28, 28) pixels of a drawing."""
    return image.centre(image.shrink(cropped(drawing)))[0]


def cropped(drawing: NDArray[np.uint8] | Drawing) -> Drawing:
    """Return what has ink; all of what has none."""
    mask = drawing > INKED
    if not mask.any():
        return np.asarray(drawing, np.float32)
    top, bottom, left, right = image.bounds(mask)
    return np.asarray(drawing[top:bottom, left:right], np.float32)
