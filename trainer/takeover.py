"""May a network take the place of what is served? Not if that is better, by more than chance.

Both are asked about the same validation images. Knows nothing of how networks are made or published.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from digits import bundle, network
from digits.bundle import Manifest
from digits.errors import Refused
from digits.network import Network
from trainer import compare
from trainer.compare import Right
from trainer.config import Config
from trainer.dataset import Dataset
from trainer.foreign import word

Facts = Mapping[str, Any]  # what a manifest keeps of the comparison


def compare_with_served(challenger: Network, facts: Manifest, data: Dataset, config: Config) -> dict[str, Any]:
    """Return how many validation images only one of the two reads rightly, or why nothing can be compared.

    The other is what a service of `config.output` would take up now; `facts` are known of the
    challenger. "caveats" say why either may know these images, if it may, as `compare` does.
    """
    own = compare.caveats(facts, data, config, "validation")
    right = compare.right(challenger, data.validation)
    try:
        return against_served(right, own, data, config)
    except Refused as exc:
        return {"not_compared": str(exc), "caveats": own}
    except Exception as exc:  # ONNX Runtime has many; a training is not lost for what lies where it is published
        return {"not_compared": word(f"{type(exc).__name__}: {exc}", ""), "caveats": own}


def against_served(right: Right, own: list[str], data: Dataset, config: Config) -> dict[str, Any]:
    rival = bundle.read_served(config.output, bundle.DEFAULT_MODEL)
    found = compare.mcnemar(right, compare.right(network.load(rival.h5), data.validation))
    return {
        "with": rival.version, "images": found.images, "only_this_right": found.only_first,
        "only_that_right": found.only_second, "p_value": found.p_value,
        "caveats": own + compare.caveats(rival.manifest, data, config, "validation"),
    }  # fmt: skip


def why_worse(facts: Facts) -> str | None:
    """Return why a network is not to take over, given what was found, if there is a reason."""
    if not is_better_served(facts):
        return None
    return f"what is served is better: {against(facts)}; --force serves it all the same"


def is_better_served(facts: Facts) -> bool:
    if "not_compared" in facts:
        return False
    return bool(facts["only_this_right"] < facts["only_that_right"] and facts["p_value"] < compare.SIGNIFICANT)


def sentence(facts: Facts) -> str:
    """Say how a network came to be served."""
    anyway = ", by --force or --quick, though what was served is better" if is_better_served(facts) else ""
    return f"takes over{anyway}: {against(facts)}"


def against(facts: Facts) -> str:
    """Say how a network did against the one that was served, and what is to be thought of that."""
    if "not_compared" in facts:
        return f"it was compared with nothing, since what is served cannot be read ({facts['not_compared']})"
    but = "".join(f"; but {caveat}" for caveat in facts["caveats"])
    return (
        f"of {facts['images']:,} validation images {facts['only_this_right']} are read correctly by it alone, and "
        f"{facts['only_that_right']} by {facts['with']} alone (McNemar's p = {facts['p_value']:.2g}){but}"
    )
