"""BentoML with adaptive batching, a worker a core, without access log and metrics. A batch is an uploaded file."""

from __future__ import annotations

import json

import numpy as np

from benchmarks.peer import Exchange, Peer, Probabilities, post_file, post_json
from digits.image import as_png


def read(body: bytes) -> Probabilities:
    return np.asarray(json.loads(body)).reshape(-1, 10)


PEERS = (
    Peer(
        name="bentoml",
        environment="bento",
        command=(
            "{bin}/bentoml", "serve", "benchmarks.servers.bentoml:Digits", "--working-dir", "{root}",
            "--host", "127.0.0.1", "--port", "{port}",
        ),
        exchanges={
            "json": Exchange(lambda image: post_json("/predict", {"images": [image.tolist()]}), read),
            "png": Exchange(
                lambda image: post_file("/predict_png", "images", as_png(image), "digit.png", "image/png"), read
            ),
            "batch": Exchange(
                lambda batch: post_file(
                    "/predict_raw", "pixels", batch.tobytes(), "pixels.bin", "application/octet-stream"
                ),
                read,
            ),
        },
        settings={"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "{work}"},
    ),
)  # fmt: skip
