"""Draw a run: one panel for each workload, the best on top, ours in colour, ranges over the rounds as lines."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from benchmarks.report import Figure, cell, memory, number, rivals, start, values
from benchmarks.results import Results, Round

OURS, OTHERS, INK, FAINT = "#d1495b", "#b8c0cc", "#222b38", "#7a8594"


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    key: str  # a cell, or "start", or "memory"
    more_is_better: bool
    scale: float = 1

    def figure(self, name: str) -> Figure:
        if self.key == "start":
            return start(name)
        return memory(name, "loaded") if self.key == "memory" else cell(name, self.key, "images_per_s")


PANELS = (
    Panel("One image as JSON, 64 connections", "requests/s", "json@64", True),
    Panel("One image as PNG, 64 connections", "requests/s", "png@64", True),
    Panel("256 images a request, 4 connections", "images/s", "batch@4", True),
    Panel("Start to first answer", "seconds", "start", False),
    Panel("Memory after the load", "MB", "memory", False, 1e-6),
)


def draw(results: Results, image: Path) -> None:
    rounds = results["rounds"]
    names = list(dict.fromkeys(name for one in rounds for name in ("digits", *rivals(one))))
    height = 0.6 + 0.27 * len(names)
    drawing = Drawing(figsize=(10, 3 * (height + 0.6) + 0.3), layout="constrained")
    axes = drawing.subplots(3, 2).ravel()
    for panel, ax in zip(PANELS, axes, strict=False):
        bars(ax, panel, rounds, names)
    caption(axes[-1], results)
    drawing.savefig(image, dpi=150, facecolor="white")


def bars(ax: Axes, panel: Panel, rounds: Sequence[Round], names: Sequence[str]) -> None:
    found = {name: [value * panel.scale for value in values(rounds, panel.figure(name))] for name in names}
    medians = {name: statistics.median(measured) for name, measured in found.items() if measured}
    order = sorted(medians, key=lambda name: medians[name], reverse=panel.more_is_better)
    for row, name in enumerate(order):
        middle, low, high = medians[name], min(found[name]), max(found[name])
        ours = name == "digits"
        ax.barh(row, middle, color=OURS if ours else OTHERS, height=0.72)
        ax.plot([low, high], [row, row], color=INK, linewidth=1.2, solid_capstyle="butt")
        ax.annotate(
            number(middle), (max(high, middle), row), (5, 0), textcoords="offset points", va="center", fontsize=9,
            color=OURS if ours else INK, fontweight="bold" if ours else "normal",
        )  # fmt: skip
    frame(ax, panel, order)


def frame(ax: Axes, panel: Panel, order: Sequence[str]) -> None:
    better = "more is better" if panel.more_is_better else "less is better"
    ax.set_title(panel.title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=18)
    ax.text(0, 1.02, f"{panel.unit}, {better}", transform=ax.transAxes, fontsize=9, color=FAINT)
    ax.set_yticks(range(len(order)), order, fontsize=9.5, color=INK)
    for label in ax.get_yticklabels():
        if label.get_text() == "digits":
            label.set(color=OURS, fontweight="bold")
    ax.invert_yaxis()
    ax.margins(x=0.16)
    ax.set_xlim(left=0)
    ax.xaxis.set_visible(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def caption(ax: Axes, results: Results) -> None:
    """Say in the last, empty place how it was measured."""
    machine, rounds = results["machine"], len(results["rounds"])
    lines = [
        f"Medians of {rounds} interleaved rounds; lines span the lowest", "and the highest round.",
        f"{machine['cores']} cores of {machine['cpu']};", "wrk on the same cores; one network for all.",
    ]  # fmt: skip
    ax.axis("off")
    ax.text(0.02, 0.9, "\n".join(lines), transform=ax.transAxes, va="top", fontsize=9.5, color=FAINT, linespacing=1.5)
