"""A Ray Serve deployment that gathers images into batches."""
# mypy: disable-error-code="import-not-found, untyped-decorator, attr-defined"
# its framework is not in the environment that is checked

from __future__ import annotations

import json
import os
import signal
import sys

import numpy as np
import ray
from numpy.typing import NDArray
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from benchmarks.servers.common import answer, decode, load


@serve.deployment(num_replicas=2, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.5})
class Digits:
    def __init__(self) -> None:
        self.run = load()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0)
    async def gathered(self, images: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        return list(self.run(np.stack(images)))

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        if request.url.path == "/batch":
            rows = self.run(np.frombuffer(body, np.uint8).reshape(-1, 28, 28))
            return Response(rows.tobytes(), media_type="application/octet-stream")
        png = request.url.path == "/png"
        image = decode(body) if png else np.array(json.loads(body)["image"], np.uint8)
        return JSONResponse(answer(await self.gathered(image)))


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20)
    options = HTTPOptions(host="127.0.0.1", port=int(os.environ["PORT"]))
    serve.start(http_options=options, logging_config={"enable_access_log": False})
    serve.run(Digits.bind(), route_prefix="/")
    try:
        signal.pause()
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
