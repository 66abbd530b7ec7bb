"""Train, publish, serve, ask: the whole path, with the real programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from digits_client import Client
from tests.models import mnist
from tests.server import ROOT, serve


def test_a_running_service_takes_up_what_a_trainer_publishes(tmp_path: Path) -> None:
    pixels, labels = mnist(1000)
    with serve(tmp_path) as server, Client(server.url) as client:
        assert not client.health().ok
        subprocess.run([sys.executable, "-m", "trainer", "--quick", "--output", str(tmp_path)], cwd=ROOT, check=True)
        client.wait_until_ready()
        predictions = client.predict(list(pixels))
        manifest = client.model()
    right = sum(prediction.digit == label for prediction, label in zip(predictions, labels, strict=True))
    assert right >= 950
    assert {prediction.model.version for prediction in predictions} == {manifest["version"]}
    assert manifest["model"]["architecture"] == "cnn"
