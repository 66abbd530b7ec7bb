"""The model that comes with the project is whole, reads digits, and is served until there is another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from digits import bundle, network
from digits.bundle import Bundle
from digits_client import Client
from tests.models import mnist
from tests.server import ROOT, serve
from trainer import dataset


@pytest.fixture(scope="module")
def found() -> Bundle:
    return bundle.read_current(bundle.DEFAULT_MODEL)


def test_it_answers_as_keras_did(found: Bundle) -> None:
    reader = network.load(found.h5)
    bundle.check_golden(found, reader)
    assert found.manifest["golden"]
    assert reader.parameters == found.manifest["model"]["parameters"]


def test_it_was_trained_on_the_data_of_the_project(found: Bundle) -> None:
    data = dataset.load(None, validation=found.manifest["training"]["validation"])
    assert data.sha256 == found.manifest["data"]["sha256"]
    assert len(data.validation) == found.manifest["data"]["validation"]


def test_it_is_as_good_as_its_manifest_says(found: Bundle) -> None:
    pixels, labels = mnist(10_000)
    assert float((network.load(found.h5)(pixels).argmax(1) == labels).mean()) == found.manifest["test"]["accuracy"]


def test_it_tells_digits_from_paper_and_noise(found: Bundle) -> None:
    limit = found.manifest["thresholds"]["presence"]
    reader = network.load(found.h5)
    noise = np.random.default_rng(0).integers(0, 256, (100, 28, 28)).astype(np.uint8)
    assert (reader.judge(mnist(1000)[0])[:, 10] >= limit).mean() > 0.99
    assert (reader.judge(noise)[:, 10] < limit).mean() > 0.9


def test_it_is_served_where_nothing_was_published_and_reads_the_pictures_of_readme(
    found: Bundle, tmp_path: Path
) -> None:
    examples = ROOT / "docs" / "examples"
    with serve(tmp_path, default_model=True) as server, Client(server.url) as client:
        prediction = client.predict(examples / "seven.png")
        assert (prediction.digit, prediction.model.version) == (7, found.version)
        assert client.read(examples / "form.jpg").text == "90210"
        assert client.read(examples / "form.jpg", expect=5).text == "90210"
