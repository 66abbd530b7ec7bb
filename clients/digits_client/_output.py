"""Tables, CSV and progress, for people and programs. Knows nothing of what they say."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO, TypeVar

T = TypeVar("T")

BETWEEN = 0.1  # seconds between two states of a bar
WIDTH = 30
WIPE = "\x1b[K"  # the rest of the line, on any terminal since the VT100
COMMANDS = re.compile(  # to a terminal: to colour, erase, answer, begin a line (C0, C1, U+2028 …) or turn text around
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)

Row = Sequence[object]


def as_table(head: Sequence[str], rows: Iterable[Row]) -> str:
    cells = [list(head), *([shown(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else harmless(str(value))


def harmless(text: str) -> str:
    """Write out what a terminal would obey, as Python does: services and names of files may hold anything."""
    return COMMANDS.sub(lambda found: ascii(found[0])[1:-1], text)


def as_csv(head: Sequence[str], rows: Iterable[Row]) -> str:
    """Return rows as RFC 4180 has them, but with plain line ends; None is an empty field.

    Terminals show it, too, so that text is made harmless; JSON has it as it is.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([harmless(value) if isinstance(value, str) else value for value in row] for row in rows)
    return file.getvalue().rstrip("\n")


def followed(items: Iterable[T], total: int, out: TextIO, clock: Callable[[], float] = time.monotonic) -> Iterator[T]:
    """Yield items, and if somebody looks on and it takes a while, show how many of them there were."""
    drawn = started = clock()
    looked_at = out.isatty()
    for done, item in enumerate(items, 1):
        if looked_at and (now := clock()) - drawn > BETWEEN:
            drawn = now
            print("\r" + bar(done, total, done / (now - started)), end="", file=out, flush=True)
        yield item
    if drawn > started:
        print("\r" + WIPE, end="", file=out, flush=True)


def bar(done: int, total: int, each_second: float) -> str:
    full = WIDTH * done // total
    return f"{'█' * full}{'░' * (WIDTH - full)} {done:,} of {total:,}, {each_second:,.0f} a second{WIPE}"
