"""A network is asked about every image once, by several threads, and what it says stays in order."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from digits.image import Pixels
from trainer.parallel import in_threads, on_all_cores


def brightness(batch: Pixels) -> NDArray[np.float32]:
    return np.asarray(batch.mean((1, 2)), np.float32)


def grey(count: int) -> Pixels:
    """Return images each of which is of one brightness, that of its index."""
    return (np.arange(count) % 251).astype(np.uint8)[:, np.newaxis, np.newaxis].repeat(28, 1).repeat(28, 2)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("count", [4, 7, 1000])
def test_answers_stay_in_order_though_all_threads_work_at_once(count: int, threads: int) -> None:
    meet = threading.Barrier(threads)

    def ask(batch: Pixels) -> NDArray[np.float32]:
        meet.wait(10)  # breaks, unless so many ask at once
        return brightness(batch)

    np.testing.assert_array_equal(in_threads(ask, grey(count), threads), np.arange(count) % 251)


def test_there_are_no_more_threads_than_images() -> None:
    np.testing.assert_array_equal(in_threads(brightness, grey(2), 9), [0, 1])


def test_all_cores_say_the_same() -> None:
    np.testing.assert_array_equal(on_all_cores(brightness, grey(100)), np.arange(100))
