"""Our own service, as its users start it."""

from __future__ import annotations

import io
import json

import numpy as np

from benchmarks.peer import Exchange, Peer, Probabilities, npy, post, post_json
from digits.image import as_png


def read(body: bytes) -> Probabilities:
    """Read an array or JSON, whichever came."""
    if body.startswith(b"\x93NUMPY"):
        return np.asarray(np.load(io.BytesIO(body)))
    return np.array([item["probabilities"] for item in json.loads(body)["predictions"]])


def digits(name: str, **settings: str) -> Peer:
    return Peer(
        name=name,
        environment="digits",
        command=("{python}", "-m", "service"),
        exchanges={
            "json": Exchange(lambda image: post_json("/predict", {"pixels": [image.tolist()]}), read),
            "png": Exchange(lambda image: post("/predict", as_png(image), "image/png"), read),
            "batch": Exchange(
                lambda batch: post("/predict", npy(batch), "application/x-npy", Accept="application/x-npy"), read
            ),
        },
        settings={"DIGITS_MODELS": "{models}", "DIGITS_PORT": "{port}", "DIGITS_LOG_LEVEL": "warning"} | settings,
        liveness="/health/live",
    )


PEERS = (digits("digits"), digits("digits-1w", DIGITS_WORKERS="1"), digits("digits-2w", DIGITS_WORKERS="2"))
