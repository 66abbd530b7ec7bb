"""May a network take the place of what is served? Not if that is better, by more than chance.

Both are asked about the same validation images. Knows nothing of how networks are made or published.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from digits import bundle, network
from digits.bundle import Bundle
from digits.errors import Refused
from digits.network import Network
from trainer import compare
from trainer.dataset import Part


def served(models: Path) -> Bundle | None:
    """Return what a service would take up now, if it would anything; what it cannot read is no rival."""
    try:
        return bundle.read_served(models, bundle.DEFAULT_MODEL)
    except Refused:
        return None


def compare_on(validation: Part, challenger: Network, rival: Bundle | None) -> dict[str, Any] | None:
    """Return how many of the images only one of the two reads rightly; None if nothing is served, or can be read."""
    if rival is None:
        return None
    try:
        other = network.load(rival.h5)
    except Refused:
        return None
    found = compare.mcnemar(compare.right(challenger, validation), compare.right(other, validation))
    return {
        "with": rival.version, "images": found.images, "only_this_right": found.only_first,
        "only_that_right": found.only_second, "p_value": found.p_value,
    }  # fmt: skip


def why_worse(facts: Mapping[str, Any] | None) -> str | None:
    """Return why a network is not to take over, given what `compare_on` made of it, if there is a reason."""
    if not facts or facts["only_this_right"] >= facts["only_that_right"] or facts["p_value"] >= compare.SIGNIFICANT:
        return None
    return f"what is served is better: {against(facts)}; --force serves it all the same"


def against(facts: Mapping[str, Any]) -> str:
    """Say how a network did against the one that was served."""
    return (
        f"of {facts['images']:,} validation images {facts['only_this_right']} are read rightly by it alone, and "
        f"{facts['only_that_right']} by {facts['with']} alone (McNemar's p = {facts['p_value']:.2g})"
    )
