"""Train, publish, serve, ask: the whole path, with the real programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from digits import bundle, network
from digits_client import Client
from tests.models import mnist
from tests.server import ROOT, serve


def test_a_running_service_takes_up_what_a_trainer_publishes(tmp_path: Path) -> None:
    """Trained on so little that it reads nothing well; what it answers is what counts here."""
    pixels, labels = mnist(800)
    data, output = tmp_path / "tiny.npz", tmp_path / "models"
    np.savez(data, x_train=pixels[:600], y_train=labels[:600], x_test=pixels[600:], y_test=labels[600:])
    flags = ["--data", str(data), "--epochs", "1", "--target-accuracy", "0", "--force", "--output", str(output)]
    output.mkdir()
    with serve(output) as server, Client(server.url) as client:
        assert not client.health().ok
        subprocess.run([sys.executable, "-m", "trainer", *flags], cwd=ROOT, check=True)
        client.wait_until_ready()
        probabilities = client.probabilities(pixels)
        version = client.model()["version"]
    published = bundle.read_current(output)
    assert version == published.version
    np.testing.assert_allclose(probabilities, network.load(published.h5)(pixels), rtol=0, atol=1e-5)
