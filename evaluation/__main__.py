"""python -m evaluation: sets, which asks a service; ablation, rendered, grain, signs, steps, on the served model."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from digits import bundle, network
from digits.bundle import Bundle
from digits.decode import decode, identify
from digits.errors import Refused
from digits.network import Network
from digits_client import Client, DigitsError
from digits_client._client import URL
from evaluation import ablation, grain, rendered, sets, signs, steps, whole


def main() -> int:
    given = parser().parse_args()
    try:
        given.do(given)
    except (OSError, ValueError, Refused, DigitsError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    everything = argparse.ArgumentParser(prog="python -m evaluation", description=str(__doc__))
    commands = everything.add_subparsers(required=True)
    add_sets(commands.add_parser("sets", help="ask a running service about labelled images"))
    ablating = commands.add_parser("ablation", help="what each step of reading gives")
    ablating.add_argument("sets", nargs="*", type=Path, metavar="SET", help="zip or folder, with labels.csv")
    ablating.set_defaults(do=lambda given: print(ablation.ablate(reader(), given.sets)))
    rendering = commands.add_parser("rendered", help="what it costs to find a digit on a canvas")
    rendering.add_argument("--count", type=int, default=10_000, help="of test digits")
    rendering.set_defaults(do=lambda given: print(rendered.compare(reader(), given.count)))
    graining = commands.add_parser(
        "grain", help="how faint writing may be, how grainy a picture, and among how many specks"
    )
    graining.add_argument("--count", type=int, default=50, help="of digits and of numbers for each contrast and noise")
    graining.set_defaults(do=lambda given: print(grain.report(reader(), given.count)))
    signing = commands.add_parser("signs", help="how many printed signs are refused that are no digits")
    signing.set_defaults(do=do_signs)
    looking = commands.add_parser("whole", help="what a second look at the whole picture gives")
    looking.add_argument("sets", nargs="*", type=Path, metavar="SET", help="zip or folder, with labels.csv")
    looking.add_argument("--count", type=int, default=400, help="digits of MNIST")
    looking.set_defaults(do=do_whole)
    stepping = commands.add_parser("steps", help="draw how pictures are read, step by step")
    stepping.add_argument("pictures", nargs="+", type=Path)
    stepping.add_argument("image", type=Path)
    stepping.add_argument("--numbers", action="store_true", help="draw how numbers are read")
    stepping.set_defaults(do=do_steps)
    return everything


def add_sets(command: argparse.ArgumentParser) -> None:
    command.set_defaults(do=do_sets)
    command.add_argument("sets", nargs="+", type=Path, metavar="SET", help="as `digits evaluate` takes them")
    url = os.environ.get("DIGITS_URL", URL)
    command.add_argument("--url", default=url, help="where the service is")
    command.add_argument("--json", type=Path, help="where to write the figures, for `python -m trainer report`")
    command.add_argument("--sheet", type=Path, help="where to draw what went wrong, as a PNG")


def do_sets(given: argparse.Namespace) -> None:
    with Client(given.url) as client:
        measured = [sets.measure(client, path) for path in given.sets]
    print(sets.report(measured))
    if given.json:
        given.json.write_text(json.dumps(sets.facts(measured), indent=1) + "\n")
    if given.sheet:
        sets.contact_sheet(measured).save(given.sheet)


def do_signs(given: argparse.Namespace) -> None:
    found = served()
    print(signs.report(network.load(found.h5), threshold(found)))


def do_whole(given: argparse.Namespace) -> None:
    found = served()
    print(whole.report(network.load(found.h5), threshold(found), given.count, given.sets))


def do_steps(given: argparse.Namespace) -> None:
    pictures = [decode(identify(path.read_bytes())).image for path in given.pictures]
    if given.numbers:
        steps.draw_numbers(pictures, reader()).save(given.image)
    else:
        steps.draw(pictures).save(given.image)


def reader() -> Network:
    """Return the network that a service would serve. Raises `BadBundle` and `BadModel`."""
    return network.load(served().h5)


def threshold(model: Bundle) -> float:
    """Return the presence below which an image holds no digit."""
    return float(model.manifest.get("thresholds", {}).get("presence", 0.0))


def served() -> Bundle:
    models = Path(os.environ.get("DIGITS_MODELS", "models"))
    return bundle.read_served(models, bundle.DEFAULT_MODEL)


if __name__ == "__main__":
    sys.exit(main())
