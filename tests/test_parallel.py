"""A network is asked about every image once, and what it says stays in order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from digits.image import Pixels
from trainer.parallel import on_all_cores


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_answers_stay_in_order(count: int) -> None:
    asked: list[int] = []

    def brightness(batch: Pixels) -> NDArray[np.float32]:
        asked.append(len(batch))
        return np.asarray(batch.mean((1, 2)), np.float32)

    batch = (np.arange(count) % 251).astype(np.uint8)[:, np.newaxis, np.newaxis] * np.ones((28, 28), np.uint8)
    np.testing.assert_array_equal(on_all_cores(brightness, batch), np.arange(count) % 251)
    assert sum(asked) == count
    assert min(asked) > 0
