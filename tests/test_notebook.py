"""The notebook runs from top to bottom, on a small setting, and leaves a model that is read."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from digits import network
from tests import models
from tests.server import ROOT

NOTEBOOK = ROOT / "notebooks" / "train_on_a_free_gpu.ipynb"


def test_it_holds_no_outputs() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert len(cells) >= 6
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[nbformat.NotebookNode, Path]:
    """The notebook with its outputs, and the folder in which it was executed."""
    folder = tmp_path_factory.mktemp("notebook")
    pixels, labels = models.mnist(800)
    np.savez(
        folder / "tiny.npz", x_train=pixels[:600], y_train=labels[:600], x_test=pixels[600:], y_test=labels[600:]
    )  # fmt: skip
    flags = f"--data '{folder / 'tiny.npz'}' --epochs 1 --target-accuracy 0"
    environment = os.environ | {"DIGITS_REPOSITORY": str(ROOT), "DIGITS_FLAGS": flags}
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute(env=environment), folder


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.get("text", "") for output in outputs)


def test_it_trains_shows_and_predicts(executed: tuple[nbformat.NotebookNode, Path]) -> None:
    notebook, _ = executed
    text = printed(notebook)
    assert "training on 5" in text
    assert "published " in text
    assert "this is a " in text
    pictures = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]  # fmt: skip
    assert len(pictures) == 5  # four plots, and the digit


def test_nothing_was_installed(executed: tuple[nbformat.NotebookNode, Path]) -> None:
    assert "pip" not in printed(executed[0])


def test_the_model_lies_where_it_was_executed(executed: tuple[nbformat.NotebookNode, Path]) -> None:
    network.load((executed[1] / "mnist_cnn_model.h5").read_bytes())
