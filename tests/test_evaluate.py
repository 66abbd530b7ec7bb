"""Labelled images of every kind are found, asked about, and counted."""

from __future__ import annotations

import csv
import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits_client import Client
from digits_client.__main__ import main
from digits_client._evaluate import NONE, evaluate, interval, is_number
from digits_client._sets import opened
from tests.images import mnist, png
from tests.server import Server
from trainer.evaluate import interval as trainer_interval

IMAGES, LABELS = mnist(30)


def write_classes(folder: Path, count: int = 30) -> Path:
    for index in range(count):
        path = folder / str(LABELS[index]) / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(IMAGES[index]))
    return folder


def write_table(folder: Path, labels: list[Any]) -> Path:
    folder.mkdir()
    rows = [f"{index}.png,{label}" for index, label in enumerate(labels)]
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows]))
    for index in range(len(labels)):
        (folder / f"{index}.png").write_bytes(png(IMAGES[index]))
    return folder


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder.parent))
    return folder.with_suffix(".zip")


def labels_in(path: Path) -> list[tuple[str, str]]:
    with opened(path) as samples:
        assert all(sample.load() is not None for sample in samples)
        return [(sample.name.rpartition("/")[2], sample.label) for sample in samples]


def test_a_label_is_a_number_if_it_could_be_the_answer() -> None:
    assert [label for label in ("7", "042", "", "A", "-1", "7a", "²", "٣") if is_number(label)] == ["7", "042"]


def test_a_set_is_the_same_in_any_form(tmp_path: Path) -> None:
    """In folders by class, in a table, and either in a zip, under one folder or more."""
    classes, table = write_classes(tmp_path / "classes"), write_table(tmp_path / "table", list(LABELS))
    expected = sorted((f"{index:02}.png", str(label)) for index, label in enumerate(LABELS))
    assert sorted(labels_in(classes)) == sorted(labels_in(zipped(classes))) == expected
    expected = [(f"{index}.png", str(label)) for index, label in enumerate(LABELS)]
    assert labels_in(table) == labels_in(zipped(table)) == expected


@pytest.mark.parametrize("table", ["File,Label\r\n0.png,7 \r\n", "\ufeffFILE;label;note\n0.png;7;a, b\n"])
def test_a_table_may_come_from_a_spreadsheet(table: str, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(png(IMAGES[0]))
    (tmp_path / "labels.csv").write_bytes(table.encode())
    assert labels_in(tmp_path) == [("0.png", "7")]


def test_what_a_mac_adds_to_a_zip_is_no_image(tmp_path: Path) -> None:
    path = zipped(write_classes(tmp_path / "set"))
    expected = labels_in(path)
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("__MACOSX/set/7/._00.png", "set/7/._00.png"):
            archive.writestr(name, b"what a Mac knows of 00.png")
    assert labels_in(path) == expected


def test_files_that_are_not_there_are_counted(tmp_path: Path) -> None:
    for names, says in (("a", r"names 'a', which isn't there$"), ("abc", "which isn't there, and 2 more like it$")):
        (tmp_path / "labels.csv").write_text("file,label\n" + "".join(f"{name},7\n" for name in names))
        with pytest.raises(ValueError, match=says), opened(tmp_path):
            pass


def test_what_is_held_out_is_what_counts(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 30)
    write_classes(tmp_path / "test", 5)
    assert len(labels_in(tmp_path)) == 5


@pytest.mark.parametrize("names", [("x_test", "y_test"), ("images", "labels"), ("x", "y")])
def test_arrays_are_a_set(names: tuple[str, str], tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", **{names[0]: IMAGES, names[1]: LABELS})  # type: ignore[arg-type]  # any name is an array
    assert [label for _, label in labels_in(tmp_path / "some.npz")] == [str(label) for label in LABELS]


@pytest.mark.parametrize("content", [b"", b"name,digit\na.png,7\n", b"file,label\n", b"file,label\na.png,7\n", b"\xff"])
def test_a_table_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"labels\.csv"), opened(tmp_path):
        pass


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"x_test": IMAGES},
        {"x": IMAGES, "y": LABELS[:5]},
        {"x": IMAGES[0], "y": LABELS},
        {"x": IMAGES, "y": LABELS / 2},
    ],
)  # fmt: skip
def test_arrays_that_are_no_set_are_refused(arrays: dict[str, Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", **arrays)
    with pytest.raises(ValueError, match=r"some\.npz"), opened(tmp_path / "some.npz"):
        pass


def test_what_is_no_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.zip").write_bytes(b"no zip")
    (tmp_path / "notes.npz").write_bytes(b"no arrays")
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    for name in ("", "notes.zip", "notes.npz", "one.npz"):
        with pytest.raises(ValueError, match=name or "neither"), opened(tmp_path / name):
            pass
    for name in ("none.zip", "none.npz"):
        with pytest.raises(FileNotFoundError), opened(tmp_path / name):
            pass


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "9" * 30 + ", 28, 28)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1, 28, 28)}",
        "(" * 300,
        "{[]: 1}",
    ],
)
def test_arrays_with_a_header_that_makes_no_sense_are_refused(header: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.npz", "w") as archive:
        for name in ("x_test", "y_test"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    with pytest.raises(ValueError, match=r"some\.npz"), opened(tmp_path / "some.npz"):
        pass


def test_a_zip_of_a_version_to_come_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("7/some.png", b"a picture")
    content = (tmp_path / "some.zip").read_bytes()
    entry = content.index(b"PK\x01\x02") + 6  # where the version is that it takes to extract it
    (tmp_path / "some.zip").write_bytes(content[:entry] + b"\xff" + content[entry + 1 :])
    with pytest.raises(ValueError, match=r"some\.zip"), opened(tmp_path / "some.zip"):
        pass


@pytest.mark.parametrize("row", ["7", "7,"])
def test_a_folder_in_a_zip_is_no_file_of_its_table(row: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("set/", b"")
        archive.writestr("set/labels.csv", f"label,file\n{row}\n")
    with pytest.raises(ValueError, match="isn't there"), opened(tmp_path / "some.zip"):
        pass


def test_a_zip_whose_files_cannot_be_read_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("7/damaged.png", b"a picture")
        with archive.open("7/vast.png", "w", force_zip64=True) as file:
            archive.compression = zipfile.ZIP_DEFLATED
            file.write(bytes((64 << 20) + 1))
    content = (tmp_path / "some.zip").read_bytes()
    (tmp_path / "some.zip").write_bytes(content.replace(b"a picture", b"a Picture"))
    with opened(tmp_path / "some.zip") as samples:
        for sample, reason in zip(samples, ("damaged.png cannot be read", "at most"), strict=True):
            with pytest.raises(ValueError, match=reason):
                sample.load()


@pytest.mark.parametrize("table", ["label,file\n7\n", f"file,label\n{'x' * 200_000},7\n", "file,label\n\xff,7\n"])
def test_a_table_that_makes_no_sense_is_refused(table: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(table.encode("latin-1"))
    with pytest.raises(ValueError, match=r"labels\.csv"), opened(tmp_path):
        pass


def test_answers_are_counted_as_they_come(server: Server, tmp_path: Path) -> None:
    labels: list[Any] = [*map(int, LABELS)]
    labels[0] = 3  # it is a 7
    with Client(server.url) as client, opened(write_table(tmp_path / "some", labels)) as samples:
        found = evaluate(client, samples)
        digits = [prediction.digit for prediction in client.predict(IMAGES)]
    assert found.wrong == [index for index, digit in enumerate(digits) if digit != labels[index]]
    assert found.right + len(found.wrong) == len(samples) == 30
    assert found.confusion["3", "7"] == 1
    assert sum(found.confusion.values()) == 30
    sure = [found.given[index].confidence or 0 for index in found.worst if found.answers[index] != NONE]
    assert sure == sorted(sure, reverse=True)
    assert found.unanswered.total() == digits.count(None)


def test_letters_are_to_be_refused_and_numbers_to_be_read(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client:
        with opened(write_table(tmp_path / "letters", ["A", "B"])) as samples:
            letters = evaluate(client, samples, threshold=1.0)
        with opened(write_table(tmp_path / "numbers", ["7", "24"])) as samples:
            numbers = evaluate(client, samples)
        texts = [client.read(png(image)).text or NONE for image in IMAGES[:2]]
    assert (letters.right, letters.unanswered) == (2, {"not_a_digit": 2})
    assert (numbers.are_numbers, numbers.answers) == (True, texts)
    assert 1 in numbers.wrong


def test_an_error_about_a_letter_does_not_count_as_refusing_it(server: Server, tmp_path: Path) -> None:
    folder = write_table(tmp_path / "letters", ["A"])
    (folder / "0.png").write_bytes(b"no image")
    with Client(server.url) as client, opened(folder) as samples:
        found = evaluate(client, samples)
    assert (found.wrong, found.unanswered) == ([0], {"not_an_image": 1})


def test_the_interval_is_wilsons() -> None:
    """Newcombe 1998, table I: 81 of 263."""
    low, high = interval(81, 263)
    assert low == pytest.approx(0.2553, abs=1e-4)
    assert high == pytest.approx(0.3662, abs=1e-4)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (81, 263), (9957, 10_000)])
def test_the_trainer_has_the_same_interval(right: int, n: int) -> None:
    """The client may import nothing of the trainer's, nor the trainer of the client's: there are two of it."""
    assert trainer_interval(right / n, n) == pytest.approx(interval(right, n), abs=1e-12)


# --- the command --------------------------------------------------------------------------------


def test_the_command_prints_a_report(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels: list[Any] = [*map(int, LABELS)]
    labels[0] = 3
    given = ["evaluate", str(write_table(tmp_path / "some", labels)), "--url", server.url]
    assert main(given) == 0
    report, said = capsys.readouterr()
    assert said == ""
    assert "of 30 right" in report
    assert "labels, and what was answered" in report
    assert ["0.png", "3", "7"] in [line.split()[:3] for line in report.splitlines()]
    assert main([*given, "--at-least", "0.999"]) == 1
    assert "of 30 right are less than the share of 0.999" in capsys.readouterr().err


def test_the_command_tells_programs_the_same(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "some.npz", x_test=IMAGES, y_test=LABELS)
    given = ["evaluate", str(tmp_path / "some.npz"), "--url", server.url]
    assert main([*given, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert main([*given, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert (summary["images"], len(rows)) == (30, 30)
    assert summary["right"] == [row["right"] for row in rows].count("True")
    assert summary["accuracy"] == summary["right"] / 30
    assert sum(count for answers in summary["confusion"].values() for count in answers.values()) == 30
    assert len(summary["mistakes"]) == 30 - summary["right"]


@pytest.mark.parametrize("name", ["none.zip", "none.npz", "."])
def test_the_command_says_what_is_no_set(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.startswith("digits: ")
