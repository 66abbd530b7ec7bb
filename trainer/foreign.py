"""What manifests say that anybody may have written: objects, numbers and words, or none where they are no such thing.

Knows nothing of what is done with them.
"""

from __future__ import annotations

import sys
from typing import Any

from digits.bundle import Manifest

MOST = 80  # characters of a word; a name of a file or a version has no more, mostly


def entry(manifest: Manifest, name: str) -> Manifest:
    """Return an object in a manifest; an empty one if there is none, as of a `.h5` alone."""
    found = manifest.get(name)
    return found if isinstance(found, dict) else {}


def is_number(value: Any) -> bool:
    """Tell whether something is a number that a float can hold, which 10**400 is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def word(value: Any, default: str) -> str:
    """Return text as it may be shown on a terminal: short, on one line, and without control characters."""
    if not isinstance(value, str):
        return default
    shown = "".join(one if one.isprintable() else "?" for one in value[:MOST])
    return shown if len(value) <= MOST else f"{shown}…"
