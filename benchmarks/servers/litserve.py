"""A LitServe API that takes an image or a batch as one item. LitServe reads annotations as objects, so keep them."""
# mypy: disable-error-code="import-not-found, misc"
# its framework is not in the environment that is checked

import base64
import os
from typing import Any

import litserve
import numpy as np
from fastapi import Request
from numpy.typing import NDArray

from benchmarks.servers.common import answer, decode, load


class Digits(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.run = load()

    def decode_request(self, request: Request) -> NDArray[np.uint8]:
        if "image" in request:
            return np.array(request["image"], np.uint8)[None]
        if "file" in request:
            return decode(request["file"].file.read())[None]
        return np.frombuffer(base64.b64decode(request["raw"]), np.uint8).reshape(-1, 28, 28)

    def batch(self, inputs: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        return inputs

    def predict(self, inputs: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        return np.split(self.run(np.concatenate(inputs)), np.cumsum([len(item) for item in inputs])[:-1])

    def unbatch(self, output: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        return output

    def encode_response(self, rows: NDArray[np.float32]) -> dict[str, Any]:
        return answer(rows[0]) if len(rows) == 1 else {"probabilities": rows.tolist()}


def main() -> None:
    api = Digits(max_batch_size=64, batch_timeout=0.001)
    workers = int(os.environ["WORKERS"])
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers, fast_queue=True)
    server.run(
        host="127.0.0.1", port=int(os.environ["PORT"]), num_api_servers=2, log_level="warning",
        generate_client_file=False, access_log=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
