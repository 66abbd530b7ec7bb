"""digits predict seven.png, digits read form.jpg, digits evaluate test.zip: the command line, and how it ends."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from digits_client import _commands
from digits_client._answers import Box, read_box
from digits_client._client import URL, Client
from digits_client._exceptions import DigitsError
from digits_client._output import harmless
from digits_client._version import __version__

SHELLS = ("bash", "zsh", "fish")
KEY = "DIGITS_API_KEY"
ENVIRONMENT = f"Environment variables: DIGITS_URL, and {KEY} for a gateway that needs a key."


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if all went well, 1 if not all of it did, 2 if nothing was asked or answered."""
    options = read_arguments(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be any bytes
    try:
        code = int(options.do(options))
        sys.stdout.flush()  # here, where it can still be told if nobody reads it
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed on the way out
        return 2
    except KeyboardInterrupt:
        return 130  # as shells have it
    except OSError as exc:
        tell(f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc))
    except (DigitsError, ValueError, ImportError) as exc:
        tell(str(exc))
    return 2


def tell(message: str) -> None:
    """Say what is wrong on one line, whoever found the words."""
    print(f"digits: {harmless(message)}", file=sys.stderr)


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        options.refuse(f"unrecognized arguments: {' '.join(unknown)}")
    if getattr(options, "annotate", None) and (len(options.images) > 1 or options.images == ["-"]):
        options.refuse("--annotate takes one image, and that from a file")
    return options


def parser(files: object = None) -> argparse.ArgumentParser:
    """Return the parser; `files` is what shtab completes names of files with."""
    top = argparse.ArgumentParser(prog="digits", description="Ask a Digits service.", epilog=ENVIRONMENT)
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    add_url(top, os.environ.get("DIGITS_URL", URL))
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    predict = add(
        commands, "predict", _commands.predict, "read the digit in each image", "0 all were read, 1 some were not"
    )
    read = add(
        commands,
        "read",
        _commands.read,
        "read the numbers in each image",
        "0 all were read, 1 some were not, or only in part",
    )
    evaluate = add(
        commands, "evaluate", _commands.evaluate, "tell how often the service is right about labelled images",
        "0 at least as often as --at-least says, 1 less often",
    )  # fmt: skip
    health = add(commands, "health", _commands.health, "tell whether the service can predict", "0 it can, 1 it cannot")
    add(commands, "model", _commands.model, "show how the model was made and how well it did", "0 shown")
    add_completion(commands)
    add_images([predict, read], files)
    add_read(read)
    add_evaluate(evaluate, files)
    for command, below in (
        (predict, "presence below which an image holds no digit (default: the model's own)"),
        (read, "confidence below which a digit is read as ? (default: the model's own)"),
        (evaluate, "presence below which an image holds no digit; for numbers, confidence below which a digit is ?"),
    ):
        command.add_argument("--threshold", type=share, metavar="SHARE", help=below)
    health.add_argument("--wait", type=seconds, metavar="SECONDS", help="how long to wait, at most, until it can")
    return top


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    do: Callable[[Client, argparse.Namespace], int],
    what: str,
    codes: str,
) -> argparse.ArgumentParser:
    """Add a command that asks the service, with the options that all of these have."""
    ends = f"Exit codes: {codes}, 2 nothing was asked or answered."
    command = commands.add_parser(name, help=what, description=f"{what.capitalize()}. {ends}", epilog=ENVIRONMENT)
    command.set_defaults(do=lambda options: ask(do, options), refuse=command.error)
    add_url(command, argparse.SUPPRESS)  # what was said before the command holds
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of a table")
    form.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    return command


def add_url(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument("--url", default=default, help=f"address of the service (default: DIGITS_URL, or else {URL})")


def ask(do: Callable[[Client, argparse.Namespace], int], options: argparse.Namespace) -> int:
    with Client(options.url, api_key=os.environ.get(KEY)) as client:
        return do(client, options)


def add_images(commands: Sequence[argparse.ArgumentParser], files: object) -> None:
    what = "PNG, JPEG, WebP, BMP, GIF or TIFF file, a folder or quoted pattern of such files, or - for standard input"
    for command in commands:
        images = command.add_argument("images", nargs="+", metavar="IMAGE", help=what)
        setattr(images, "complete", files)  # noqa: B010  # an attribute that only shtab knows


def add_read(command: argparse.ArgumentParser) -> None:
    expected = command.add_mutually_exclusive_group()
    expected.add_argument("--expect", type=int, metavar="N", help="how many digits each number has")
    expected.add_argument("--pattern", help="what each number looks like, such as '[0-9]{4,6}'")
    where = "left,top,width,height, in pixels, of a place with one number; repeat for more places"
    command.add_argument("--boxes", type=box, action="append", default=[], metavar="BOX", help=where)
    command.add_argument("--annotate", metavar="OUT", help="draw what was read into a copy of the image, OUT")


def add_evaluate(command: argparse.ArgumentParser, files: object) -> None:
    what = (
        "folder or zip with labels.csv (columns file and label) or with folders 0 to 9, or .npz with x_test and y_test"
    )
    labelled = command.add_argument("set", metavar="SET", help=what)
    setattr(labelled, "complete", files)  # noqa: B010  # as above
    command.add_argument(
        "--worst", type=count, default=10, metavar="N", help="number of mistakes to list (default: 10)"
    )
    command.add_argument(
        "--at-least", type=share, default=0.0, metavar="SHARE", help="share that must be right, such as 0.99"
    )


def add_completion(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    how = 'for bash: eval "$(digits completion bash)" in .bashrc; needs shtab: pip install shtab'
    command = commands.add_parser(
        "completion", help="print a script that completes commands in a shell", description=how
    )
    command.set_defaults(do=complete, refuse=command.error)
    command.add_argument("shell", choices=SHELLS)


def complete(options: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError as exc:
        raise ImportError("this takes shtab: pip install shtab") from exc
    print(shtab.complete(parser(shtab.FILE), options.shell))
    return 0


# --- values of options --------------------------------------------------------------------------


def share(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (value := float(text)) <= 1:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1, such as 0.99")


def seconds(text: str) -> float:
    with suppress(ValueError):
        if (value := float(text)) > 0:  # false for nan, too, with which a wait would never end
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, such as 60")


def count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def box(text: str) -> Box:
    try:
        return read_box([int(number) for number in text.split(",")])
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not left,top,width,height, such as 12,40,180,36") from exc


if __name__ == "__main__":
    sys.exit(main())
