"""Triton by way of PyTriton: V2 JSON for one image, the binary extension of V2 for the rest."""

from __future__ import annotations

import json
import struct

import numpy as np

from benchmarks.peer import Exchange, Peer, Probabilities, Request, post, post_json, raw_float32
from digits.image import as_png

HEAD_LENGTH = "Inference-Header-Content-Length"


def infer(rows: list[list[int]]) -> Request:
    tensor = {"name": "images", "shape": [1, 28, 28], "datatype": "UINT8", "data": [rows]}
    return post_json("/v2/models/digits/infer", {"inputs": [tensor]})


def infer_bytes(model: str, shape: list[int], datatype: str, data: bytes) -> Request:
    size = {"binary_data_size": len(data)}
    tensor = {"name": "images", "shape": shape, "datatype": datatype, "parameters": size}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return post(f"/v2/models/{model}/infer", head + data, **{HEAD_LENGTH: str(len(head))})


def read_json(body: bytes) -> Probabilities:
    return np.asarray(json.loads(body)["outputs"][0]["data"]).reshape(-1, 10)


def read_binary(body: bytes) -> Probabilities:
    """Read what follows a head in JSON, whose last bracket closes the list of outputs."""
    return raw_float32(body[body.index(b"]}") + 2 :])


def pytriton(name: str, instances: int, delay_us: int) -> Peer:
    return Peer(
        name=name,
        environment="pytriton",
        command=("{python}", "-m", "benchmarks.servers.pytriton"),
        exchanges={
            "json": Exchange(lambda image: infer(image.tolist()), read_json),
            "png": Exchange(lambda image: infer_bytes("png", [1, 1], "BYTES", with_length(as_png(image))), read_binary),
            "batch": Exchange(
                lambda batch: infer_bytes("digits", list(batch.shape), "UINT8", batch.tobytes()), read_binary
            ),
        },
        settings={"INSTANCES": str(instances), "DELAY_US": str(delay_us)},
    )


def with_length(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


PEERS = (pytriton("pytriton", 2, 100), pytriton("pytriton-1i", 1, 0))
