"""Three models for MLServer, one for each kind of body; as a program, it writes their settings and becomes MLServer."""
# mypy: disable-error-code="import-not-found, misc"
# its framework is not in the environment that is checked

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput
from numpy.typing import NDArray

from benchmarks.servers.common import decode, load


class Digits(MLModel):
    async def load(self) -> bool:
        self.run = load()
        return True

    def pixels(self, item: RequestInput) -> NDArray[np.uint8]:
        return np.asarray(NumpyCodec.decode_input(item))

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.run(self.pixels(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", rows)])


class Png(Digits):
    def pixels(self, item: RequestInput) -> NDArray[np.uint8]:
        return np.stack([decode(data) for data in Base64Codec.decode_input(item)])


class Raw(Digits):
    def pixels(self, item: RequestInput) -> NDArray[np.uint8]:
        return np.frombuffer(Base64Codec.decode_input(item)[0], np.uint8).reshape(-1, 28, 28)


def main() -> None:
    work, port = Path(os.environ["WORK_DIR"]), int(os.environ["PORT"])
    batching = {"max_batch_size": int(os.environ["MAX_BATCH"]), "max_batch_time": float(os.environ["MAX_BATCH_TIME"])}
    settings = {
        "debug": False, "host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2,
        "parallel_workers": 0, "metrics_endpoint": None, "gzip_enabled": False, "use_structured_logging": False,
    }  # fmt: skip
    (work / "settings.json").write_text(json.dumps(settings))
    for name, more in {"digits": batching, "png": batching, "raw": {}}.items():
        model = {"name": name, "implementation": f"benchmarks.servers.mlserver.{name.title()}"} | more
        (work / name).mkdir()
        (work / name / "model-settings.json").write_text(json.dumps(model))
    os.execv(Path(sys.executable).with_name("mlserver"), ["mlserver", "start", str(work)])  # noqa: S606


if __name__ == "__main__":
    main()
