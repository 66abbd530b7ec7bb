"""LitServe, which reads JSON and forms only: a batch is base64 inside JSON."""

from __future__ import annotations

import base64

from benchmarks.peer import Exchange, Peer, post_file, post_json, under
from digits.image import as_png

READ = under("probabilities")


def litserve(name: str, workers: int) -> Peer:
    return Peer(
        name=name,
        environment="litserve",
        command=("{python}", "-m", "benchmarks.servers.litserve"),
        exchanges={
            "json": Exchange(lambda image: post_json("/predict", {"image": image.tolist()}), READ),
            "png": Exchange(lambda image: post_file("/predict", "file", as_png(image), "digit.png", "image/png"), READ),
            "batch": Exchange(
                lambda batch: post_json("/predict", {"raw": base64.b64encode(batch.tobytes()).decode()}), READ
            ),
        },
        settings={"WORKERS": str(workers)},
    )


PEERS = (litserve("litserve", 2), litserve("litserve-1w", 1))
