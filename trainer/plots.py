"""Draw what a training run came to: PNG files as bytes, and SVG that takes the colours of its page; writes nothing."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray
from PIL import Image

from digits.image import Pixels
from digits.judgements import Probabilities
from digits.sizes import CLASSES, SIDE
from trainer.augment import Variation, as_pixels, augment
from trainer.dataset import Part, first_of_each
from trainer.evaluate import Evaluation, interval
from trainer.reliability import Bins

if TYPE_CHECKING:  # it imports Keras, which takes seconds and isn't needed to draw
    from trainer.fit import History

WORST = 40  # mistakes shown
COLUMNS = 8  # of them
VARIANTS = 9  # rows of the sheet of varied images
DOTS_PER_INCH = 120
FONT = 11  # points, of charts that phones show three inches wide
LEAST = 1e-3  # that is drawn of errors and losses; a scale of logarithms has no zero
INK, FAINT, FIRST, SECOND = "#1f2430", "#c9ccd3", "#c2571a", "#2459d6"
PAGE_COLOURS = {INK: "var(--ink)", FAINT: "var(--faint)", FIRST: "var(--first)", SECOND: "var(--second)"}


def learning(history: History) -> dict[str, bytes]:
    """Return the plots of a training by their file names."""
    return {f"{what}.png": png(curves(history, what)) for what in ("accuracy", "loss")}


def draw(
    evaluation: Evaluation, test: Part, probabilities: Probabilities, before: Bins, after: Bins
) -> dict[str, bytes]:
    """Return the plots of a test by their file names; `before` and `after` the temperature."""
    figures = {
        "confusion.png": confusion(evaluation),
        "mistakes.png": mistakes(evaluation, test, probabilities),
        "reliability.png": reliability(before, after),
    }
    return {name: png(figure) for name, figure in figures.items()} | {"tiles.png": tiles(evaluation, test)}


def curves(history: History, what: str) -> Figure:
    """Training against validation, epoch by epoch, on a scale that shows small figures too."""
    figure, axes = sheet(5, 3.4)
    epochs = range(1, len(history[what]) + 1)
    for key, colour, name in ((what, FIRST, "training"), (f"val_{what}", SECOND, "validation")):
        axes.plot(epochs, shown(history[key], what), marker="o", markersize=4, color=colour, label=name)
    axes.set_yscale("log", subs=[])
    axes.set(xlabel="epoch", title="Read wrongly" if what == "accuracy" else "Loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}%" if what == "accuracy" else "{x:g}"))
    legend(axes, "best")
    return figure


def shown(values: list[float], what: str) -> NDArray[np.float64]:
    """Return what of a history is drawn: the percentage of errors rather than the share of what is right."""
    return np.maximum(100 * (1 - np.array(values)) if what == "accuracy" else values, LEAST)


def reliability(before: Bins, after: Bins) -> Figure:
    """How often a network is right that is so sure, before and after its temperature; bars are 95 % intervals."""
    figure, axes = sheet(5, 4.4)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (4, 4)), label="as often as it says")
    for which, colour, mark, name in ((before, FIRST, "s", "before"), (after, SECOND, "o", "after")):
        sure, right = ([one[key] for one in which] for key in ("confidence", "accuracy"))
        reach = np.array([interval(one["accuracy"], one["images"]) for one in which]).reshape(-1, 2).T
        away = np.abs(reach - right)
        axes.errorbar(sure, right, away, color=colour, fmt=mark, markersize=5, elinewidth=1, label=name)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="confidence", title="Share right, of images in a bin")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    legend(axes, "lower right")
    return figure


def legend(axes: Axes, where: Literal["best", "lower right"]) -> None:
    axes.legend(frameon=False, labelcolor=INK, loc=where, fontsize=FONT)


def sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of so many inches with a plain grid, in the colours that a page may replace."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, labelsize=FONT)
    axes.spines[:].set_visible(False)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set(color=INK, fontsize=FONT)
    return figure, axes


def confusion(evaluation: Evaluation) -> Figure:
    """What each digit was read as; the colours show the mistakes alone, which the diagonal would drown."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    errors = evaluation.confusion * (1 - np.eye(CLASSES, dtype=np.int64))
    axes.imshow(errors, cmap="Reds", vmin=0, vmax=max(2 * int(errors.max()), 1))
    for (row, column), count in np.ndenumerate(evaluation.confusion):
        axes.text(column, row, str(count) if count else "", ha="center", va="center", fontsize=8)
    axes.set(
        xticks=range(CLASSES), yticks=range(CLASSES), xlabel="read as", ylabel="written",
        title=f"Test set: {evaluation.accuracy:.2%} of {evaluation.confusion.sum():,} right",
    )  # fmt: skip
    return figure


def mistakes(evaluation: Evaluation, test: Part, probabilities: Probabilities) -> Figure:
    """The test images read wrongly, the surest mistake first."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    figure.suptitle(f"The worst of {len(evaluation.mistakes)} mistakes: written, read as (how sure)")
    for axes in figure.subplots(WORST // COLUMNS, COLUMNS).flat:
        axes.set_axis_off()
    for axes, index in zip(figure.axes, evaluation.mistakes[:WORST], strict=False):
        digit = int(probabilities[index].argmax())
        axes.imshow(test.pixels[index], cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(f"{test.labels[index]}, {digit} ({probabilities[index, digit]:.2f})", fontsize=8)
    return figure


def variants(part: Part, variation: Variation) -> bytes:
    """Return ten digits, a column each, and below them variants as a training meets them."""
    random = np.random.default_rng(0)
    digits = part.pixels[first_of_each(part.labels)]
    rows = [digits, *(as_pixels(augment(digits, random, variation)) for _ in range(VARIANTS))]
    whole = np.concatenate([np.concatenate(list(row), 1) for row in rows])
    return on_paper(np.kron(whole, np.ones((2, 2), np.uint8)))


def png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    return file.getvalue()


def svg(figure: Figure) -> str:
    """Return an <svg> to be put into HTML, its text as text and its colours the variables of the page."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "digits"}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    for colour, variable in PAGE_COLOURS.items():
        text = text.replace(colour, variable)
    return text[text.index("<svg") :]


def tiles(evaluation: Evaluation, test: Part) -> bytes:
    """Return the worst mistakes as they are, ink on paper, `COLUMNS` in a row, without a word."""
    rows = WORST // COLUMNS
    sheet = np.zeros((WORST, SIDE, SIDE), np.uint8)
    found = test.pixels[evaluation.mistakes[:WORST]]
    sheet[: len(found)] = found
    whole = sheet.reshape(rows, COLUMNS, SIDE, SIDE).swapaxes(1, 2).reshape(rows * SIDE, COLUMNS * SIDE)
    return on_paper(whole)


def on_paper(pixels: Pixels) -> bytes:
    """Return (h, w) pixels as a PNG, dark ink on white."""
    file = io.BytesIO()
    Image.fromarray(255 - pixels).save(file, "PNG", optimize=True)
    return file.getvalue()
