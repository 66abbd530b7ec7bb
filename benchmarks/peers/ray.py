"""Ray Serve: two replicas with @serve.batch, and the switches that its documentation names for throughput."""

from __future__ import annotations

from benchmarks.peer import Exchange, Peer, post, post_json, raw_float32, under
from digits.image import as_png

PEERS = (
    Peer(
        name="ray",
        environment="ray",
        command=("{python}", "-m", "benchmarks.servers.ray"),
        exchanges={
            "json": Exchange(lambda image: post_json("/json", {"image": image.tolist()}), under("probabilities")),
            "png": Exchange(lambda image: post("/png", as_png(image), "image/png"), under("probabilities")),
            "batch": Exchange(lambda batch: post("/batch", batch.tobytes()), raw_float32),
        },
        settings={
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
        },
    ),
)
