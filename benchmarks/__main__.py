"""python -m benchmarks: run, report, chart, soak, client, sprint."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

from benchmarks import client, material, peers, report, results, sprint
from benchmarks.load import require_wrk
from benchmarks.rounds import CONNECTIONS, Plan, run
from benchmarks.soak import soak
from digits.errors import BadBundle, BadModel
from digits_client import DigitsError
from digits_client._client import URL


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    arguments = parser().parse_args()
    try:
        arguments.do(arguments)
    except (OSError, ValueError, BadBundle, BadModel, DigitsError, subprocess.CalledProcessError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="python -m benchmarks", description=str(__doc__))
    commands = whole.add_subparsers(required=True)
    add_run(commands.add_parser("run", help="measure servers side by side; prints the report"))
    soaking = commands.add_parser("soak", help="ask the service for long, and tell whether it changes")
    soaking.add_argument("--requests", type=int, default=1_000_000)
    soaking.set_defaults(do=do_soak)
    add_output(soaking, "soak")
    comparing = commands.add_parser("client", help="send a running service arrays through the client, and by curl")
    comparing.add_argument("--rounds", type=int, default=5)
    comparing.set_defaults(do=lambda given: print(client.compare(given.url, given.rounds)))
    url = os.environ.get("DIGITS_URL", URL)
    comparing.add_argument("--url", default=url, help="where the service is")
    sprinting = commands.add_parser("sprint", help="how soon a network reads 99 %% on a GPU")
    sprinting.add_argument("--seeds", type=int, default=50)
    sprinting.set_defaults(do=lambda given: print(sprint.sprint(given.seeds)))
    reporting = commands.add_parser("report", help="print the tables of a run")
    reporting.set_defaults(do=lambda arguments: print(report.report(results.read(arguments.results))))
    charting = commands.add_parser("chart", help="draw a run")
    charting.set_defaults(do=do_chart)
    for command in (reporting, charting):
        command.add_argument("results", type=Path)
    charting.add_argument("image", type=Path)
    return whole


def add_run(command: argparse.ArgumentParser) -> None:
    command.set_defaults(do=do_run)
    command.add_argument("--peers", nargs="+", default=["own"], help='names, "own" (default) or "all"')
    command.add_argument("--workloads", nargs="+", default=list(CONNECTIONS), choices=CONNECTIONS, metavar="WORKLOAD")
    command.add_argument("--rounds", type=int, default=5)
    command.add_argument("--seconds", type=int, default=8, help="of each load, after a quarter of it to warm up")
    command.add_argument("--disturbance", type=float, default=0.2, help="cores that others may take (default: 0.2)")
    command.add_argument("--retries", type=int, default=2, help="of a load in which they took more (default: 2)")
    add_output(command, "run")


def add_output(command: argparse.ArgumentParser, name: str) -> None:
    """Add the folder of environments, and the file for what is measured."""
    folder = Path(os.environ.get("BENCH_DIR", ".bench"))
    command.add_argument("--environments", type=Path, default=folder, help=f"folder of them (default: {folder})")
    output = folder / f"{name}-{date.today().isoformat()}.json"
    command.add_argument("--output", type=Path, default=output, help=f"default: {output}")


def do_run(given: argparse.Namespace) -> None:
    require_wrk()
    plan = Plan(
        peers=peers.choose(given.peers), environments=given.environments, workloads=given.workloads,
        rounds=given.rounds, seconds=given.seconds, disturbance=given.disturbance, retries=given.retries,
        output=given.output,
    )  # fmt: skip
    with material.prepare(models()) as made:
        print(report.report(run(plan, made)))


def do_soak(given: argparse.Namespace) -> None:
    require_wrk()
    with material.prepare(models()) as made:
        print(soak(given.requests, made, given.environments, given.output))


def do_chart(given: argparse.Namespace) -> None:
    from benchmarks.chart import draw  # matplotlib takes its time

    draw(results.read(given.results), given.image)


def models() -> Path:
    return Path(os.environ.get("DIGITS_MODELS", "models"))


if __name__ == "__main__":
    sys.exit(main())
