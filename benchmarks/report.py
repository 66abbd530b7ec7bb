"""From the results of a run to its tables: medians over the rounds, and ratios within each round.

A load with errors or wrong answers counts for nobody. Whatever isn't `digits` or a `hello` is a rival.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.results import Raw, Results, Round, Run, Try, counted, disturbance, sound

Figure = Callable[[Round], float | None]  # None: not measured in this round
CELLS = ("json@1", "json@64", "png@1", "png@64", "batch@1", "batch@4")
TITLES = ("W1 JSON, 1", "W1 JSON, 64", "W2 PNG, 1", "W2 PNG, 64", "W3 batch, 1", "W3 batch, 4")


@dataclass(frozen=True)
class Target:
    name: str
    figure: Figure
    bound: float
    at_least: bool
    scale: float = 1  # from what is measured to what is shown
    unit: str = ""

    def holds(self, value: float) -> bool:
        return value * self.scale >= self.bound if self.at_least else value * self.scale <= self.bound


def report(results: Results) -> str:
    """Return everything as Markdown."""
    rounds = results["rounds"]
    parts = [heading(results), peers_table(rounds), raw_lines(rounds), targets_table(rounds), *problems(results)]
    return "\n\n".join(parts)


def heading(results: Results) -> str:
    machine, settings = results["machine"], results["settings"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, Python {machine['python']}, "
        f"model {results['model']['version']}; {len(results['rounds'])} rounds, {settings['seconds']} s for each load; "
        f"medians, lowest to highest in brackets. A cell is requests/s for single images and images/s for batches of "
        f"{settings['batch']}, then p50 / p99 in ms; CPU is the server's, for an image in W1 at 64 and W3 at 4 "
        "connections; memory is PSS after the warm-up → after the load, and disk is the virtual environment."
    )


def peers_table(rounds: Sequence[Round]) -> str:
    names = dict.fromkeys(name for one in rounds for name in one["peers"])
    columns = ("peer", *TITLES, "W4 start, s", "W5 memory, MB", "W6 disk, MB", "CPU W1, W3, µs")
    return table(columns, ([name, *(peer_row(rounds, name))] for name in names))


def peer_row(rounds: Sequence[Round], name: str) -> list[str]:
    greeting = any("hello@64" in one["peers"][name]["cells"] for one in rounds if name in one["peers"])
    keys = [key.replace("json", "hello") for key in CELLS] if greeting else CELLS
    warm, loaded = (shown(values(rounds, memory(name, when)), 1e-6) for when in ("warm", "loaded"))
    cpu = [shown(values(rounds, cell(name, key, "cpu_per_image")), 1e6) for key in (keys[1], keys[5])]
    return [
        *(cell_text(rounds, name, key) for key in keys),
        spread(values(rounds, start(name))),
        f"{warm} → {loaded}",
        shown(values(rounds, installed(name)), 1e-6),
        ", ".join(cpu),
    ]


def cell_text(rounds: Sequence[Round], name: str, key: str) -> str:
    speed = values(rounds, cell(name, key, "images_per_s"))
    if not speed:
        return "–"
    p50, p99 = (shown(values(rounds, cell(name, key, quantile)), 1e3) for quantile in ("p50", "p99"))
    return f"{spread(speed)}<br>{p50} / {p99}"


def raw_lines(rounds: Sequence[Round]) -> str:
    ways = {
        "one process": "one process, a thread for each core",
        "one thread each": "a process of one thread each core",
    }
    lines = []
    for way, words in ways.items():
        runs = [counted(one["raw"][way]) for one in rounds]
        speed, cpu = [run["images_per_s"] for run in runs], [run["cpu_per_image"] for run in runs]
        lines.append(f"- ONNX Runtime alone, {words}: {spread(speed)} images/s, {spread(cpu, 1e6)} µs CPU an image")
    return "\n".join(lines)


def targets_table(rounds: Sequence[Round]) -> str:
    return table(("", "target", "reached", "holds"), (target_row(rounds, target) for target in targets()))


def target_row(rounds: Sequence[Round], target: Target) -> list[str]:
    reached = values(rounds, target.figure)
    holds = "–" if not reached else "yes" if target.holds(statistics.median(reached)) else "**no**"
    bound = f"{'≥' if target.at_least else '≤'} {target.bound:g}{target.unit}"
    return [target.name, bound, f"{spread(reached, target.scale)}{target.unit}" if reached else "–", holds]


def targets() -> list[Target]:
    """What we want of our service; each figure is of one round."""
    fast, slow = cell("digits", "json@64", "rps"), cell("digits", "json@1", "p50")
    return [
        Target("W1, 64 connections: requests/s ÷ best peer's", ratio(fast, best("json@64", "rps", max)), 1.5, True),
        Target("  one worker ÷ bare ASGI", over_hello("digits-1w", "hello-asgi"), 0.35, True),
        Target("  two workers ÷ bare ASGI in two", over_hello("digits-2w", "hello-asgi-2w"), 0.35, True),
        Target("  p99 ÷ p50", tail("json@64"), 3, False),
        Target("  CPU an image", cell("digits", "json@64", "cpu_per_image"), 250, False, 1e6, " µs"),
        Target("W1, 1 connection: p50 ÷ best peer's", ratio(slow, best("json@1", "p50", min)), 0.5, False),
        Target("W2, 64 connections: requests/s ÷ best peer's", over_best("png@64"), 1.4, True),
        Target("  p99 ÷ p50", tail("png@64"), 3, False),
        Target("W3, 4 connections: images/s ÷ ONNX Runtime alone", over_raw("batch@4", "images_per_s"), 0.95, True),
        Target("  ÷ best peer's", over_best("batch@4"), 1, True),
        Target("  CPU an image ÷ ONNX Runtime alone", over_raw("batch@4", "cpu_per_image"), 1.1, False),
        Target("  p99 of the liveness probe meanwhile", live("digits", "p99"), 50, False, 1e3, " ms"),
        Target("W3, 1 connection: images/s ÷ ONNX Runtime alone", over_raw("batch@1", "images_per_s"), 0.8, True),
        Target("  ÷ best peer's", over_best("batch@1"), 1, True),
        Target("W4: start ÷ best peer's", ratio(start("digits"), best_start), 1, False),
        Target("  ÷ that of empty FastAPI", ratio(start("digits"), start("hello-fastapi")), 1.3, False),
        Target("W5: memory of one worker, after the load", memory("digits-1w", "loaded"), 150, False, 1e-6, " MB"),
        Target("  more for the second", second_worker, 100, False, 1e-6, " MB"),
        Target("W6: disk", installed("digits"), 300, False, 1e-6, " MB"),
    ]


def problems(results: Results) -> list[str]:
    """Return what went wrong, and which loads stayed disturbed, as a list; or nothing."""
    limit, lines = results["settings"]["disturbance"], []
    for number, one in enumerate(results["rounds"], 1):
        for way, tries in one["raw"].items():
            if disturbance(counted(tries)) > limit:
                lines.append(f"- round {number}, ONNX Runtime alone, {way}: others took too much")
        for name, run in one["peers"].items():
            lines += [f"- round {number}, {name}{words}" for words in complaints(run, limit)]
    return ["\n".join(lines)] if lines else []


def complaints(run: Run, limit: float) -> list[str]:
    counting = {key: counted(tries) for key, tries in run["cells"].items()}
    found = [f": {run['error'].splitlines()[0]}"] if "error" in run else []
    for key, tried in counting.items():
        if not sound(tried):
            found.append(f", {key}: not counted, {tried['errors']}, {tried['wrong'][:1]}")
    taken = {key: disturbance(tried) for key, tried in counting.items()}
    taken |= {"start": disturbance(run["starting"])} if "starting" in run else {}
    cells = [f"{key} {cores:.2f}" for key, cores in taken.items() if cores > limit]
    return [*found, *([f": cores that others took in the calmest try: {', '.join(cells)}"] if cells else [])]


# ---- figures: from a round to a number, if it was measured ----


def cell(name: str, key: str, field: str) -> Figure:
    def figure(one: Round) -> float | None:
        tried = tried_of(one, name, key)
        return float(tried[field]) if tried else None  # type: ignore[literal-required]

    return figure


def tried_of(one: Round, name: str, key: str) -> Try | None:
    """Return the try that counts, if it is sound."""
    run = one["peers"].get(name)
    tried = counted(run["cells"][key]) if run and key in run["cells"] else None
    return tried if tried and sound(tried) else None


def live(name: str, field: str) -> Figure:
    def figure(one: Round) -> float | None:
        tried = tried_of(one, name, "batch@4")
        return float(tried["live"][field]) if tried and "live" in tried else None  # type: ignore[literal-required]

    return figure


def start(name: str) -> Figure:
    return lambda one: one["peers"][name].get("start") if name in one["peers"] else None


def installed(name: str) -> Figure:
    return lambda one: one["peers"][name]["installed"] if name in one["peers"] else None


def memory(name: str, when: str) -> Figure:
    return lambda one: one["peers"][name].get("memory", {}).get(when) if name in one["peers"] else None


def second_worker(one: Round) -> float | None:
    both, single = memory("digits-2w", "loaded")(one), memory("digits-1w", "loaded")(one)
    return None if both is None or single is None else both - single


def best(key: str, field: str, pick: Callable[[Iterable[float]], float]) -> Figure:
    return lambda one: pick_known(pick, (cell(name, key, field)(one) for name in rivals(one)))


def best_start(one: Round) -> float | None:
    return pick_known(min, (start(name)(one) for name in rivals(one)))


def rivals(one: Round) -> list[str]:
    return [name for name in one["peers"] if not name.startswith(("digits", "hello"))]


def pick_known(pick: Callable[[Iterable[float]], float], values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return pick(known) if known else None


def raw(field: str) -> Figure:
    """The faster of the two ways in which ONNX Runtime uses all cores."""

    def figure(one: Round) -> float | None:
        runs: list[Raw] = [counted(tries) for tries in one["raw"].values()]
        fastest = max(runs, key=lambda run: run["images_per_s"], default=None)
        return float(fastest[field]) if fastest else None  # type: ignore[literal-required]

    return figure


def ratio(above: Figure, below: Figure) -> Figure:
    def figure(one: Round) -> float | None:
        numerator, denominator = above(one), below(one)
        return numerator / denominator if numerator is not None and denominator else None

    return figure


def over_best(key: str) -> Figure:
    return ratio(cell("digits", key, "images_per_s"), best(key, "images_per_s", max))


def over_raw(key: str, field: str) -> Figure:
    return ratio(cell("digits", key, field), raw(field))


def over_hello(name: str, hello: str) -> Figure:
    return ratio(cell(name, "json@64", "rps"), cell(hello, "hello@64", "rps"))


def tail(key: str) -> Figure:
    return ratio(cell("digits", key, "p99"), cell("digits", key, "p50"))


def values(rounds: Sequence[Round], figure: Figure) -> list[float]:
    return [value for one in rounds if (value := figure(one)) is not None]


# ---- words ----


def spread(values: Sequence[float], scale: float = 1) -> str:
    """Return the median, and the lowest and highest if there is more than one."""
    if len(values) < 2:
        return shown(values, scale)
    return f"{shown(values, scale)} ({number(min(values) * scale)}–{number(max(values) * scale)})"


def shown(values: Sequence[float], scale: float = 1) -> str:
    return number(statistics.median(values) * scale) if values else "–"


def number(value: float) -> str:
    """Return three digits or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
