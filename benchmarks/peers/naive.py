"""FastAPI and TensorFlow: as tutorials have it, and after the first improvements that everybody makes."""

from __future__ import annotations

from benchmarks.peer import Exchange, Peer, post_file, post_json, under
from digits.image import as_png

READ = under("probabilities")


def fastapi(name: str, *command: str) -> Peer:
    return Peer(
        name=name,
        environment="tf",
        command=("{bin}/uvicorn", "--port", "{port}", *command),
        exchanges={
            "json": Exchange(lambda image: post_json("/predict", {"image": image.tolist()}), READ),
            "png": Exchange(
                lambda image: post_file("/predict/image", "file", as_png(image), "digit.png", "image/png"), READ
            ),
            "batch": Exchange(lambda batch: post_json("/predict/batch", {"images": batch.tolist()}), READ),
        },
        settings={"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"},
    )


NAIVE = fastapi("naive", "benchmarks.servers.naive:app")
FAST = fastapi("naive-fast", "--workers", "2", "--no-access-log", "benchmarks.servers.naive_fast:app")
