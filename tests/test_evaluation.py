"""What is right is counted, what is wrong is drawn, and each step of reading can be left out or looked at."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from digits import network
from digits.network import Network
from digits_client import Client, Identity, Prediction, Reading
from digits_client._evaluate import NONE, as_matrix
from digits_client._sets import Sample
from evaluation import ablation, rendered, sets, signs, steps, whole
from evaluation.drawing import SURROUNDINGS, number, picture, written
from evaluation.sets import Measured
from tests.hostile import encoded
from tests.models import mnist, png
from tests.server import ROOT, Server

IMAGES, LABELS = mnist(30)
MODEL = Identity("v1", "ab")


def write_set(path: Path, labels: list[object]) -> Path:
    rows = [f"{index}.png,{label}" for index, label in enumerate(labels)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.csv", "\n".join(["file,label", *rows]))
        for index in range(len(labels)):
            archive.writestr(f"{index}.png", png(IMAGES[index]))
    return path


def made(name: str, labels: Sequence[str], given: Sequence[Prediction] | Sequence[Reading]) -> Measured:
    """Return what came of a set that was asked in 10 ms."""
    return Measured([Sample("", label, bytes) for label in labels], given, name, 0.01, {})


def digit(answer: int | None, presence: float = 0.9) -> Prediction:
    reason = "not_a_digit" if answer is None else None
    return Prediction(0, None, answer, None, None, None, MODEL, reason, presence=presence)


DIGITS = made("digits", "7214", [digit(7), digit(2, 0.8), digit(7, 0.3), digit(None, 0.1)])
NUMBERS = made("numbers", ["24", "1975"], [Reading(0, None, text, None, (), None, MODEL) for text in ("24", "197")])
LETTERS = made("letters", "AE", [digit(None, 0.2), digit(5, 0.3)])


def test_what_is_right_is_told_with_what_chance_allows() -> None:
    """Two of four, and of six digits one left out. The intervals are Wilson's, worked out by hand."""
    rows = sets.report([DIGITS, NUMBERS]).splitlines()[2:4]
    assert rows == [
        "| digits | 4 | 50.00% (15.0% to 85.0%) | 1 not_a_digit | 2.5 ms |",
        "| numbers | 2 | 50.00% (9.5% to 90.5%) | 16.67% of characters wrong | 5.0 ms |",
    ]
    matrix = as_matrix(DIGITS)
    assert [count_of("1", answer, matrix) for answer in ("1", "7", NONE)] == [["·"], ["1"], ["·"]]
    assert count_of("4", NONE, matrix) == ["1"]


def test_programs_are_told_the_same() -> None:
    assert sets.facts([DIGITS, NUMBERS]) == {
        "model": {"version": "v1", "sha256": "ab"},
        "sets": [
            {"name": "digits", "images": 4, "right": 2, "seconds": 0.01, "none": {"not_a_digit": 1}},
            {"name": "numbers", "images": 2, "right": 1, "seconds": 0.01, "character_error_rate": 1 / 6},
        ],
    }


def test_digits_and_letters_are_told_apart_as_often_as_pairs_of_them_are() -> None:
    """Of eight pairs five have the digit above, and one has both alike."""
    assert "AUROC of 0.6875." in sets.report([DIGITS, LETTERS])
    assert "AUROC" not in sets.report([DIGITS])


def test_a_zip_is_asked_about_and_its_mistakes_are_drawn(server: Server, tmp_path: Path) -> None:
    labels: list[object] = [*map(int, LABELS)]
    labels[0] = 3  # it is a 7
    with Client(server.url) as client:
        measured = sets.measure(client, write_set(tmp_path / "some.zip", labels))
    assert (measured.name, len(measured.samples), measured.wrong[0]) == ("some", 30, 0)
    assert count_of("3", "7", as_matrix(measured)) == ["1"]
    sheet = sets.contact_sheet([measured])
    assert sheet.size == (10 * sets.CELL[0], sets.CELL[1])
    seen = sheet.crop((75, 16, 75 + 73, 16 + 73)).convert("L")
    assert seen.tobytes() == Image.fromarray(IMAGES[0]).resize((73, 73), Image.Resampling.NEAREST).tobytes()


def count_of(label: str, answer: str, matrix: str) -> list[str]:
    head, *rows = (row.split() for row in matrix.splitlines())
    return [row[1 + head.index(answer)] for row in rows if row[0] == label]


def test_numbers_are_read_and_letters_are_asked_about(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client:
        numbers = sets.measure(client, write_set(tmp_path / "numbers.zip", ["7", "24"]))
        letters = sets.measure(client, write_set(tmp_path / "letters.zip", ["A", "O", "k"]))
    assert (numbers.are_numbers, letters.are_numbers) == (True, False)
    assert 1 in numbers.wrong  # there is one digit
    assert [sample.label for sample in letters.samples] == ["A", "k"]  # an O may be a 0
    assert sets.contact_sheet([numbers, letters]).size[0] == 10 * sets.CELL[0]


def test_a_set_of_nothing_but_letters_that_may_be_digits_is_none(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client, pytest.raises(ValueError, match="has no labels but B, I, O"):
        sets.measure(client, write_set(tmp_path / "alike.zip", ["O", "l"]))


@pytest.mark.parametrize(
    ("one", "other", "edits"), [("", "12", 2), ("123", "123", 0), ("8642", "8647", 1), ("12", "312", 1)]
)
def test_the_distance_counts_edits(one: str, other: str, edits: int) -> None:
    assert sets.distance(one, other) == sets.distance(other, one) == edits


# --- reading, step by step ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(h5: bytes) -> Network:
    return network.load(h5)


@pytest.fixture(scope="module")
def form() -> Image.Image:
    return picture(number(list(mnist(3)[0]), np.random.default_rng(0)))


def counted(without: dict[str, ablation.StandIn]) -> dict[str, ablation.StandIn]:
    """Return the same, with stand-ins that count how often they are called; constants cannot."""
    return {
        step: (where, what, Mock(side_effect=instead) if callable(instead) else instead)
        for step, (where, what, instead) in without.items()
    }


def uncalled(without: dict[str, ablation.StandIn]) -> list[str]:
    return [step for step, (_, _, instead) in without.items() if isinstance(instead, Mock) and not instead.called]


def test_every_step_of_one_digit_can_be_left_out(reader: Network) -> None:
    """Each is looked up by its name in the kernel, which raises `AttributeError` where there is none, and is called."""
    whole = [Image.fromarray(pixels) for pixels in mnist(3)[0]]
    tight = [one.crop(one.getbbox()) for one in whole]
    tight += [one.resize((12, 16)) for one in tight]
    around = [SURROUNDINGS[name] for name in ("beside_others", "in_shadow", "lit_from_one_side", "cut_out")]
    papers = [surround(written(pixels)) for surround in around for pixels in mnist(3)[0]]
    digits = [(one, 7) for one in (*map(picture, papers), *tight)]
    steps = counted(ablation.WITHOUT)
    ablation.table(steps, {"drawn": digits}, partial(ablation.share_right, reader))
    assert uncalled(steps) == []


def test_every_step_of_numbers_can_be_left_out(reader: Network, form: Image.Image) -> None:
    steps = counted(ablation.WITHOUT_FOR_NUMBERS)
    ablation.table(steps, {"form": [(encoded(form, "PNG"), "721")]}, partial(ablation.share_read, reader))
    assert uncalled(steps) == []


def test_digits_are_compared_as_they_are_and_drawn(reader: Network) -> None:
    told = rendered.compare(reader, 20)
    plain = 100 * float((reader(mnist(20)[0]).argmax(1) == mnist(20)[1]).mean())
    assert told.startswith(f"20 digits: {plain:.2f} % as they are, ")


def test_the_steps_of_pictures_are_drawn(reader: Network, form: Image.Image) -> None:
    one = picture(written(mnist(1)[0][0]))
    sheet = steps.draw([one, one])
    assert sheet.size == (2 * steps.SIDE + steps.GAP, 5 * steps.SIDE + 4 * steps.GAP)
    numbers = steps.draw_numbers([form], reader)
    assert numbers.width == steps.WIDTH
    assert numbers.height > 3 * form.height * steps.WIDTH // form.width


def test_steps_are_drawn_by_the_model_of_the_project_where_none_is_published(tmp_path: Path) -> None:
    given = ["steps", "--numbers", str(ROOT / "docs" / "examples" / "form.jpg"), str(tmp_path / "out.png")]
    environment = os.environ | {"DIGITS_MODELS": str(tmp_path)}
    command = [sys.executable, "-m", "evaluation", *given]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.width == steps.WIDTH


def test_signs_are_refused_below_the_threshold_and_all_of_them_are_counted(shipped: Network) -> None:
    assert signs.report(shipped, least=0.0).count("| 0.0 |") == len(signs.BLOCKS)
    assert signs.report(shipped, least=1.1).count("| 100.0 |") == len(signs.BLOCKS)
    letters = signs.presences(shipped, "\u05d0\u0416\u0429")  # Alef, Zhe and Shcha
    assert letters.max() < 0.5 < signs.presences(shipped, "0123456789").min()


def shares(table: str) -> dict[str, tuple[float, float]]:
    """Return what is read correctly by the first look and by both, by the name of the pictures."""
    rows = (row.strip("| ").split(" | ") for row in table.splitlines()[2:])
    return {name: (float(first), float(both)) for name, first, both in rows}


def test_digits_that_something_lies_upon_are_read_more_often_by_both_looks(shipped: Network) -> None:
    found = shares(whole.report(shipped, threshold=0.05, count=60, paths=[]))
    assert list(found) == [f"MNIST, {name}" for name in whole.SPOILT]
    assert all(first <= both for first, both in found.values())
    assert found["MNIST, a stripe"][0] + 10 <= found["MNIST, a stripe"][1] < found["MNIST, haze"][1]


def test_of_letters_what_gets_no_digit_is_right(shipped: Network, tmp_path: Path) -> None:
    paths = [write_set(tmp_path / "digits.zip", LABELS.tolist()), write_set(tmp_path / "letters.zip", ["A"] * 30)]
    read, refused = (shares(whole.report(shipped, least, 1, paths)) for least in (0.0, 1.1))
    assert read["digits, 50 x 50"][1] >= 90 > 10 >= read["letters, 50 x 50"][1]
    assert refused["digits, 50 x 50"] == (0.0, 0.0)
    assert refused["letters, 50 x 50"] == (100.0, 100.0)
