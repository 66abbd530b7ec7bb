"""The whole picture is looked at again where the network is unsure of what was found in it, and only then."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from digits import image
from digits.decode import identify
from digits.image import Pixels, Sight
from digits.judgements import DIGITS, PRESENCE, Judgements, take_surer, unsure
from digits.network import Network
from evaluation.judging import judge, read
from evaluation.whole import filling
from tests.models import mnist

COUNT = 100
SEVEN = np.zeros((28, 28), np.uint8)
SEVEN[4:7, 6:22] = SEVEN[7:25, 18:21] = 200


def look(pixels: Pixels) -> Sight:
    return image.look(Image.fromarray(pixels))


def whole_of(pixels: Pixels) -> Sight:
    sight = look(pixels).whole
    assert sight is not None
    return sight


def in_haze(pixels: Pixels) -> Pixels:
    """Let bright clouds lie over half as bright digits, (n, 28, 28)."""
    rows, columns = np.indices(pixels.shape[1:]) / 28
    haze = 105 + 37 * (np.sin(6 * columns + 1) + np.cos(5 * rows + 0.7 * columns))
    return np.asarray(np.clip(0.5 * pixels + haze, 0, 255), np.uint8)


def judgement(digit: int, probability: float, presence: float) -> Judgements:
    row = np.full(11, (1 - probability) / 9, np.float32)
    row[digit], row[PRESENCE] = probability, presence
    return row


def test_a_picture_of_28_pixels_keeps_its_size() -> None:
    whole = whole_of(SEVEN)
    assert (whole.pixels == SEVEN // 200 * 255).all()  # its ink made full
    assert (whole.box, whole.scale, whole.inverted) == ((0, 0, 28, 28), 1.0, False)


def test_dark_ink_becomes_bright() -> None:
    whole = whole_of(255 - SEVEN)
    assert (whole.pixels == whole_of(SEVEN).pixels).all()
    assert whole.inverted


@pytest.mark.parametrize("times", [2, 8])
def test_a_larger_picture_is_averaged_into_24_pixels(times: int) -> None:
    whole = whole_of(np.kron(SEVEN, np.ones((times, times), np.uint8)))
    assert (whole.box, whole.side) == ((0, 0, 28 * times, 28 * times), 24)
    assert whole.pixels[:2].max() == 0
    assert whole.pixels.sum() == pytest.approx(255 / 200 * SEVEN.sum() * (24 / 28) ** 2, rel=0.01)


def test_what_is_narrow_stands_in_the_middle() -> None:
    tall = np.pad(np.full((40, 4), 255, np.uint8), ((4, 4), (4, 4)))
    lit = np.flatnonzero(whole_of(tall).pixels.any(0))
    assert (lit.min() + lit.max()) / 2 == pytest.approx(13.5)


@pytest.mark.parametrize(
    "pixels",
    [
        mnist(1)[0][0],  # which has the geometry of MNIST
        np.zeros((28, 28), np.uint8),
        np.full((60, 60), 128, np.uint8),
        np.pad(SEVEN, 30),  # a digit that is small in its picture
    ],
)
def test_of_these_there_is_nothing_but_the_first_look(pixels: Pixels) -> None:
    assert look(pixels).whole is None


@pytest.mark.parametrize("side", [28, 50])
def test_digits_that_fill_their_picture_are_read(side: int, shipped: Network) -> None:
    pixels, labels = mnist(COUNT)
    seen = [look(filling(one, side)) for one in pixels]
    first = shipped(np.stack([sight.pixels for sight in seen])).argmax(1)
    assert (first == labels).mean() <= 0.96 < 0.98 <= np.mean(np.equal(read(shipped, seen), labels))


def test_digits_in_haze_are_read(shipped: Network) -> None:
    pixels, labels = mnist(COUNT)
    seen = [look(one) for one in in_haze(pixels)]
    first = shipped(np.stack([sight.pixels for sight in seen])).argmax(1)
    assert (first == labels).mean() <= 0.7 < 0.9 <= np.mean(np.equal(read(shipped, seen), labels))


def test_numbers_do_not_become_digits(shipped: Network) -> None:
    pixels, _ = mnist(COUNT)
    pairs = [np.hstack([pixels[at, :, 4:24], pixels[at + 1, :, 4:24]]) for at in range(0, COUNT, 2)]
    seen = [look(pair) for pair in pairs]
    assert any(sight.whole for sight in seen)
    first = shipped.judge(np.stack([sight.pixels for sight in seen]))
    both, counting = judge(shipped, seen)
    assert (both == first).all()
    assert counting == seen


@pytest.mark.parametrize(
    ("second", "counts"),
    [((0.9, 0.9), True), ((0.9, 0.6), True), ((0.5, 0.5), False), ((0.61, 0.61), False), ((0.7, 0.6), True)],
)
def test_a_second_look_counts_if_it_is_twice_as_sure_and_sure_enough(second: tuple[float, float], counts: bool) -> None:
    """The first is sure to 0.5 x 0.4."""
    rows = np.stack([judgement(1, 0.9, 0.9), judgement(3, 0.5, 0.4)])
    assert unsure(rows, [0, 1]) == [1]
    assert take_surer(rows, [1], judgement(7, *second)[np.newaxis]) == ([1] if counts else [])
    assert rows[:, DIGITS].argmax(1).tolist() == [1, 7 if counts else 3]


def test_a_sure_first_look_is_the_last() -> None:
    rows = judgement(3, 0.9, 0.6)[np.newaxis]
    assert unsure(rows, [0]) == []
    assert take_surer(rows, [0], judgement(7, 1.0, 1.0)[np.newaxis]) == []


@pytest.mark.parametrize("side", [28, 60])
def test_of_grain_there_is_no_whole(side: int) -> None:
    assert look(np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)).whole is None


@pytest.mark.parametrize("paper", [90, 120, 135, 160])
@pytest.mark.parametrize("step", [-80, 80])
def test_ink_is_what_is_farthest_from_the_paper(paper: int, step: int) -> None:
    noise = np.random.default_rng(0).integers(-2, 3, SEVEN.shape)
    whole = whole_of((paper + noise + step * (SEVEN > 0)).astype(np.uint8))
    assert whole.inverted == (step < 0)
    assert ((whole.pixels > 127) == (SEVEN > 0)).all()


@pytest.mark.parametrize(("height", "there"), [(17, False), (18, True)])
def test_ink_spans_18_pixels_at_least(height: int, there: bool) -> None:
    picture = np.zeros((28, 28), np.uint8)
    picture[5 : 5 + height, 12:15] = 200
    assert (look(picture).whole is not None) == there


def test_the_whole_of_a_large_jpeg_is_all_of_it() -> None:
    """Which is decoded at a fraction of its size."""
    file = io.BytesIO()
    Image.fromarray(255 - SEVEN[2:27]).resize((2001, 3003)).save(file, "JPEG")
    whole = image.see(identify(file.getvalue())).whole
    assert whole is not None
    assert whole.box == (0, 0, 2001, 3003)
