"""A model is taken up, replaced and refused while requests go on."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits import bundle
from digits.conversion import Conversion
from digits.errors import BadModel
from service.engine import Models
from service.problems import NoModel
from tests import hostile
from tests.conftest import Busy
from tests.hostile import image_input, layer, sequential
from tests.models import dense_h5, mnist, publish, templates

pytestmark = pytest.mark.anyio

DEADLINE = 20.0  # seconds; a change is noticed in less than one


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what a watcher will bring about, up to a deadline."""
    async with asyncio.timeout(DEADLINE):
        while not holds():
            await asyncio.sleep(0.02)


class Slow(ThreadPoolExecutor):
    """Begins nothing before it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.released = threading.Event()

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        self.asked += 1
        return super().submit(self._begin, *arguments, **options)

    def _begin(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        assert self.released.wait(DEADLINE)
        return function(*arguments, **options)


def version(models: Models) -> str | None:
    return str(models.served.manifest["version"]) if models.served else None


async def test_a_model_that_appears_is_taken_up(tmp_path: Path, h5: bytes) -> None:
    models = Models(tmp_path)
    async with models.watched():
        assert version(models) is None
        made = await asyncio.to_thread(publish, tmp_path, h5)
        await until(lambda: version(models) == made.version)
        assert models.refusal is None
        pixels, _ = mnist(5)
        assert models.engine.judge(pixels).shape == (5, 11)


async def test_a_folder_that_appears_later_is_found(tmp_path: Path, h5: bytes) -> None:
    models = Models(tmp_path / "later")
    async with models.watched():
        made = await asyncio.to_thread(publish, tmp_path / "later", h5)
        await until(lambda: version(models) == made.version)


async def test_a_look_that_fails_is_not_the_last(tmp_path: Path, h5: bytes) -> None:
    """Neither at the start nor later."""
    made, busy = publish(tmp_path, h5), Busy(refusals=2)
    asyncio.get_running_loop().set_default_executor(busy)
    models = Models(tmp_path)
    async with models.watched():
        assert busy.refusals == 1
        (tmp_path / "one").touch()
        await until(lambda: not busy.refusals)
        assert version(models) is None
        (tmp_path / "two").touch()
        await until(lambda: version(models) == made.version)


async def test_a_newer_bundle_replaces_the_old_one(tmp_path: Path, h5: bytes) -> None:
    old = publish(tmp_path, h5)
    models = Models(tmp_path)
    async with models.watched():
        assert version(models) == old.version
        new = await asyncio.to_thread(publish, tmp_path, templates(2.0))
        await until(lambda: version(models) == new.version)


async def test_a_default_model_is_served_until_one_is_published(tmp_path: Path, h5: bytes) -> None:
    default = publish(tmp_path / "default", templates(2.0))
    models = Models(tmp_path / "models", tmp_path / "default")
    models.folder.mkdir()
    async with models.watched():
        assert version(models) == default.version
        made = await asyncio.to_thread(publish, tmp_path / "models", h5)
        await until(lambda: version(models) == made.version)


@pytest.mark.parametrize("is_bare", [False, True])
@pytest.mark.parametrize("is_left", [False, True])
async def test_a_folder_that_was_emptied_or_moved_leaves_its_model_served(
    tmp_path: Path, h5: bytes, is_bare: bool, is_left: bool
) -> None:
    """A volume was unmounted, perhaps: no reason to answer with another model."""
    publish(tmp_path / "default", templates(2.0))
    folder = tmp_path / "models"
    publish(folder, h5)
    if is_bare:
        (folder / "current").unlink()
        (folder / bundle.H5_NAME).write_bytes(h5)
    models = Models(folder, tmp_path / "default")
    async with models.watched():
        served = version(models)
        folder.rename(tmp_path / "away")
        if is_left:
            folder.mkdir()
        await until(lambda: models.refusal is not None)
        assert "any more" in str(models.refusal)
        assert version(models) == served
        if is_left:
            folder.rmdir()
        (tmp_path / "away").rename(folder)
        await until(lambda: models.refusal is None)
        assert version(models) == served


async def test_without_current_the_default_model_is_served_again(
    tmp_path: Path, h5: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    default = publish(tmp_path / "default", templates(2.0))
    folder = tmp_path / "models"
    made = publish(folder, h5)
    for name in ("mine.h5", "mnist_cnn_model.keras"):
        (folder / name).touch()
    models = Models(folder, tmp_path / "default")
    with caplog.at_level(logging.INFO, "uvicorn.error"):
        async with models.watched():
            assert version(models) == made.version
            (folder / "current").unlink()
            await until(lambda: version(models) == default.version)
            assert models.refusal is None
    (published, again) = [record.getMessage() for record in caplog.records if "serving" in record.getMessage()]
    assert published == f"serving model {made.version}"
    assert f"comes with the project, since no model in {folder} is current" in again
    assert "mine.h5, mnist_cnn_model.keras, but only a .h5 of the name mnist_cnn_model.h5 is served" in again


async def test_a_folder_that_cannot_be_watched_is_complained_of_in_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "models").symlink_to("models")  # which goes round; root may read whatever is there
    models = Models(tmp_path / "models")
    async with models.watched():
        await until(lambda: any("cannot watch" in record.getMessage() for record in caplog.records))
    assert not any(record.exc_info for record in caplog.records)


async def test_a_default_model_does_not_stand_in_for_one_that_is_refused(tmp_path: Path) -> None:
    publish(tmp_path / "default", templates(2.0))
    (tmp_path / bundle.H5_NAME).write_bytes(b"no model")
    models = Models(tmp_path, tmp_path / "default")
    async with models.watched():
        assert version(models) is None
        assert models.refusal is not None


async def test_a_bare_file_dropped_by_hand_is_served(tmp_path: Path, h5: bytes) -> None:
    models = Models(tmp_path)
    async with models.watched():
        (tmp_path / bundle.H5_NAME).write_bytes(h5)
        await until(lambda: version(models) is not None)
        manifest = models.engine.manifest
        assert manifest["version"] == f"bare-{bundle.hash_of(h5)[:12]}"
        assert manifest["model"]["parameters"] == 7850


async def test_a_bare_file_that_arrives_slowly_is_served_once_it_is_whole(tmp_path: Path, h5: bytes) -> None:
    models = Models(tmp_path)
    async with models.watched():
        with (tmp_path / bundle.H5_NAME).open("wb") as file:
            file.write(h5[:5000])
            file.flush()
            await until(lambda: models.refusal is not None and "HDF5" in models.refusal)
            assert str(models.refusal).startswith(f"{tmp_path / bundle.H5_NAME}: ")
            file.write(h5[5000:])
        await until(lambda: version(models) is not None)
        assert models.refusal is None


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / bundle.H5_NAME).write_bytes(b"\x89HDF"), "SHA-256"),
        (lambda folder: (folder / bundle.MANIFEST_NAME).write_text("{"), "JSON"),
        (lambda folder: (folder / bundle.H5_NAME).unlink(), "cannot read"),
    ],
)
async def test_a_bad_bundle_is_refused_and_the_old_one_stays(
    tmp_path: Path, h5: bytes, spoil: Callable[[Path], object], reason: str
) -> None:
    old = publish(tmp_path, h5)
    models = Models(tmp_path)
    async with models.watched():
        publish(tmp_path / "elsewhere", templates(2.0))
        bad = next(tmp_path.glob("elsewhere/2*"))
        spoil(bad)
        bad.rename(tmp_path / bad.name)
        (tmp_path / "current.new").write_text(bad.name)
        (tmp_path / "current.new").replace(tmp_path / "current")
        await until(lambda: models.refusal is not None)
        assert reason in str(models.refusal)
        assert version(models) == old.version


async def test_a_bundle_that_contradicts_its_golden_images_is_refused(tmp_path: Path, h5: bytes) -> None:
    """Its file is whole and its hash is right, but it isn't the network that the trainer saw."""
    old = publish(tmp_path, h5)
    models = Models(tmp_path)
    async with models.watched():
        with bundle.draft(tmp_path) as path:
            generator = np.random.default_rng(0)
            other = dense_h5(generator.normal(size=(784, 10)).astype(np.float32), np.zeros(10, np.float32))
            (path / bundle.H5_NAME).write_bytes(other)
            lying = bundle.commit(path, {"golden": old.manifest["golden"]})
            bundle.make_current(lying)
        await until(lambda: models.refusal is not None)
        assert "golden" in str(models.refusal)
        assert version(models) == old.version


async def test_a_network_that_overflows_is_refused(tmp_path: Path) -> None:
    (tmp_path / bundle.H5_NAME).write_bytes(dense_h5(np.full((784, 10), 1e37, np.float32), np.zeros(10, np.float32)))
    models = Models(tmp_path)
    async with models.watched():
        assert version(models) is None
        assert "no number" in str(models.refusal)


async def test_a_current_that_leads_nowhere_changes_nothing_but_the_reason(tmp_path: Path, h5: bytes) -> None:
    publish(tmp_path / "default", templates())
    made = publish(tmp_path / "models", h5)
    models = Models(tmp_path / "models", tmp_path / "default")
    async with models.watched():
        (tmp_path / "models" / "current").unlink()
        (tmp_path / "models" / "current").symlink_to("nowhere")
        await until(lambda: models.refusal is not None)
        assert version(models) == made.version


async def test_a_current_that_leads_nowhere_is_told_of_beside_the_default(tmp_path: Path) -> None:
    made = publish(tmp_path / "default", templates())
    (tmp_path / "models").mkdir()
    models = Models(tmp_path / "models", tmp_path / "default")
    async with models.watched():
        assert (version(models), models.refusal) == (made.version, None)
        (tmp_path / "models" / "current").symlink_to("nowhere")
        await until(lambda: models.refusal is not None)
        assert version(models) == made.version


async def test_the_words_of_a_file_forge_no_lines_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nor do they move the cursor of whoever reads it."""
    config = sequential(image_input(), layer("Evil\nINFO:     serving model FAKE\x1b[2J", name="evil"))
    (tmp_path / bundle.H5_NAME).write_bytes(hostile.model(config))
    models = Models(tmp_path)
    async with models.watched():
        assert version(models) is None
    assert "Evil\\nINFO:     serving model FAKE\\x1b[2J" in str(models.refusal)
    assert all(record.getMessage().isprintable() for record in caplog.records)


async def test_after_a_refusal_a_good_bundle_is_taken_up(tmp_path: Path, h5: bytes) -> None:
    (tmp_path / bundle.H5_NAME).write_bytes(b"no model")
    models = Models(tmp_path)
    async with models.watched():
        assert version(models) is None
        assert models.refusal is not None
        made = await asyncio.to_thread(publish, tmp_path, h5)
        await until(lambda: version(models) == made.version)
        assert models.refusal is not None
        assert "is not served, since" in models.refusal  # the bad file still lies there


async def test_a_model_that_takes_long_to_read_keeps_no_port_closed(tmp_path: Path, h5: bytes) -> None:
    """It is read anew, while those who ask hear that there is none yet."""
    made = publish(tmp_path, h5)
    models = Models(tmp_path)
    hanging = "import sys, threading; sys.stdin.buffer.read(); threading.Event().wait()"
    with models.reading(Conversion((sys.executable, "-c", hanging)), seconds=0.1):
        pass
    async with models.watched():
        with pytest.raises(NoModel, match="still being read"):
            _ = models.engine
        await until(lambda: version(models) == made.version)
        assert models.refusal is None


async def test_what_was_read_ahead_does_not_replace_what_is_found_later(tmp_path: Path, h5: bytes) -> None:
    """Nobody looks into the folder before it is taken up."""
    publish(tmp_path, h5)
    models = Models(tmp_path)
    with models.reading(Conversion()):
        pass
    slow = Slow()
    asyncio.get_running_loop().set_default_executor(slow)

    async def serve() -> None:
        async with models.watched():
            await until(lambda: version(models) == new.version)

    new = publish(tmp_path, templates(2.0))
    serving = asyncio.create_task(serve())
    for _ in range(3):
        await asyncio.sleep(0)  # lets it begin
    refreshing = asyncio.create_task(models.refresh())
    for _ in range(3):
        await asyncio.sleep(0)
    assert slow.asked == 1
    slow.released.set()
    await asyncio.gather(serving, refreshing)


async def test_what_is_still_being_read_at_the_end_is_not_converted(tmp_path: Path, h5: bytes) -> None:
    """A thread that waits for the file cannot be cancelled, but must not keep the process from ending."""
    models = Models(tmp_path)
    async with models.watched():
        pass
    publish(tmp_path, h5)
    with pytest.raises(BadModel, match="signal 9"):
        await asyncio.to_thread(models._load)
