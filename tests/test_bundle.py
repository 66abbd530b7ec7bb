"""A bundle on disk is whole or isn't there, whenever its writer dies; what is damaged is refused."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from digits import bundle
from digits.bundle import Bundle, Manifest
from digits.errors import BadBundle
from digits.image import Pixels
from tests.hostile import encoded

PROBABILITIES = [0.91, *[0.01] * 9]


def publish(models: Path, h5: bytes = b"weights", **manifest: Any) -> Bundle:
    with bundle.draft(models) as path:
        (path / bundle.H5_NAME).write_bytes(h5)
        (path / bundle.PLOTS).mkdir()
        (path / bundle.PLOTS / "loss.png").write_bytes(b"a plot")
        made = bundle.commit(path, manifest)
        bundle.make_current(made)
    return made


def png() -> bytes:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 12:17] = 255
    return encoded(Image.fromarray(pixels), "PNG")


def rewrite(made: Bundle, change: Callable[[Manifest], object]) -> None:
    manifest = dict(made.manifest)
    change(manifest)
    (made.path / bundle.MANIFEST_NAME).write_text(json.dumps(manifest))


def refusal_of(act: Callable[[], object]) -> str:
    with pytest.raises(BadBundle) as refusal:
        act()
    return refusal.value.code


# --- publishing and reading ---------------------------------------------------------------------


def test_what_is_published_is_read_back(tmp_path: Path) -> None:
    models = tmp_path / "deep" / "models"
    made = publish(models, b"weights", model={"parameters": 7}, history={"loss": 0.1})
    read = bundle.read_current(models)
    assert read == made
    assert read.h5 == b"weights"
    assert read.sha256 == bundle.hash_of(b"weights") == read.manifest["model"]["sha256"]
    assert read.path == models / read.version
    assert read.manifest["format"] == bundle.FORMAT
    assert read.manifest["model"] == {"file": bundle.H5_NAME, "sha256": read.sha256, "size": 7, "parameters": 7}
    assert read.manifest["plots"] == ["loss.png"]
    assert read.manifest["history"] == {"loss": 0.1}
    assert (models / "current").read_text() == f"{read.version}\n"


def test_others_may_read_what_is_published(tmp_path: Path) -> None:
    made = publish(tmp_path)
    assert made.path.stat().st_mode & 0o777 == 0o755


def test_the_last_to_be_made_current_is_read_and_all_are_listed(tmp_path: Path) -> None:
    first, second = publish(tmp_path, b"1"), publish(tmp_path, b"2")
    assert bundle.read_current(tmp_path) == second
    assert bundle.versions(tmp_path) == sorted([first.version, second.version])
    with bundle.draft(tmp_path):
        bundle.make_current(first)
    assert bundle.read_current(tmp_path) == first


def test_what_is_a_fact_of_the_files_is_not_taken_from_the_caller(tmp_path: Path) -> None:
    claims = {"format": 7, "version": "mine", "created": "never", "plots": ["none.png"]}
    made = publish(tmp_path, b"weights", **claims, model={"sha256": "none", "size": 1, "file": "x", "parameters": 7})
    facts = {"file": bundle.H5_NAME, "sha256": bundle.hash_of(b"weights"), "size": 7}
    assert made.manifest["model"] == facts | {"parameters": 7}
    assert made.manifest["plots"] == ["loss.png"]
    assert made.version == made.path.name != "mine"
    assert all(made.manifest[name] != value for name, value in claims.items())


def test_the_same_model_may_be_published_twice(tmp_path: Path) -> None:
    made = [publish(tmp_path, b"same") for _ in range(3)]
    assert bundle.versions(tmp_path) == [each.version for each in made]
    assert len({each.version for each in made}) == 3
    assert bundle.read_current(tmp_path).version == made[-1].version


def test_a_committed_bundle_is_not_current_until_it_is_made_so(tmp_path: Path) -> None:
    first = publish(tmp_path, b"1")
    with bundle.draft(tmp_path) as path:
        (path / bundle.H5_NAME).write_bytes(b"2")
        second = bundle.commit(path, {})
    assert bundle.read_current(tmp_path) == first
    assert second.version in bundle.versions(tmp_path)


def test_a_draft_that_is_not_committed_leaves_nothing(tmp_path: Path) -> None:
    with bundle.draft(tmp_path) as path:
        (path / "half").write_text("half")
    with pytest.raises(RuntimeError), bundle.draft(tmp_path) as path:
        raise RuntimeError
    assert [item.name for item in tmp_path.iterdir()] == [".lock"]


def test_what_could_not_be_read_back_gets_no_name(tmp_path: Path) -> None:
    assert refusal_of(lambda: publish(tmp_path, accuracy=float("nan"))) == "malformed"
    with bundle.draft(tmp_path) as path:
        (path / bundle.H5_NAME).touch()
        os.truncate(path / bundle.H5_NAME, bundle.MAX_BYTES + 1)  # which takes no place on the disk
        assert refusal_of(lambda: bundle.commit(path, {})) == "malformed"
    assert bundle.versions(tmp_path) == []
    assert [item.name for item in tmp_path.iterdir()] == [".lock"]


def test_a_draft_sweeps_out_what_others_left(tmp_path: Path) -> None:
    (tmp_path / ".draft-dead" / "plots").mkdir(parents=True)
    (tmp_path / ".current-123").write_text("v1")
    with bundle.draft(tmp_path) as path:
        assert {item.name for item in tmp_path.iterdir()} == {".lock", path.name}


def test_publishing_follows_no_link_that_lies_in_its_way(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("precious")
    models = tmp_path / "models"
    models.mkdir()
    (models / ".draft-folder").symlink_to(victim)
    (models / ".draft-file").symlink_to(victim / "file")
    (models / ".draft-nothing").symlink_to(victim / "nothing")
    (models / ".current-link").symlink_to(victim / "file")
    made = publish(models)
    with bundle.draft(models):
        (models / ".current-aside").symlink_to(victim / "file")
        bundle.make_current(made)
    assert bundle.read_current(models) == made
    assert {item.name for item in models.iterdir()} == {".lock", "current", made.version}
    (models / ".lock").unlink()
    (models / ".lock").symlink_to(victim / "file")
    with pytest.raises(OSError, match="symbolic links"):
        publish(models)
    assert [item.read_text() for item in victim.iterdir()] == ["precious"]


# --- a model that was dropped there by hand -----------------------------------------------------


def test_a_bare_model_has_a_version_made_of_its_hash(tmp_path: Path) -> None:
    (tmp_path / bundle.H5_NAME).write_bytes(b"by hand")
    read = bundle.read_current(tmp_path)
    assert read.version == f"bare-{bundle.hash_of(b'by hand')[:12]}"
    assert read.h5 == b"by hand"
    assert read.path == tmp_path
    assert bundle.versions(tmp_path) == []
    bundle.check_golden(read, lambda _: np.zeros((1, 10)))  # there are none to differ from


def test_what_is_published_goes_before_what_is_bare(tmp_path: Path) -> None:
    (tmp_path / bundle.H5_NAME).write_bytes(b"by hand")
    made = publish(tmp_path)
    assert bundle.read_current(tmp_path) == made


# --- what is refused ----------------------------------------------------------------------------


def test_a_folder_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    for models in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BadBundle, match="train one, or put a") as refusal:
            bundle.read_current(models)
        assert refusal.value.code == "missing"


def test_a_default_model_that_is_not_there_is_not_named(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match=f"there is no model in {tmp_path / 'models'} yet"):
        bundle.read_served(tmp_path / "models", tmp_path / "default")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"../../etc/passwd", "malformed"),
        (b"/etc/passwd", "malformed"),
        (b"..", "malformed"),
        (b".draft-x", "malformed"),
        (b"", "malformed"),
        (b"\n", "malformed"),
        (b"v1\nv2", "malformed"),
        (b"v1\0", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"v" * 101, "malformed"),
        (b"v1", "missing"),
        (bundle.MANIFEST_NAME.encode(), "missing"),
    ],
)
def test_current_must_name_a_bundle(text: bytes, code: str, tmp_path: Path) -> None:
    publish(tmp_path)
    (tmp_path / "current").write_bytes(text)
    assert refusal_of(lambda: bundle.read_current(tmp_path)) == code


def test_a_folder_for_a_file_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "a" / "current").mkdir(parents=True)
    (tmp_path / "b" / bundle.H5_NAME).mkdir(parents=True)
    assert refusal_of(lambda: bundle.read_current(tmp_path / "a")) == "missing"
    assert refusal_of(lambda: bundle.read_current(tmp_path / "b")) == "missing"


def test_models_that_cannot_be_a_folder_are_missing(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("no folder")
    assert refusal_of(lambda: bundle.read_current(tmp_path / "models")) == "missing"
    assert refusal_of(lambda: bundle.read_current(tmp_path / ("m" * 300))) == "missing"


@pytest.mark.parametrize(
    "text",
    [
        "", "no JSON", "[]", "{}", "7", "[" * 100_000, '{"format": 2}', "\ud800",
        '{"format": 1, "version": "v"}', '{"format": 1, "version": 7, "model": {"sha256": "x"}}',
        '{"format": 1, "version": "v", "model": []}', '{"format": 1, "version": "v", "model": {}}',
    ],
    ids=lambda text: ascii(text[:40]),
)  # fmt: skip
def test_a_damaged_manifest_is_malformed(text: str, tmp_path: Path) -> None:
    made = publish(tmp_path)
    (made.path / bundle.MANIFEST_NAME).write_bytes(text.encode(errors="surrogatepass"))
    assert refusal_of(lambda: bundle.read_current(tmp_path)) == "malformed"


@pytest.mark.parametrize("levels", [bundle.MOST_NESTED, 900])
def test_a_manifest_that_is_too_deep_to_be_sent_is_malformed(levels: int, tmp_path: Path) -> None:
    made = publish(tmp_path)
    rewrite(made, partial(Manifest.update, mine=nested(bundle.MOST_NESTED - 1)))  # within the manifest, one more
    assert bundle.read_current(tmp_path).version == made.version
    rewrite(made, partial(Manifest.update, mine=nested(levels)))
    assert refusal_of(lambda: bundle.read_current(tmp_path)) == "malformed"


def nested(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


def test_a_manifest_must_be_that_of_its_folder(tmp_path: Path) -> None:
    made = publish(tmp_path)
    rewrite(made, lambda manifest: manifest.update(version="other"))
    assert refusal_of(lambda: bundle.read_current(tmp_path)) == "mismatch"


def test_a_model_must_have_the_hash_of_its_manifest(tmp_path: Path) -> None:
    made = publish(tmp_path, b"weights")
    for changed in (b"weightz", b"weight", b""):
        (made.path / bundle.H5_NAME).write_bytes(changed)
        assert refusal_of(lambda: bundle.read_current(tmp_path)) == "mismatch"
    rewrite(made, lambda manifest: manifest.update(model={"sha256": ["x"]}))
    assert refusal_of(lambda: bundle.read_current(tmp_path)) == "mismatch"


def test_files_that_are_absent_are_missing(tmp_path: Path) -> None:
    for name in (bundle.H5_NAME, bundle.MANIFEST_NAME):
        made = publish(tmp_path, name.encode())
        (made.path / name).unlink()
        assert refusal_of(lambda: bundle.read_current(tmp_path)) == "missing"


def test_a_file_beyond_the_cap_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / bundle.H5_NAME).open("wb") as file:
        file.truncate(bundle.MAX_BYTES + 1)
    assert refusal_of(lambda: bundle.read_current(tmp_path)) == "malformed"


# --- golden images ------------------------------------------------------------------------------


def answering(probabilities: list[float]) -> Callable[[Pixels], Any]:
    return lambda batch: np.tile(np.array(probabilities, np.float32), (len(batch), 1))


def golden(count: int = 2) -> list[dict[str, Any]]:
    return [bundle.golden(1, png(), PROBABILITIES) for _ in range(count)]


def test_a_network_that_answers_as_keras_did_is_the_right_one(tmp_path: Path) -> None:
    made = publish(tmp_path, golden=golden())
    near = [probability + bundle.GOLDEN_TOLERANCE / 2 for probability in PROBABILITIES]
    for probabilities in (PROBABILITIES, near):
        bundle.check_golden(bundle.read_current(tmp_path), answering(probabilities))
    assert base64.b64decode(made.manifest["golden"][0]["image"]) == png()


def test_each_golden_image_counts(tmp_path: Path) -> None:
    samples, network = golden(bundle.MOST_GOLDEN), answering(PROBABILITIES)
    bundle.check_golden(publish(tmp_path, golden=samples), network)
    wrong = [*samples[:-1], bundle.golden(1, png(), PROBABILITIES[::-1])]
    made = publish(tmp_path, golden=wrong)
    assert refusal_of(lambda: bundle.check_golden(made, network)) == "mismatch"


@pytest.mark.parametrize("probabilities", [PROBABILITIES[::-1], [0.91 + 2e-4, *[0.01] * 9], [float("nan")] * 10])
def test_a_network_that_answers_otherwise_is_not(probabilities: list[float], tmp_path: Path) -> None:
    made = publish(tmp_path, golden=golden())
    assert refusal_of(lambda: bundle.check_golden(made, answering(probabilities))) == "mismatch"


@pytest.mark.parametrize(
    "samples",
    [
        7,
        [7],
        ["text"],
        {"a": 1},
        [{}],
        [{"image": 7, "probabilities": PROBABILITIES}],
        [{"image": "no base64!", "probabilities": PROBABILITIES}],
        [{"image": "", "probabilities": PROBABILITIES}],
        [{"image": base64.b64encode(b"text").decode(), "probabilities": PROBABILITIES}],
        [bundle.golden(1, encoded(Image.new("L", (2000, 2000)), "PNG"), PROBABILITIES)],
        golden(bundle.MOST_GOLDEN + 1),
        [golden(1)[0] | {"probabilities": PROBABILITIES[:9]}],
        [golden(1)[0] | {"probabilities": "ten"}],
        [golden(1)[0] | {"probabilities": [10**400] * 10}],
        [golden(1)[0] | {"probabilities": PROBABILITIES * 2}],
        [golden(1)[0] | {"probabilities": PROBABILITIES * 2}, golden(1)[0] | {"probabilities": []}],
        [golden(1)[0] | {"probabilities": PROBABILITIES[:5]}, golden(1)[0] | {"probabilities": PROBABILITIES[:5]}],
    ],
    ids=range(17),
)
def test_golden_images_that_cannot_be_read_are_malformed(samples: Any, tmp_path: Path) -> None:
    made = publish(tmp_path, golden=samples)
    assert refusal_of(lambda: bundle.check_golden(made, answering(PROBABILITIES))) == "malformed"


# --- kill -9 ------------------------------------------------------------------------------------


def test_kill_9_at_any_moment_leaves_the_old_bundle_or_the_new(tmp_path: Path) -> None:
    """A publisher is killed before its k-th call into C, for every k until it gets to its end."""
    subprocess.run([sys.executable, "-c", PUBLISHER, tmp_path], check=True, timeout=120)
    folders = sorted(tmp_path.iterdir(), key=lambda folder: int(folder.name))
    assert len(folders) > 100
    served = []
    for models in folders:
        current = bundle.read_current(models)
        served.append(current.h5)
        complete = [bundle.read(models / version).h5 for version in bundle.versions(models)]
        assert sorted(complete) in ([b"old"], [b"new", b"old"])
        publish(models, b"next")
        assert bundle.read_current(models).h5 == b"next"
        names = {item.name for item in models.iterdir()}
        assert names == {".lock", "current", *bundle.versions(models)}
    turn = served.index(b"new")
    assert served[:turn] == [b"old"] * turn
    assert served[turn:] == [b"new"] * (len(folders) - turn)
    assert 50 < turn < len(folders)


PUBLISHER = """
import os, pathlib, signal, sys
from digits import bundle

def publish(models, h5):
    with bundle.draft(models) as path:
        (path / bundle.H5_NAME).write_bytes(h5)
        (path / bundle.PLOTS).mkdir()
        (path / bundle.PLOTS / "loss.png").write_bytes(b"a plot")
        made = bundle.commit(path, {})
        bundle.make_current(made)

def die_before_call(k):
    calls = 0
    def count(frame, event, called):
        nonlocal calls
        if event == "c_call" and called.__module__ in ("posix", "fcntl", "io", "_io", None):  # None: a file's method
            calls += 1
            if calls == k:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(count)

k = 0
while True:
    k += 1
    models = pathlib.Path(sys.argv[1], str(k))
    publish(models, b"old")
    child = os.fork()
    if child == 0:
        die_before_call(k)
        publish(models, b"new")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status))
"""
