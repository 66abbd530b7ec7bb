"""digits predict seven.png, digits read form.jpg: ask the service from a shell."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

from digits_client._annotate import annotate
from digits_client._answers import Prediction, Reading
from digits_client._client import URL, Client
from digits_client._exceptions import DigitsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every image was read, 1 if some were not, 2 if there was no answer at all."""
    options = read_arguments(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be any bytes
    try:
        with Client(options.url) as client:
            return int(options.do(client, options))
    except OSError as exc:
        print(f"digits: {exc.filename}: {exc.strerror}" if exc.filename else f"digits: {exc}", file=sys.stderr)
    except DigitsError as exc:
        print(f"digits: {exc}", file=sys.stderr)
    return 2


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    reader = parser()
    options = reader.parse_args(arguments)
    if getattr(options, "annotate", None) and len(options.images) > 1:
        reader.error("--annotate takes one image")
    return options


def predict(client: Client, options: argparse.Namespace) -> int:
    predictions = client.predict(options.images)
    named = list(zip(options.images, predictions, strict=True))
    print(as_json(named) if options.json else as_table(named))
    return int(any(prediction.error for prediction in predictions))


def read(client: Client, options: argparse.Namespace) -> int:
    readings = client.read(options.images, expect=options.expect, pattern=options.pattern)
    named = list(zip(options.images, readings, strict=True))
    print(as_json(named) if options.json else as_text(named))
    if options.annotate and not readings[0].error and not draw(options.images[0], readings[0], options.annotate):
        return 2
    return int(not all(map(is_whole, readings)))


def is_whole(reading: Reading) -> bool:
    """Tell whether all of an image was read, and as it was expected."""
    return reading.error is None and all(line.fits is not False and "?" not in line.text for line in reading.lines)


def draw(picture: str, reading: Reading, out: str) -> bool:
    try:
        annotate(picture, reading, out)
    except (ImportError, ValueError) as exc:  # no Pillow, or a suffix that it doesn't know
        print(f"digits: {exc}", file=sys.stderr)
        return False
    return True


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="digits", description="Ask a Digits service.")
    top.add_argument("--version", action="version", version=f"%(prog)s {version('digits')}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    codes = "Exit codes: 0 all were read, 1 some were not, or not wholly, 2 nothing was asked or answered."
    one = commands.add_parser(
        "predict", help="read the digit in each image", description=f"Read the digit in each image. {codes}"
    )
    many = commands.add_parser(
        "read", help="read the numbers in each image", description=f"Read the numbers in each image. {codes}"
    )
    for command, do in ((one, predict), (many, read)):
        command.set_defaults(do=do)
        command.add_argument("images", nargs="+", metavar="IMAGE", help="PNG, JPEG, WebP, BMP, GIF or TIFF file")
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
        command.add_argument(
            "--url", default=os.environ.get("DIGITS_URL", URL), help="where the service is (default: %(default)s)"
        )
    expected = many.add_mutually_exclusive_group()
    expected.add_argument("--expect", type=int, metavar="N", help="how many digits each number has")
    expected.add_argument("--pattern", help="what each number looks like, such as '[0-9]{4,6}'")
    many.add_argument("--annotate", metavar="OUT", help="draw what was read into a copy of the image")
    return top


def as_table(named: Sequence[tuple[str, Prediction]]) -> str:
    width = max(len("image"), *(len(path) for path, _ in named))
    lines = [f"{'image':<{width}}  digit  confidence"]
    for path, prediction in named:
        if prediction.error:
            lines.append(f"{path:<{width}}  -      {prediction.error.message}")
        else:
            digit = "-" if prediction.digit is None else prediction.digit
            doubt = f"  {prediction.reason}" if prediction.reason else ""
            lines.append(f"{path:<{width}}  {digit}      {prediction.confidence:.4f}{doubt}")
    return "\n".join(lines)


def as_text(named: Sequence[tuple[str, Reading]]) -> str:
    """Return a table with a row for each line of digits."""
    width = max(len("image"), *(len(path) for path, _ in named))
    rows = [(path, *row) for path, reading in named for row in rows_of(reading)]
    return "\n".join(
        f"{path:<{width}}  {sure:<10}  {text}" for path, sure, text in [("image", "confidence", "text"), *rows]
    )


def rows_of(reading: Reading) -> list[tuple[str, str]]:
    if reading.error:
        return [("-", reading.error.message)]
    lines = [(f"{line.confidence:.4f}", line.text + " (does not fit)" * (line.fits is False)) for line in reading.lines]
    return lines or [("-", "(no digits)")]


def as_json(named: Sequence[tuple[str, Prediction | Reading]]) -> str:
    return json.dumps([asdict(answer) | {"name": path} for path, answer in named], indent=1)


if __name__ == "__main__":
    sys.exit(main())
