"""Measure peers in turns, A B C A B C, since machines drift; everything is kept, and written after each peer."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.asking import Asker
from benchmarks.load import measure, wrk
from benchmarks.material import BATCH, ROOT, Material
from benchmarks.peer import Peer
from benchmarks.processes import Usage
from benchmarks.results import Attempt, Disturbed, Raw, Results, Round, Run, Try, counted, disturbance, sound, write
from benchmarks.server import serve
from digits.cores import cores
from trainer.dataset import MNIST
from trainer.machine import processor

CONNECTIONS = {"json": (1, 64), "png": (1, 64), "batch": (1, 4), "hello": (1, 64)}
WARM_UP = 8  # connections, for a second, before the memory is read


@dataclass(frozen=True)
class Plan:
    peers: Sequence[Peer]
    environments: Path
    workloads: Sequence[str]
    rounds: int
    seconds: int  # of each load
    disturbance: float  # cores that others may take
    retries: int
    output: Path


def run(plan: Plan, material: Material) -> Results:
    """Measure everything. Raises `OSError` if an environment is missing."""
    names = sorted({"digits", *(peer.environment for peer in plan.peers)})
    installed = {name: size(plan.environments / name) for name in names}
    results: Results = {
        "machine": machine(),
        "model": {"version": material.version, "sha256": material.sha256},
        "settings": {
            "seconds": plan.seconds, "batch": BATCH, "disturbance": plan.disturbance, "retries": plan.retries,
        },
        "packages": {name: packages(plan.environments / name) for name in names},
        "rounds": [],
    }  # fmt: skip
    for number in range(plan.rounds):
        this: Round = {"raw": raw(plan, material), "peers": {}}
        results["rounds"].append(this)
        for peer in plan.peers:
            print(f"round {number + 1} of {plan.rounds}: {peer.name}", flush=True)
            this["peers"][peer.name] = life(peer, plan, material, installed[peer.environment])
            write(plan.output, results)
    return results


def life(peer: Peer, plan: Plan, material: Material, installed: int) -> Run:
    """Start, check, warm up, load, check again and stop one server. What goes wrong becomes its error."""
    run: Run = {"installed": installed, "cells": {}}
    try:
        before = Usage.now()
        with serve(peer, material, plan.environments) as server:
            asker = Asker(server, material)
            run["start"] = asker.first_answer()
            run["starting"] = by_others(Usage.now(server.pids) - before)
            workloads = [name for name in peer.exchanges if name in (*plan.workloads, "hello")]
            for workload in workloads:
                asker.check(workload)
            wrk(asker, next(iter(peer.exchanges)), WARM_UP, 1)
            time.sleep(1)  # for what it puts off
            run["memory"] = {"warm": processes.memory(server.pids)}
            run["processes"] = len(server.pids)
            for workload in workloads:
                fill(run["cells"], asker, workload, plan)
                asker.check(workload)
            run["memory"]["loaded"] = processes.memory(server.pids)
    except Exception as exc:  # the others go on
        run["error"] = f"{type(exc).__name__}: {exc}"
        print(f"  failed: {run['error']}", flush=True)
    return run


def fill(cells: dict[str, list[Try]], asker: Asker, workload: str, plan: Plan) -> None:
    for connections in CONNECTIONS[workload]:
        name = f"{workload}@{connections}"
        cells[name] = undisturbed(lambda: measure(asker, workload, connections, plan.seconds), plan)
        print(f"  {name:9}{line(cells[name])}", flush=True)


def undisturbed(once: Callable[[], Attempt], plan: Plan) -> list[Attempt]:
    """Try again while others take too much CPU. That alone decides, for all alike, and never the score."""
    tries = [once()]
    while disturbance(tries[-1]) > plan.disturbance and len(tries) <= plan.retries:
        tries.append(once())
    return tries


def line(tries: list[Try]) -> str:
    best = counted(tries)
    return (
        f"{best['images_per_s']:9,.0f} images/s  p50 {best['p50'] * 1e3:.2f} ms  p99 {best['p99'] * 1e3:.2f} ms  "
        f"cores: server {best['server_cpu']:.2f}, wrk {best['generator_cpu']:.2f}, others {disturbance(best):.2f}"
        + (f"  {len(tries)} tries" if len(tries) > 1 else "")
        + ("" if sound(best) else f"  UNSOUND {best['errors']} {best['wrong'][:1]}")
    )


def raw(plan: Plan, material: Material) -> dict[str, list[Raw]]:
    """Run the network on all cores without a server, in the two ways that there are."""
    ways = {"one process": (1, cores()), "one thread each": (cores(), 1)}
    return {
        name: undisturbed(lambda: raw_once(plan, material, processes, threads), plan)
        for name, (processes, threads) in ways.items()
    }


def raw_once(plan: Plan, material: Material, processes: int, threads: int) -> Raw:
    before = Usage.now()
    done = subprocess.run(
        [(plan.environments / "digits" / "bin" / "python").absolute(), "-m", "benchmarks.servers.raw", MNIST,
         str(processes), str(threads), str(plan.seconds)],
        cwd=ROOT, env=os.environ | {"MODEL_ONNX": str(material.onnx)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    used = Usage.now() - before
    measured = json.loads(done.stdout)
    return {**by_others(used), "images_per_s": measured["images_per_s"], "cpu_per_image": measured["cpu_per_image"]}


def by_others(used: Usage) -> Disturbed:
    return {"foreign": used.foreign / used.clock, "stolen": used.stolen / used.clock}


def machine() -> dict[str, str | int]:
    return {
        "cpu": processor(), "cores": cores(),
        "kernel": platform.release(), "python": platform.python_version(),
    }  # fmt: skip


def size(environment: Path) -> int:
    """Return the bytes of a virtual environment on disk. Raises `OSError`."""
    if not environment.is_dir():
        raise OSError(f"there is no virtual environment {environment}; make bench and make bench-peers make them")
    done = subprocess.run(["du", "-s", "-B1", environment.resolve()], capture_output=True, text=True, check=True)  # noqa: S607
    return int(done.stdout.split()[0])


def packages(environment: Path) -> dict[str, str]:
    folders = [str(path) for path in environment.glob("lib/python3*/site-packages")]
    found = importlib.metadata.distributions(path=folders)
    return dict(sorted((item.name, item.version) for item in found))
