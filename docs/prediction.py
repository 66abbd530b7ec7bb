"""python -m docs.prediction: draw docs/prediction.png, what the service at DIGITS_URL makes of ten digits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from digits_client import Client
from digits_client._client import URL
from trainer.dataset import MNIST

ROOT = Path(__file__).parent.parent
FIRST = 104  # of ten test images in a row


def main() -> None:
    with np.load(MNIST) as archive:
        images = archive["x_test"][FIRST : FIRST + 10]
    with Client(os.environ.get("DIGITS_URL", URL)) as client:
        predictions = client.predict(list(images))
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    pictures, bars = figure.subplots(2, 10, height_ratios=(3, 2))
    for image, prediction, picture, bar in zip(images, predictions, pictures, bars, strict=True):
        picture.imshow(image, cmap="gray_r")
        picture.set_title(f"{prediction.digit}  ({prediction.confidence:.3f})", fontsize=9)
        picture.set_axis_off()
        bar.bar(range(10), prediction.probabilities, color="black")
        bar.set(xticks=range(10), yticks=[], ylim=(0, 1))
        bar.tick_params(labelsize=5, length=0)
    figure.savefig(ROOT / "docs" / "prediction.png", dpi=110)


if __name__ == "__main__":
    main()
