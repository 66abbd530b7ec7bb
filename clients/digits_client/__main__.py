"""digits predict seven.png more/*.png: ask the service from a shell."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

from digits_client._client import URL, Client
from digits_client._exceptions import DigitsError
from digits_client._messages import Prediction


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every image was read, 1 if some were not, 2 if there was no answer at all."""
    options = parser().parse_args(arguments)
    try:
        with Client(options.url) as client:
            predictions = client.predict(options.images)
    except OSError as exc:
        print(f"digits: {exc.filename}: {exc.strerror}" if exc.filename else f"digits: {exc}", file=sys.stderr)
        return 2
    except DigitsError as exc:
        print(f"digits: {exc}", file=sys.stderr)
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be any bytes
    named = [(path, prediction) for path, prediction in zip(options.images, predictions, strict=True)]
    print(as_json(named) if options.json else as_table(named))
    return 0 if all(prediction.error is None for prediction in predictions) else 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="digits", description="Ask a Digits service.")
    top.add_argument("--version", action="version", version=f"%(prog)s {version('digits')}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    predict = commands.add_parser(
        "predict", help="read the digit in each image",
        description="Read the digit in each image. Exit codes: 0 all were read, 1 some were not, "
        "2 nothing was asked or answered.",
    )  # fmt: skip
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="PNG, JPEG, WebP, BMP, GIF or TIFF file")
    predict.add_argument("--json", action="store_true", help="print JSON instead of a table")
    predict.add_argument(
        "--url", default=os.environ.get("DIGITS_URL", URL), help="where the service is (default: %(default)s)"
    )
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


def as_json(named: Sequence[tuple[str, Prediction]]) -> str:
    return json.dumps([asdict(prediction) | {"name": path} for path, prediction in named], indent=1)


if __name__ == "__main__":
    sys.exit(main())
