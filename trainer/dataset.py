"""Load labelled digits, check them, and hold a validation set out.

    .npz | folder of IDX files | of images by class | of images with labels.csv  ->  two parts  ->  Dataset

Whatever is wrong with the files is said in one sentence that names the file: `BadData`. This
module knows nothing of networks.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import math
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits import image
from digits.image import Pixels
from digits.sizes import CLASSES, SIDE
from trainer.errors import BadInput

MNIST = Path(__file__).parent / "data" / "mnist.npz"
MNIST_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"
TABLE = "labels.csv"
FORMS = f"data is an .npz, or a folder of IDX files, of images by class, or of images with {TABLE}"
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
MAX_IDX_BYTES = 1 << 30  # unpacked
SPLIT = 0  # seed of what is held out
TEST_SHARE = 6  # one image in so many is the test set of a folder that has none of its own

Labels = NDArray[np.uint8]  # (n,)


class BadData(BadInput):
    """The data cannot be trained on; the message names the file and says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Part:
    pixels: Pixels  # (n, 28, 28)
    labels: Labels  # (n,)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.intp]) -> Part:
        return Part(self.pixels[index], self.labels[index])


@dataclass(frozen=True, slots=True)
class Dataset:
    train: Part
    validation: Part
    test: Part
    source: str
    sha256: str  # of all pixels and labels, in the order train + validation as loaded, then test

    def summary(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return {
            "source": self.source,
            "sha256": self.sha256,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
        }


def load(path: Path | None, *, validation: float, share: float = 1.0) -> Dataset:
    """Load the data at `path`, or the MNIST of the project, and hold a part of it out for validation.

    It is the same part each time, so that models can be compared on it. Of what remains, `share` is
    used. Raises `BadData`.
    """
    train, test = load_parts(path)
    scarce = np.flatnonzero(np.bincount(train.labels, minlength=CLASSES) < 2)
    if scarce.size:
        raise BadData(f"{path}: has one image of {scarce[0]} to train on and to validate by; two is the least")
    digest = hashlib.sha256()
    for array in (train.pixels, train.labels, test.pixels, test.labels):
        digest.update(array.tobytes())
    kept, held = split(train, validation, SPLIT)
    if share < 1:
        _, kept = split(kept, share, SPLIT)
    return Dataset(kept, held, test, (path or MNIST).name, digest.hexdigest())


def load_parts(path: Path | None) -> tuple[Part, Part]:
    """Return training and test set as they are on disk. Raises `BadData`."""
    if path is None:
        check_mnist()
        return load_npz(MNIST)
    try:
        if path.is_dir():
            if any(find_idx(path, name) for name in IDX_NAMES.values()):
                return load_idx(path)
            return load_table(path / TABLE) if (path / TABLE).exists() else load_folder(path)
        if path.exists():
            return load_npz(path)
    except OSError as exc:  # no permission, a name too long, a disk that fails
        raise BadData(f"{path}: cannot be read ({exc.strerror or exc})") from exc
    raise BadData(f"{path}: there is no such file or folder")


def first_of_each(labels: Labels) -> list[int]:
    """Return where the first image of each digit is; there is one of each."""
    return [int(np.flatnonzero(labels == digit)[0]) for digit in range(CLASSES)]


def split(part: Part, share: float, seed: int) -> tuple[Part, Part]:
    """Hold a share of each class out, at least one image of it.

    With one seed, the split is the same each time, and a larger share holds out all that a smaller one does.
    """
    generator = np.random.default_rng(seed)
    held = np.zeros(len(part), bool)
    for digit in range(CLASSES):
        index = np.flatnonzero(part.labels == digit)
        held[generator.permutation(index)[: max(1, round(len(index) * share))]] = True
    return part.take(np.flatnonzero(~held)), part.take(np.flatnonzero(held))


# --- .npz ---------------------------------------------------------------------------------------


def check_mnist() -> None:
    """Prove that the MNIST of the project is whole; Git LFS or a broken copy would train nonsense."""
    try:
        sha256 = hashlib.sha256(MNIST.read_bytes()).hexdigest()
    except OSError as exc:
        raise BadData(f"{MNIST}: the data set of the project is missing ({exc.strerror})") from exc
    if sha256 != MNIST_SHA256:
        raise BadData(f"{MNIST}: the data set of the project is damaged, its SHA-256 differs; check it out again")


def load_npz(path: Path) -> tuple[Part, Part]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in ARRAYS if name not in archive]
            if missing:
                raise BadData(f"{path}: lacks the array {missing[0]}; an .npz needs {', '.join(ARRAYS)}")
            arrays = {name: archive[name] for name in ARRAYS}
    except BadData:
        raise
    except Exception as exc:  # a damaged zip or array raises anything from BadZipFile to MemoryError
        raise BadData(f"{path}: is not an .npz of plain arrays, or is damaged; " + FORMS) from exc
    return (
        checked(f"{path}: x_train", f"{path}: y_train", arrays["x_train"], arrays["y_train"]),
        checked(f"{path}: x_test", f"{path}: y_test", arrays["x_test"], arrays["y_test"]),
    )


# --- IDX ----------------------------------------------------------------------------------------


def load_idx(folder: Path) -> tuple[Part, Part]:
    """Load the four files of MNIST as LeCun published them, each plain or gzipped."""
    files = {name: find_idx(folder, stem) for name, stem in IDX_NAMES.items()}
    for name, file in files.items():
        if file is None:
            raise BadData(f"{folder / IDX_NAMES[name]}: there is no such file, nor one with .gz")
    x_train, y_train, x_test, y_test = (file for file in files.values() if file)
    return (
        checked(x_train, y_train, read_idx(x_train), read_idx(y_train)),
        checked(x_test, y_test, read_idx(x_test), read_idx(y_test)),
    )


def find_idx(folder: Path, name: str) -> Path | None:
    """Find a file by its published name; many unpackers write a dot for the last dash but one."""
    names = [name, name.replace("-idx", ".idx")]
    return next((folder / n for base in names for n in (base, f"{base}.gz") if (folder / n).is_file()), None)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes: 0 0 8 rank, the sizes as big-endian uint32, the values."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MAX_IDX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as exc:
        raise BadData(f"{path}: cannot be read ({exc})") from exc
    if len(data) < 8 or data[:3] != b"\0\0\x08" or data[3] not in (1, 3) or len(data) < 4 + 4 * data[3]:
        raise BadData(f"{path}: is not an IDX file of bytes")
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    expected = 4 + 4 * data[3] + math.prod(shape)
    if len(data) != expected:
        raise BadData(f"{path}: declares {shape} and so {expected:,} bytes, but has {len(data):,}")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


# --- images by class ----------------------------------------------------------------------------


def load_folder(folder: Path) -> tuple[Part, Part]:
    """Load `train/0 … 9/` and `test/0 … 9/`, or `0/ … 9/` alone, of which every sixth image is for testing."""
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        return load_classes(folder / "train"), load_classes(folder / "test")
    return with_test_set(folder, load_classes(folder))


def with_test_set(name: Path, whole: Part) -> tuple[Part, Part]:
    """Take every sixth image of each digit for testing; those of a digit lie together."""
    index = np.arange(len(whole))
    for digit in range(CLASSES):
        if np.count_nonzero(whole.labels == digit) < TEST_SHARE:
            raise BadData(f"{name}: has fewer than {TEST_SHARE} images of {digit}, too few to test and train on")
    ranks = np.concatenate([np.arange(np.count_nonzero(whole.labels == digit)) for digit in range(CLASSES)])
    tested = ranks % TEST_SHARE == TEST_SHARE - 1
    return whole.take(index[~tested]), whole.take(index[tested])


def load_classes(folder: Path) -> Part:
    """Read the images of ten folders, 0 to 9, as the service would read them, in the order of their names."""
    pairs = list(iterate_classes(folder))
    pixels = np.stack([pixels for pixels, _ in pairs])
    return checked(folder, folder, pixels, np.array([label for _, label in pairs], np.uint8))


def iterate_classes(folder: Path) -> Iterator[tuple[Pixels, int]]:
    for digit in range(CLASSES):
        classes = folder / str(digit)
        if not classes.is_dir():
            raise BadData(f"{classes}: there is no such folder; " + FORMS)
        files = sorted(file for file in classes.iterdir() if not file.name.startswith("."))
        if not files:
            raise BadData(f"{classes}: the folder is empty")
        for file in files:
            yield read_image(file), digit


def read_image(file: Path) -> Pixels:
    try:
        return image.read(file.read_bytes())
    except OSError as exc:
        raise BadData(f"{file}: cannot be read ({exc.strerror or exc})") from exc
    except ValueError as exc:  # it is no image, or its name holds what no name can
        raise BadData(f"{file}: {exc}") from exc


# --- images with labels.csv ---------------------------------------------------------------------


def load_table(table: Path) -> tuple[Part, Part]:
    """Load the images that a table of `file` and `label` names, of which every sixth of a digit is for testing."""
    pairs = sorted(iterate_table(table), key=itemgetter(1))
    labels = np.array([label for _, label in pairs], np.uint8)
    return with_test_set(table, checked(table, table, np.stack([pixels for pixels, _ in pairs]), labels))


def iterate_table(table: Path) -> Iterator[tuple[Pixels, int]]:
    for row in read_rows(table):
        name, label = row["file"] or "", row["label"] or ""
        if label not in {str(digit) for digit in range(CLASSES)}:
            raise BadData(f"{table}: the label of {name} is {label!r}; training needs one digit per image")
        yield read_image(table.parent / name), int(label)


def read_rows(table: Path) -> list[dict[str, str | None]]:
    """Read what `digits evaluate` reads, also as spreadsheets write it: by ";", or with capitals in the names."""
    try:
        text = table.read_text(encoding="utf-8-sig")
        head = text.partition("\n")[0]
        delimiter = ";" if ";" in head and "," not in head else ","
        reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as exc:
        raise BadData(f"{table}: is not CSV in UTF-8 ({exc})") from exc
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise BadData(f"{table}: must have the columns file and label, and at least one row")
    for name, count in Counter(row["file"] for row in rows).items():
        if count > 1:  # one to train on would be one to test by
            raise BadData(f"{table}: names {name} in {count} rows; an image has one")
    return rows


# --- checks -------------------------------------------------------------------------------------


def checked(x_name: object, y_name: object, pixels: NDArray[Any], labels: NDArray[Any]) -> Part:
    """Return a part whose arrays are what a trainer needs, or say which isn't and why."""
    if pixels.shape[1:] == (SIDE, SIDE, 1):
        pixels = pixels[..., 0]
    if pixels.shape[1:] != (SIDE, SIDE) or pixels.dtype != np.uint8:
        raise BadData(f"{x_name}: is {pixels.dtype} {pixels.shape}; images are uint8 (n, {SIDE}, {SIDE})")
    if len(pixels) == 0:
        raise BadData(f"{x_name}: is empty")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise BadData(f"{y_name}: is {labels.dtype} {labels.shape}; labels are whole numbers (n,)")
    if len(labels) != len(pixels):
        raise BadData(f"{y_name}: has {len(labels):,} labels for {len(pixels):,} images")
    wrong = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if wrong.size:
        raise BadData(f"{y_name}: label {wrong[0]} is {labels[wrong[0]]}; labels are 0 to 9")
    missing = sorted(set(range(CLASSES)) - set(np.unique(labels).tolist()))
    if missing:
        raise BadData(f"{y_name}: has no image of {', '.join(map(str, missing))}")
    if not pixels.any():
        raise BadData(f"{x_name}: every pixel is 0")
    if np.median(pixels[:, 0]) > 127:
        raise BadData(f"{x_name}: the ink is dark on bright paper; it must be bright on black, as MNIST's is")
    return Part(np.ascontiguousarray(pixels, np.uint8), labels.astype(np.uint8))
