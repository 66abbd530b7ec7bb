"""Draw what a training run came to; returns PNG files as bytes and writes nothing."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from digits.network import Probabilities
from trainer.dataset import CLASSES, Part
from trainer.evaluate import Report
from trainer.fit import History

WORST = 40  # mistakes shown
DOTS_PER_INCH = 120


def draw(history: History, report: Report, test: Part, probabilities: Probabilities) -> dict[str, bytes]:
    """Return every plot of a run by its file name."""
    figures = {
        "accuracy.png": curves(history, "accuracy"),
        "loss.png": curves(history, "loss"),
        "confusion.png": confusion(report),
        "mistakes.png": mistakes(report, test, probabilities),
    }
    return {name: png(figure) for name, figure in figures.items()}


def curves(history: History, what: str) -> Figure:
    """Training against validation, epoch by epoch."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    epochs = range(1, len(history[what]) + 1)
    axes.plot(epochs, history[what], marker="o", label="training (varied images)")
    axes.plot(epochs, history[f"val_{what}"], marker="o", label="validation")
    axes.set(xlabel="epoch", ylabel=what, title=f"{what.capitalize()}, epoch by epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def confusion(report: Report) -> Figure:
    """What each digit was read as; the colours show the mistakes alone, which the diagonal would drown."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    errors = report.confusion * (1 - np.eye(CLASSES, dtype=np.int64))
    axes.imshow(errors, cmap="Reds", vmin=0, vmax=max(2 * int(errors.max()), 1))
    for (row, column), count in np.ndenumerate(report.confusion):
        axes.text(column, row, str(count) if count else "", ha="center", va="center", fontsize=8)
    axes.set(
        xticks=range(CLASSES), yticks=range(CLASSES), xlabel="read as", ylabel="written",
        title=f"Test set: {report.accuracy:.2%} of {report.confusion.sum():,} right",
    )  # fmt: skip
    return figure


def mistakes(report: Report, test: Part, probabilities: Probabilities) -> Figure:
    """The test images read wrongly, the surest mistake first."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    figure.suptitle(f"The worst of {len(report.mistakes)} mistakes: written, read as (how sure)")
    for axes in figure.subplots(5, WORST // 5).flat:
        axes.set_axis_off()
    for axes, index in zip(figure.axes, report.mistakes[:WORST], strict=False):
        digit = int(probabilities[index].argmax())
        axes.imshow(test.pixels[index], cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(f"{test.labels[index]}, {digit} ({probabilities[index, digit]:.2f})", fontsize=8)
    return figure


def png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    return file.getvalue()
