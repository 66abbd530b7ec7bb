"""Data of one's own in three forms; whatever is wrong with it is said in one sentence that names the file."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_client._sets import opened
from tests.models import mnist, png
from trainer import dataset
from trainer.dataset import ARRAYS, IDX_NAMES, BadData

IMAGES, LABELS = mnist(200)
TRAIN, TEST = slice(0, 120), slice(120, 200)
LONE = np.flatnonzero((LABELS != 3) | (np.cumsum(LABELS == 3) == 1))  # images, of which one is a 3


def arrays() -> dict[str, NDArray[Any]]:
    return {"x_train": IMAGES[TRAIN], "y_train": LABELS[TRAIN], "x_test": IMAGES[TEST], "y_test": LABELS[TEST]}


def save(path: Path, named: dict[str, Any]) -> None:
    np.savez(path, **named)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    content = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_classes(folder: Path, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        (folder / str(label) / f"{index:03}.png").write_bytes(png(image))


def write_table(folder: Path, labels: list[Any], head: str = "file,label", separator: str = ",") -> Path:
    folder.mkdir()
    for index, image in enumerate(IMAGES[: len(labels)]):
        (folder / f"{index:03}.png").write_bytes(png(image))
    rows = [f"{index:03}.png{separator}{label}" for index, label in enumerate(labels)]
    (folder / "labels.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    return folder


def load(path: Path | None) -> dataset.Dataset:
    return dataset.load(path, validation=0.1)


# --- good data ----------------------------------------------------------------------------------


def test_the_projects_own_mnist_is_whole() -> None:
    data = dataset.load(None, validation=1 / 12)
    assert (len(data.train), len(data.validation), len(data.test)) == (54_999, 5_001, 10_000)
    assert np.bincount(data.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_npz_idx_gzipped_idx_and_folders_give_the_same(tmp_path: Path) -> None:
    save(tmp_path / "own.npz", arrays())
    for suffix in ("", ".gz"):
        folder = tmp_path / f"idx{suffix}"
        folder.mkdir()
        for name in ARRAYS:
            write_idx(folder / f"{IDX_NAMES[name]}{suffix}", arrays()[name])
    first = load(tmp_path / "own.npz")
    for other in (load(tmp_path / "idx"), load(tmp_path / "idx.gz")):
        assert other.sha256 == first.sha256
        np.testing.assert_array_equal(other.train.pixels, first.train.pixels)
        np.testing.assert_array_equal(other.test.labels, first.test.labels)


def test_a_folder_of_classes_is_read_as_the_service_reads_images(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", IMAGES[TRAIN], LABELS[TRAIN])
    write_classes(tmp_path / "test", 255 - IMAGES[TEST], LABELS[TEST])
    train, test = dataset.load_parts(tmp_path)
    order = np.argsort(LABELS[TRAIN], kind="stable")
    np.testing.assert_array_equal(train.pixels, IMAGES[TRAIN][order])
    assert np.bincount(test.labels).tolist() == np.bincount(LABELS[TEST]).tolist()


def test_a_folder_of_classes_without_a_test_set_gives_a_sixth(tmp_path: Path) -> None:
    write_classes(tmp_path, IMAGES, LABELS)
    train, test = dataset.load_parts(tmp_path)
    assert len(train) + len(test) == 200
    assert np.bincount(test.labels).tolist() == (np.bincount(LABELS) // 6).tolist()


@pytest.mark.parametrize("form", [("file,label", ","), ("\ufeffFile;Label", ";")])
def test_a_folder_with_a_table_is_the_same_as_one_by_class(tmp_path: Path, form: tuple[str, str]) -> None:
    """And the same as the client reads to evaluate."""
    write_classes(tmp_path / "by_class", IMAGES, LABELS)
    folder = write_table(tmp_path / "mine", list(LABELS), *form)
    for found, expected in zip(dataset.load_parts(folder), dataset.load_parts(tmp_path / "by_class"), strict=True):
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        np.testing.assert_array_equal(found.labels, expected.labels)
    with opened(folder) as samples:
        assert [(sample.name, sample.label) for sample in samples] == [
            (f"{index:03}.png", str(label)) for index, label in enumerate(LABELS)
        ]


def test_the_split_is_stratified_and_seeded() -> None:
    part = dataset.Part(np.repeat(IMAGES, 10, axis=0), np.repeat(LABELS, 10))
    kept, held = dataset.split(part, 0.1, seed=7)
    assert np.bincount(held.labels).tolist() == np.bincount(LABELS).tolist()
    assert len(kept) + len(held) == len(part)
    again, _ = dataset.split(part, 0.1, seed=7)
    other, _ = dataset.split(part, 0.1, seed=8)
    np.testing.assert_array_equal(kept.pixels, again.pixels)
    assert (kept.pixels != other.pixels).any()


def test_a_larger_share_holds_out_what_a_smaller_one_does() -> None:
    pixels = np.zeros((500, 28, 28), np.uint8)
    pixels[:, 0, :2] = np.stack(np.divmod(np.arange(500), 250), 1)  # so that no two are alike
    part = dataset.Part(pixels, np.arange(500).astype(np.uint8) % 10)
    few, many = ({image.tobytes() for image in dataset.split(part, share, 7)[1].pixels} for share in (0.1, 0.2))
    assert (len(few), len(many), len(few & many)) == (50, 100, 50)


def test_two_images_of_each_digit_are_enough_to_hold_one_out(tmp_path: Path) -> None:
    two = np.concatenate([np.flatnonzero(digit == LABELS)[:2] for digit in range(10)])
    save(tmp_path / "own.npz", arrays() | {"x_train": IMAGES[two], "y_train": LABELS[two]})
    for validation in (0.01, 0.5):
        data = dataset.load(tmp_path / "own.npz", validation=validation, share=0.5)
        assert sorted(data.train.labels) == sorted(data.validation.labels) == list(range(10))


# --- bad data -----------------------------------------------------------------------------------


def changed(**changes: Any) -> Callable[[Path], Path]:
    """Return a writer of an .npz in which some arrays are others, or missing."""

    def write(folder: Path) -> Path:
        kept = {name: array for name, array in (arrays() | changes).items() if array is not None}
        save(folder / "own.npz", kept)
        return folder / "own.npz"

    return write


def raw(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def idx(name: str, content: bytes | None) -> Callable[[Path], Path]:
    """Return a writer of a folder of IDX files in which one has another content, or is missing."""

    def write(folder: Path) -> Path:
        for each in ARRAYS:
            write_idx(folder / IDX_NAMES[each], arrays()[each])
        if content is None:
            (folder / IDX_NAMES[name]).unlink()
        else:
            (folder / IDX_NAMES[name]).write_bytes(content)
        return folder

    return write


def classes(spoil: Callable[[Path], object]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        write_classes(folder, IMAGES, LABELS)
        spoil(folder)
        return folder

    return write


def table(content: str) -> Callable[[Path], Path]:
    """Return a writer of a folder that holds a table and nothing else."""
    write = raw("labels.csv", content.encode("latin-1"))
    return lambda folder: write(folder).parent


def empty(folder: Path, keep: int = 0) -> None:
    for file in sorted(folder.iterdir())[keep:]:
        file.unlink()


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no such file": (lambda folder: folder / "no.npz", "no.npz: there is no such file"),
    "a name that no file can have": (lambda folder: folder / ("x" * 300), "cannot be read"),
    "not an npz": (raw("own.npz", b"hello"), "own.npz: is not an .npz"),
    "an empty file": (raw("own.npz", b""), "own.npz: is not an .npz"),
    "an npz of objects": (changed(x_train=np.array([{}])), "own.npz: is not an .npz of plain arrays"),
    "an array is missing": (changed(y_test=None), "own.npz: lacks the array y_test"),
    "images of another size": (changed(x_train=IMAGES[TRAIN, 1:]), r"x_train: is uint8 \(120, 27, 28\)"),
    "images of floats": (changed(x_train=IMAGES[TRAIN] / 255), "x_train: is float64"),
    "a scalar": (changed(x_train=np.uint8(1)), "x_train: is uint8"),
    "no images": (changed(x_train=IMAGES[:0], y_train=LABELS[:0]), "x_train: is empty"),
    "too few labels": (changed(y_train=LABELS[:99]), "y_train: has 99 labels for 120 images"),
    "labels one-hot": (changed(y_train=np.eye(10)[LABELS[TRAIN]]), "y_train: is float64"),
    "a label of ten": (changed(y_test=LABELS[TEST] + 1), r"y_test: label \d+ is 10"),
    "a negative label": (changed(y_test=LABELS[TEST].astype(int) - 1), r"y_test: label \d+ is -1"),
    "a digit without images": (changed(y_train=LABELS[TRAIN] % 9), "y_train: has no image of 9"),
    "a digit with one image": (
        changed(x_train=IMAGES[LONE], y_train=LABELS[LONE]),
        "own.npz: has one image of 3 to train on and to validate by",
    ),
    "all black": (changed(x_test=IMAGES[TEST] * 0), "x_test: every pixel is 0"),
    "dark on bright": (changed(x_test=255 - IMAGES[TEST]), "x_test: the ink is dark on bright paper"),
    "an IDX file is missing": (idx("y_train", None), "train-labels-idx1-ubyte: there is no such file"),
    "an IDX file is text": (idx("y_train", b"hello, world"), "train-labels-idx1-ubyte: is not an IDX file"),
    "an IDX file is cut short": (idx("y_train", b"\0\0\x08\x01\0\0\0\x78abc"), "declares .* but has 11"),
    "an IDX header is cut short": (idx("x_train", b"\0\0\x08\x03\0\0\0\x78"), "is not an IDX file"),
    "a damaged gzip": (
        lambda folder: idx("y_test", None)(folder) and raw(f"{IDX_NAMES['y_test']}.gz", b"\x1f\x8b\0")(folder).parent,
        "t10k-labels-idx1-ubyte.gz: cannot be read",
    ),
    "an empty folder": (lambda folder: folder, "0: there is no such folder"),
    "a class is missing": (
        classes(lambda folder: (folder / "3").rename(folder / "three")),
        "3: there is no such folder",
    ),
    "a class is empty": (classes(lambda folder: empty(folder / "3")), "3: the folder is empty"),
    "a file is no image": (
        classes(lambda folder: (folder / "3" / "a.txt").write_text("x")),
        "a.txt: this is not a PNG",
    ),
    "a class is too small": (
        classes(lambda folder: empty(folder / "3", keep=5)),
        "has fewer than 6 images of 3,",
    ),
    "a table without images": (table("file,label\n"), r"labels\.csv: must have the columns file and label"),
    "a table of other columns": (table("name,digit\na.png,7\n"), r"labels\.csv: must have the columns"),
    "a table that is not UTF-8": (table("file,label\n\xff.png,7\n"), "is not CSV in UTF-8"),
    "a table of letters": (table("file,label\na.png,A\n"), "the label of a.png is 'A'"),
    "a table of numbers": (table("file,label\na.png,24\n"), "the label of a.png is '24'"),
    "a table of what is not there": (table("file,label\na.png,7\n"), r"a\.png: cannot be read \(No such file"),
    "a name that holds a zero": (table("file,label\na\0.png,7\n"), "null"),
    "a table that names an image twice": (table("file,label\na.png,7\nb.png,1\na.png,7\n"), "names a.png in 2 rows"),
    "a table without a digit": (
        lambda folder: write_table(folder / "mine", [label % 9 for label in LABELS]), "has no image of 9",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_named_in_one_sentence(tmp_path: Path, case: str) -> None:
    write, message = BAD[case]
    with pytest.raises(BadData, match=message) as caught:
        load(write(tmp_path))
    assert "\n" not in str(caught.value)
