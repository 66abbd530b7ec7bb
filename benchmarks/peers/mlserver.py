"""MLServer, the V2 protocol over REST, in one process: its parallel workers are slower here. Bytes go as base64."""

from __future__ import annotations

import base64
import json

import numpy as np

from benchmarks.peer import Exchange, Peer, Probabilities, Request, post_json
from digits.image import as_png


def infer(model: str, shape: list[int], datatype: str, data: object, content_type: str) -> Request:
    tensor = {"name": "images", "shape": shape, "datatype": datatype, "data": data}
    return post_json(f"/v2/models/{model}/infer", {"inputs": [tensor | {"parameters": {"content_type": content_type}}]})


def infer_bytes(model: str, data: bytes) -> Request:
    return infer(model, [1, 1], "BYTES", [base64.b64encode(data).decode()], "base64")


def read(body: bytes) -> Probabilities:
    return np.asarray(json.loads(body)["outputs"][0]["data"]).reshape(-1, 10)


def mlserver(name: str, max_batch: int, max_batch_time: float) -> Peer:
    return Peer(
        name=name,
        environment="mlserver",
        command=("{python}", "-m", "benchmarks.servers.mlserver"),
        exchanges={
            "json": Exchange(lambda image: infer("digits", [1, 28, 28], "UINT8", image.tolist(), "np"), read),
            "png": Exchange(lambda image: infer_bytes("png", as_png(image)), read),
            "batch": Exchange(lambda batch: infer_bytes("raw", batch.tobytes()), read),
        },
        settings={"MAX_BATCH": str(max_batch), "MAX_BATCH_TIME": str(max_batch_time)},
    )


PEERS = (mlserver("mlserver", 64, 0.001), mlserver("mlserver-nobatch", 0, 0))
