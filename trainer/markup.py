"""Pieces of HTML, as text: sections, tables, figures, and how values are written. Knows nothing of models.

Whatever is not HTML itself is escaped by what takes it, but for titles, captions and notes, which are.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any


class Raw(str):
    """HTML that is put into a table as it is; any other text is escaped."""

    __slots__ = ()


def section(title: str, *parts: str) -> str:
    return f"<section><h2>{title}</h2>{''.join(parts)}</section>\n"


def note(html: str) -> str:
    return f'<p class="note">{html}</p>'


def figure(name: str, value: str, more: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd>{escape(more)}</dd></div>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", bar: int = -1) -> str:
    """Return a table whose first column names the rows; column `bar` holds bars."""

    def cell(kind: str, index: int, value: str, scope: str = "") -> str:
        drawn = ' class="bar"' if index == bar else ""
        return f"<{kind}{scope}{drawn}>{value if isinstance(value, Raw) else escape(value)}</{kind}>"

    names = "".join(cell("th", index, name, ' scope="col"') for index, name in enumerate(head))
    body = "".join(
        "<tr>"
        + cell("th", 0, row[0], ' scope="row"')
        + "".join(cell("td", index, value) for index, value in enumerate(row[1:], 1))
        + "</tr>"
        for row in rows
    )
    above = f"<caption>{caption}</caption>" if caption else ""
    return f"<table>{above}<thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def facts(values: Mapping[str, Any], caption: str) -> str:
    """Return a table of names and values, whatever they are; nothing if there are none."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in flat(values)
    )
    return f'<table class="facts"><caption>{caption}</caption><tbody>{rows}</tbody></table>' if rows else ""


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        words = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from flat(value, f"{words}, ")
        else:
            yield words, plain(value)


def plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, list):
        return "; ".join(map(plain, value)) or "none"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def percent(share: float) -> str:
    return f"{share:.2%}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{seconds:.1f} s" if seconds < 100 else f"{minutes} min {rest} s"


def day(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%d %B %Y, %H:%M} UTC".lstrip("0")


def data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
