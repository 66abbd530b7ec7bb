"""python -m benchmarks: run, report, chart, soak, client, evaluate, ablation, rendered, sprint, steps."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

from benchmarks import ablation, accuracy, client, material, peers, rendered, report, results, sprint, steps
from benchmarks.load import require_wrk
from benchmarks.rounds import CONNECTIONS, Plan, run
from benchmarks.soak import soak
from digits import bundle, network
from digits.decode import decode, identify
from digits.errors import BadBundle, BadModel
from digits.network import Network
from digits_client import Client, DigitsError


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
    add_evaluate(commands.add_parser("evaluate", help="ask a running service about labelled images"))
    comparing = commands.add_parser("client", help="send a running service arrays through the client, and by curl")
    comparing.add_argument("--rounds", type=int, default=5)
    comparing.set_defaults(do=lambda given: print(client.compare(given.url, given.rounds)))
    add_url(comparing)
    ablating = commands.add_parser("ablation", help="what each step of reading gives, on the model that is served")
    ablating.add_argument("sets", nargs="*", type=Path, metavar="SET", help="zip or folder, with labels.csv")
    ablating.set_defaults(do=lambda given: print(ablation.ablate(reader(), given.sets)))
    rendering = commands.add_parser(
        "rendered", help="what it costs to find a digit on a canvas, on the model that is served"
    )
    rendering.add_argument("--count", type=int, default=10_000, help="of test digits")
    rendering.set_defaults(do=lambda given: print(rendered.compare(reader(), given.count)))
    sprinting = commands.add_parser("sprint", help="how soon a network reads 99 % on a GPU")
    sprinting.add_argument("--seeds", type=int, default=50)
    sprinting.set_defaults(do=lambda given: print(sprint.sprint(given.seeds)))
    stepping = commands.add_parser("steps", help="draw how pictures are read, step by step")
    stepping.add_argument("pictures", nargs="+", type=Path)
    stepping.add_argument("image", type=Path)
    stepping.add_argument(
        "--numbers", action="store_true", help="draw how numbers are read, by the model that is served"
    )
    stepping.set_defaults(do=do_steps)
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


def add_evaluate(command: argparse.ArgumentParser) -> None:
    command.set_defaults(do=do_evaluate)
    command.add_argument("sets", nargs="+", type=Path, metavar="SET", help="as `digits evaluate` takes them")
    add_url(command)
    command.add_argument("--json", type=Path, help="where to write the figures, for `python -m trainer report`")
    command.add_argument("--sheet", type=Path, help="where to draw what went wrong, as a PNG")


def add_url(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--url", default=os.environ.get("DIGITS_URL", "http://localhost:8000"), help="where the service is"
    )


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


def do_evaluate(given: argparse.Namespace) -> None:
    with Client(given.url) as asked:
        measured = [accuracy.measure(asked, path) for path in given.sets]
    print(accuracy.report(measured))
    if given.json:
        given.json.write_text(json.dumps(accuracy.facts(measured), indent=1) + "\n")
    if given.sheet:
        accuracy.contact_sheet(measured).save(given.sheet)


def do_steps(given: argparse.Namespace) -> None:
    pictures = [decode(identify(path.read_bytes())).image for path in given.pictures]
    if given.numbers:
        steps.draw_numbers(pictures, reader()).save(given.image)
    else:
        steps.draw(pictures).save(given.image)


def do_chart(given: argparse.Namespace) -> None:
    from benchmarks.chart import draw  # matplotlib takes its time

    draw(results.read(given.results), given.image)


def reader() -> Network:
    """Return the network that a service would serve. Raises `BadBundle` and `BadModel`."""
    return network.load(bundle.read_served(models(), bundle.DEFAULT_MODEL).h5)


def models() -> Path:
    return Path(os.environ.get("DIGITS_MODELS", "models"))


if __name__ == "__main__":
    sys.exit(main())
