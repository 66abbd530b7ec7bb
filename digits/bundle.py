"""The model on disk: what a trainer publishes and a service takes up.

    models/
      20261122T101500Z-3f9a1c/    a bundle; complete, and never changed, once it has this name
        mnist_cnn_model.h5
        manifest.json             what the model is, how it was made, how well it did
        report.html               the same for people, if the trainer made one
        history.csv
        plots/*.png
      current                     one line, the version to serve; replaced as a whole
    or just
      mnist_cnn_model.h5          dropped there by hand

Everything is written aside under a name that begins with a dot, synced to disk and renamed, so
that a reader sees all of it or nothing, whenever the writer dies. This module knows nothing of
Keras, training or HTTP; a network is to it a function from pixels to probabilities.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from digits import image
from digits.errors import BadBundle
from digits.image import Pixels
from digits.sizes import CLASSES

FORMAT = 1  # of the manifest; a reader refuses any other
H5_NAME = "mnist_cnn_model.h5"
MANIFEST_NAME = "manifest.json"
CURRENT = "current"
PLOTS = "plots"
REPORT_NAME = "report.html"
DEFAULT_MODEL = Path(__file__).parent / "pretrained"  # models that come with the project
MAX_BYTES = 64 << 20  # of a file that is read into memory
MAX_CURRENT = 200  # of the one that names a version
MOST_NESTED = 100  # levels of a manifest; trainers' have five, and encoders of JSON recurse into each
MOST_GOLDEN = 100  # images in a manifest; trainers put ten there
GOLDEN_TOLERANCE = 1e-4  # on each probability; processors round differently, wrong weights differ by far more
NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model as read from disk, its hash proven. `path` is the folder that holds it."""

    path: Path
    manifest: Manifest
    h5: bytes

    @property
    def version(self) -> str:
        return str(self.manifest["version"])

    @property
    def sha256(self) -> str:
        return str(self.manifest["model"]["sha256"])


# --- reading ------------------------------------------------------------------------------------


def read_current(models: Path) -> Bundle:
    """Read the bundle that `current` names or else the bare `.h5`. Raises `BadBundle`, never `OSError`."""
    published, bare = contents(models)
    if published:
        return read(models / current_version(models))
    if bare:
        return read_bare(models / H5_NAME)
    others = strays(models)
    only = f"only {', '.join(others)[:200]}" if others else "nothing that could be served"
    raise BadBundle("missing", f"there is no model in {models} yet, {only}; train one, or put a {H5_NAME} there")


def read_served(models: Path, default: Path | None, *, published: bool = False) -> Bundle:
    """Read what `read_current` reads, or the default model, if there is one, while nothing has been published.

    Where something was, and is served, the folder must hold bundles yet: else it was emptied, moved or unmounted.
    Raises `BadBundle`.
    """
    takes_default = default is not None and any(contents(default)) and not any(contents(models))
    if takes_default and published and not versions(models):
        raise BadBundle("missing", f"there is no model in {models} any more; the one that came from there is kept")
    return read_current(default if default and takes_default else models)


def strays(models: Path) -> list[str]:
    """Return the names of files that look like models, but are not served under these names."""
    return sorted(path.name for kind in ("*.h5", "*.keras") for path in models.glob(kind) if path.name != H5_NAME)


def current_version(models: Path) -> str:
    """Return the version that `current` names. Raises `BadBundle`."""
    version = read_bytes(models / CURRENT, MAX_CURRENT).decode(errors="replace").strip()
    if not VERSION.fullmatch(version):
        raise BadBundle("malformed", f"{models / CURRENT} does not name a version, but {version[:100]!r}")
    if not os.path.isdir(models / version):  # noqa: PTH112  # says no where Path.is_dir raises
        raise BadBundle("missing", f"{models / CURRENT} names {version}, but there is no such bundle")
    return version


def read(path: Path) -> Bundle:
    """Read one bundle and check its `.h5` against its manifest. Raises `BadBundle`."""
    manifest = read_manifest(path / MANIFEST_NAME)
    bundle = Bundle(path, manifest, read_bytes(path / H5_NAME))
    if bundle.version != path.name:
        raise BadBundle("mismatch", f"{path / MANIFEST_NAME} is that of {bundle.version}")
    if hash_of(bundle.h5) != bundle.sha256:
        raise BadBundle("mismatch", f"{path / H5_NAME} is not the file of its manifest: its SHA-256 differs")
    return bundle


def read_bare(path: Path) -> Bundle:
    """Read a `.h5` without a manifest; its version is made of its hash. Raises `BadBundle`."""
    h5 = read_bytes(path)
    sha256 = hash_of(h5)
    model = {"file": path.name, "sha256": sha256, "size": len(h5)}
    return Bundle(path.parent, {"format": FORMAT, "version": f"bare-{sha256[:12]}", "model": model}, h5)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, and check that it names its model's version and hash. Raises `BadBundle`."""
    data = read_bytes(path)
    try:
        manifest = json.loads(data)
        json.dumps(manifest, allow_nan=False, ensure_ascii=False).encode()  # as it will be sent
    except (ValueError, RecursionError) as exc:
        raise BadBundle("malformed", f"{path} is not JSON, or holds what JSON cannot") from exc
    if is_nested(manifest, MOST_NESTED):
        raise BadBundle("malformed", f"{path} is nested more than {MOST_NESTED} levels deep")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BadBundle("malformed", f"{path} is not a manifest of format {FORMAT}")
    model = manifest.get("model")
    if not isinstance(manifest.get("version"), str) or not isinstance(model, dict) or "sha256" not in model:
        raise BadBundle("malformed", f"{path} lacks the version or the SHA-256 of its model")
    return manifest


def is_nested(value: Any, levels: int) -> bool:
    """Tell whether what JSON holds is nested more than so many levels deep."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_nested(item, levels - 1) for item in inner)


def contents(models: Path) -> tuple[bool, bool]:
    """Tell whether there is a `current`, and whether there is a bare `.h5`. Raises `BadBundle`."""
    try:
        return lies(models / CURRENT), lies(models / H5_NAME)
    except OSError as exc:
        raise BadBundle("missing", f"cannot read {models}: {exc.strerror}") from exc


def lies(path: Path) -> bool:
    """Tell whether there is something of this name, be it a link that leads nowhere. Raises `OSError`."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def ignored(models: Path) -> str | None:
    """Say so when a `.h5` lies where nobody will read it. Raises `BadBundle`."""
    if all(contents(models)):
        return (
            f"{models / H5_NAME} is not served, since {CURRENT} names a bundle; delete {models / CURRENT} to serve it"
        )
    return None


def read_bytes(path: Path, most: int = MAX_BYTES) -> bytes:
    """Read a regular file of at most so many bytes. Raises `BadBundle`, never `OSError`."""
    try:
        with open(path, "rb", opener=without_waiting) as file:  # Path.open has none
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadBundle("malformed", f"{path} is not a file")
            data = file.read(most + 1)
    except OSError as exc:
        code = "missing" if isinstance(exc, NO_FILE) else "unreadable"
        raise BadBundle(code, f"cannot read {path}: {exc.strerror}") from exc
    if len(data) > most:
        raise BadBundle("malformed", f"{path} has more than {most:,} bytes")
    return data


def read_inside(folder: Path, path: Path) -> bytes:
    """Read a file of a bundle, and no other that a link in it leads to. Raises `BadBundle`."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BadBundle("malformed", f"{path} leads out of {folder}")
    return read_bytes(path)


def without_waiting(path: str, flags: int) -> int:
    """Open a file; a FIFO would otherwise have us wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def versions(models: Path) -> list[str]:
    """Return the versions of all bundles, the oldest first."""
    return sorted(path.parent.name for path in models.glob(f"[!.]*/{MANIFEST_NAME}"))


# --- golden images ------------------------------------------------------------------------------


def golden(label: int, png: bytes, probabilities: list[float]) -> dict[str, Any]:
    """Return what a manifest keeps of one image, so that any reader can ask its own network the same."""
    return {"label": label, "image": base64.b64encode(png).decode(), "probabilities": probabilities}


def check_golden(bundle: Bundle, network: Callable[[Pixels], Any]) -> None:
    """Prove that a network answers the golden images as Keras did. Raises `BadBundle`."""
    try:
        samples = bundle.manifest.get("golden", [])
        if len(samples) > MOST_GOLDEN:
            raise ValueError(f"there are {len(samples):,}, and {MOST_GOLDEN} at most are asked")
        pixels = [golden_pixels(sample["image"]) for sample in samples]
        expected = np.array([sample["probabilities"] for sample in samples], np.float32).reshape(len(samples), CLASSES)
    except (ValueError, KeyError, TypeError, OverflowError) as exc:
        raise BadBundle("malformed", f"the golden images of {bundle.version} cannot be read: {exc}") from exc
    difference = float(np.abs(network(np.stack(pixels)) - expected).max()) if pixels else 0.0
    if not difference <= GOLDEN_TOLERANCE:  # so that NaN fails too
        raise BadBundle("mismatch", f"{bundle.version} answers its golden images {difference:.2g} away from Keras")


def golden_pixels(text: str) -> Pixels:
    """Return the (28, 28) pixels of a golden image, in base64. Raises `ValueError` and `TypeError`."""
    sight = image.see_plain(base64.b64decode(text, validate=True))
    if sight is None:
        raise ValueError("one is no plain PNG of 28 x 28 pixels")
    return sight.pixels


# --- writing ------------------------------------------------------------------------------------


@contextmanager
def draft(models: Path) -> Iterator[Path]:
    """Lend an empty folder to put a bundle together in; what isn't committed at the end is removed.

    Drafts that a killed trainer left are swept out first. Other publishers wait meanwhile, so that what is
    compared with the current bundle can become it, by `make_current`, before another does.
    """
    models.mkdir(parents=True, exist_ok=True)
    with locked(models):
        for left in [*models.glob(".draft-*"), *models.glob(f".{CURRENT}-*")]:
            remove(left)
        path = Path(tempfile.mkdtemp(prefix=".draft-", dir=models))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def locked(models: Path) -> Iterator[None]:
    """Keep other publishers out; the lock goes with the process that holds it."""
    lock = opened_lock(models)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def opened_lock(models: Path) -> int:
    """Open the file that publishers lock, made if there is none; returns its descriptor. Raises `OSError`."""
    return os.open(models / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def remove(path: Path) -> None:
    """Remove a file, a folder with all that is in it, or a link and not what it leads to, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def commit(path: Path, manifest: Manifest, report: Callable[[Manifest], bytes] | None = None) -> Bundle:
    """Make a draft a bundle: complete its manifest, sync it, give it its name, and read it back.

    `format`, `version`, `created`, `plots` and, in `model`, the file's name, hash and size are filled in
    here, whatever is given for them; `report` makes a page of the whole. Raises `BadBundle` and `OSError`.
    """
    h5 = read_bytes(path / H5_NAME)
    now, sha256 = datetime.now(UTC), hash_of(h5)
    version = free_version(path.parent, f"{now:%Y%m%dT%H%M%SZ}-{sha256[:6]}")
    file = {"file": H5_NAME, "sha256": sha256, "size": len(h5)}
    head = {"format": FORMAT, "version": version, "created": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
    plots = sorted(plot.name for plot in path.glob(f"{PLOTS}/*.png"))
    found = {"model": manifest.get("model", {}) | file, "plots": plots}
    whole = head | manifest | head | found  # twice, to come first and yet to hold
    (path / MANIFEST_NAME).write_text(json.dumps(whole, indent=1) + "\n")
    read_manifest(path / MANIFEST_NAME)  # what cannot be read must not get a name
    if report:
        (path / REPORT_NAME).write_bytes(report(whole))
    path.chmod(0o755)  # mkdtemp keeps others out; a service may run as another user
    for item in [path, *path.rglob("*")]:
        sync(item)
    path.rename(path.parent / version)
    sync(path.parent)
    return read(path.parent / version)


def free_version(models: Path, stem: str) -> str:
    """Return a version that no bundle has; the same model may be published twice within a second."""
    candidates = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
    return next(version for version in candidates if not (models / version).exists())


def make_current(bundle: Bundle) -> None:
    """Let `current` name a bundle from now on; for who is within the `draft` of its folder."""
    models = bundle.path.parent
    aside = models / f".{CURRENT}-aside"
    remove(aside)  # or a link would have its target overwritten
    aside.write_text(f"{bundle.version}\n")
    sync(aside)
    os.replace(aside, models / CURRENT)
    sync(models)


def sync(path: Path) -> None:
    """Have a file or a folder written to the disk itself before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
