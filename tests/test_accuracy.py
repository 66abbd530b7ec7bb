"""What the service is right about is counted, and what it is wrong about is drawn."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import accuracy
from digits_client import Client, Prediction
from digits_client._evaluate import NONE, as_matrix
from tests.models import mnist, png
from tests.server import Server

IMAGES, LABELS = mnist(30)


def write_set(path: Path, labels: list[object]) -> Path:
    rows = [f"{index}.png,{label}" for index, label in enumerate(labels)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.csv", "\n".join(["file,label", *rows]))
        for index in range(len(labels)):
            archive.writestr(f"{index}.png", png(IMAGES[index]))
    return path


def test_a_zip_is_asked_about_and_its_mistakes_are_drawn(server: Server, tmp_path: Path) -> None:
    labels: list[object] = [*map(int, LABELS)]
    labels[0] = 3  # it is a 7
    path = write_set(tmp_path / "some.zip", labels)
    with Client(server.url) as client:
        measured = accuracy.measure(client, path)
        digits = [client.predict(image).digit for image in IMAGES]
    assert measured.wrong == [index for index, digit in enumerate(digits) if digit != labels[index]]
    assert 0 in measured.wrong
    right = 30 - len(measured.wrong)
    assert f"| some | 30 | {right / 30:.2%} (" in accuracy.report([measured])
    assert sum(int(count) for count in count_of("3", "7", as_matrix(measured))) == 1
    sheet = accuracy.contact_sheet([measured])
    assert sheet.size == (10 * accuracy.CELL[0], accuracy.CELL[1])
    seen = sheet.crop((75, 16, 75 + 73, 16 + 73)).convert("L")
    assert seen.tobytes() == Image.fromarray(IMAGES[0]).resize((73, 73), Image.Resampling.NEAREST).tobytes()


def count_of(label: str, answer: str, matrix: str) -> list[str]:
    head, *rows = (row.split() for row in matrix.splitlines())
    return [row[1 + head.index(answer)] for row in rows if row[0] == label]


def test_numbers_are_read_and_letters_are_refused(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client:
        numbers = accuracy.measure(client, write_set(tmp_path / "numbers.zip", ["7", "24"]))
        letters = accuracy.measure(client, write_set(tmp_path / "letters.zip", ["A", "O", "k"]))
        texts = [client.read(png(image)).text or NONE for image in IMAGES[:2]]
        digits = [client.predict(png(image)).digit for image in IMAGES[:3]]
    assert numbers.answers == texts
    assert 1 in numbers.wrong
    assert "of characters wrong" in accuracy.report([numbers])
    assert len(letters.samples) == 2  # an O may be a 0
    assert letters.wrong == [place for place, index in enumerate((0, 2)) if digits[index] is not None]
    told = accuracy.facts([numbers, letters])
    assert told["model"]["version"] == letters.given[0].model.version
    assert [item["right"] + len(m.wrong) for item, m in zip(told["sets"], (numbers, letters), strict=True)] == [2, 2]
    assert told["sets"][0]["character_error_rate"] == numbers.character_error_rate
    assert sum(told["sets"][1]["none"].values()) == 2 - len(letters.wrong)
    assert accuracy.contact_sheet([numbers, letters]).size[0] == 10 * accuracy.CELL[0]


def test_digits_and_letters_are_told_apart_as_often_as_pairs_of_them_are(server: Server, tmp_path: Path) -> None:
    sets: dict[str, list[object]] = {"digits": [*range(10)], "letters": [*"AEFGHJKLMNPR"]}
    with Client(server.url) as client:
        measured = [accuracy.measure(client, write_set(tmp_path / f"{name}.zip", sets[name])) for name in sets]
    higher, lower = ([one.presence for one in item.given if isinstance(one, Prediction)] for item in measured)
    pairs = [(a > b) + (a == b) / 2 for a in higher for b in lower if a is not None and b is not None]
    assert f"AUROC of {sum(pairs) / len(pairs):.4f}." in accuracy.report(measured)
    assert "AUROC" not in accuracy.report(measured[:1])


def test_a_set_of_nothing_but_letters_that_may_be_digits_is_none(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client, pytest.raises(ValueError, match="has no labels but B, I, O"):
        accuracy.measure(client, write_set(tmp_path / "alike.zip", ["O", "l"]))


@pytest.mark.parametrize(
    ("one", "other", "edits"), [("", "12", 2), ("123", "123", 0), ("8642", "8647", 1), ("12", "312", 1)]
)
def test_the_distance_counts_edits(one: str, other: str, edits: int) -> None:
    assert accuracy.distance(one, other) == accuracy.distance(other, one) == edits
