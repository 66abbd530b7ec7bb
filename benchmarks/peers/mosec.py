"""mosec: an HTTP front in Rust, workers in Python, dynamic batching. Raw bytes are its natural body."""

from __future__ import annotations

from benchmarks.peer import Exchange, Peer, post, post_json, raw_float32, under
from digits.image import as_png


def mosec(name: str, max_batch: int) -> Peer:
    return Peer(
        name=name,
        environment="mosec",
        command=(
            "{python}", "-m", "benchmarks.servers.mosec", "--address", "127.0.0.1", "--port", "{port}",
            "--log-level", "warning", "--timeout", "30000",
        ),
        exchanges={
            "json": Exchange(lambda image: post_json("/predict", {"image": image.tolist()}), under("probabilities")),
            "png": Exchange(lambda image: post("/predict", as_png(image), "image/png"), under("probabilities")),
            "batch": Exchange(lambda batch: post("/predict", batch.tobytes()), raw_float32),
        },
        settings={"WORKERS": "2", "MAX_BATCH": str(max_batch), "MAX_WAIT_MS": "1"},
    )  # fmt: skip


PEERS = (mosec("mosec", 64), mosec("mosec-nobatch", 1))
