"""The composition, for real: images are built, a model is trained, published, served and asked.

Containers, network and volume are gone in the end. The two images stay, tagged `test`, so that
what hasn't changed isn't built again; without them it takes a few minutes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from digits_client import Client
from service.settings import Settings
from tests import models as made

ROOT = Path(__file__).parent.parent
BASE = "python:3.11-slim-bookworm"
TRAINER, SERVICE = "digits-trainer:test", "digits-service:test"
QUICK = ["python", "-m", "trainer", "--quick", "--if-missing", "--output", "/models"]
OVERRIDE = {"services": {"trainer": {"image": TRAINER, "command": QUICK}, "service": {"image": SERVICE}}}
ABOVE_BASE = 350_000_000  # bytes that the service may add to its base image

BUILD_SECONDS, TRAINING_SECONDS, START_SECONDS = 1200, 300, 60  # at most


@dataclass(frozen=True, slots=True)
class Composition:
    command: list[str]  # docker compose, the files and the name of the project
    environment: dict[str, str]
    url: str

    def run(self, *arguments: str, seconds: float = START_SECONDS) -> str:
        return output([*self.command, *arguments], seconds=seconds, environment=self.environment)

    def container(self, service: str) -> str:
        return self.run("ps", "--all", "--quiet", service).strip()


def test_each_setting_reaches_the_service_in_its_container() -> None:
    passed = set(re.findall(r"^ +- (DIGITS_\w+)$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE))
    given = {"DIGITS_HOST", "DIGITS_PORT", "DIGITS_MODELS"}  # by the image
    assert passed == {f"DIGITS_{field.name.upper()}" for field in fields(Settings)} - given


def test_a_hundred_digits_are_classified_through_the_published_port(composition: Composition) -> None:
    images, labels = made.mnist(100)
    with Client(composition.url) as client:
        predictions = client.predict(list(images))
    assert sum(p.digit == label for p, label in zip(predictions, labels, strict=True)) >= 95


@pytest.mark.parametrize(
    ("service", "verb", "models"),
    [("service", ["exec", "-T", "service"], "ro"), ("trainer", ["run", "--rm", "-T", "trainer"], "rw")],
)
def test_a_container_can_write_only_what_it_must(
    composition: Composition, service: str, verb: list[str], models: str
) -> None:
    seen = composition.run(*verb, "cat", "/proc/self/status", "/proc/self/mounts")
    facts = dict(re.findall(r"^(\w+):\t(.*)$", seen, re.MULTILINE))
    mounts = dict(re.findall(r"^\S+ (\S+) \S+ (r[ow]),", seen, re.MULTILINE))
    assert set(facts["Uid"].split()) == set(facts["Gid"].split()) == {"10001"}, service
    assert {int(facts[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert facts["NoNewPrivs"] == "1"
    assert (mounts["/"], mounts["/models"], mounts["/tmp"]) == ("ro", models, "rw")  # noqa: S108


def test_a_second_up_does_not_train_again(composition: Composition) -> None:
    with Client(composition.url) as client:
        before = client.health().model
        composition.run("up", "--detach")
        assert ended(composition.container("trainer")) == "0"
        assert client.health().model == before
    follow(["docker", "logs", composition.container("trainer")], until="is published already")


def test_a_bare_file_in_a_folder_is_served(composition: Composition, tmp_path: Path) -> None:
    with Client(composition.url) as client:
        identity = client.health().model
    assert identity
    bare = tmp_path / "mnist_cnn_model.h5"
    output(["docker", "cp", f"{composition.container('service')}:/models/{identity.version}/{bare.name}", str(bare)])
    tmp_path.chmod(0o755)
    bare.chmod(0o644)
    images, _ = made.mnist(1)
    with started("--volume", f"{tmp_path}:/models:ro", "--publish", "127.0.0.1::8000") as container:
        follow(["docker", "logs", "--follow", container], until="listening on")
        with Client(f"http://{output(['docker', 'port', container, '8000/tcp']).split()[0]}") as client:
            (prediction,) = client.predict(list(images))
    assert (prediction.digit, prediction.model.sha256) == (7, identity.sha256)


def test_the_service_image_is_small_and_knows_no_keras(composition: Composition) -> None:
    added = size(SERVICE) - size(BASE)
    assert added <= ABOVE_BASE
    find = "import importlib.util as u; print([n for n in ('tensorflow', 'keras', 'trainer', 'pip') if u.find_spec(n)])"
    assert composition.run("exec", "-T", "service", "python", "-c", find).strip() == "[]"


def test_the_service_ends_cleanly_when_told_to(composition: Composition) -> None:
    container = composition.container("service")
    try:
        output(["docker", "stop", "-t", "5", container])  # seconds until it is killed
        assert ended(container) == "0"
    finally:
        composition.run("start", "service")
        since = output(["docker", "inspect", "--format", "{{.State.StartedAt}}", container]).strip()
        follow(["docker", "logs", "--follow", "--since", since, container], until="listening on")


# --- bringing it up -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def composition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    """Build, serve and train. The service has a model that comes with it, and takes up another when there is one."""
    override = tmp_path_factory.mktemp("compose") / "override.yml"
    override.write_text(json.dumps(OVERRIDE))  # JSON is YAML
    files = ["--file", str(ROOT / "docker-compose.yml"), "--file", str(override)]
    port = free_port()
    composed = Composition(
        [*compose(), *files, "--project-name", f"digits-test-{uuid.uuid4().hex[:8]}"],
        {name: value for name, value in os.environ.items() if not name.startswith("DIGITS_")}
        | {"DIGITS_PORT": str(port)},
        f"http://127.0.0.1:{port}",
    )
    composed.run("build", seconds=BUILD_SECONDS)
    try:
        composed.run("up", "--detach")
        service, trainer = composed.container("service"), composed.container("trainer")
        follow(["docker", "logs", "--follow", service], until="listening on")
        with Client(composed.url) as client:
            assert client.health().ok
        assert ended(trainer) == "0"
        trained = composed.run("exec", "-T", "service", "cat", "/models/current").strip()
        follow(["docker", "logs", "--follow", service], until=f"serving model {trained}")
        health = ["--filter", f"container={service}", "--filter", "event=health_status", "--format", "{{.Action}}"]
        follow(["docker", "events", "--since", "0", *health], until="health_status: healthy")
        yield composed
    finally:
        composed.run("down", "--volumes", "--remove-orphans", "--timeout", "5")


def compose() -> list[str]:
    """Return the words of Compose, or skip the test where there is no engine to speak to."""
    if not succeeds(["docker", "info"]):
        pytest.skip("needs a Docker Engine, and `docker info` finds none")
    for command in (["docker", "compose"], ["docker-compose"]):
        if succeeds([*command, "version"]):
            return command
    pytest.skip("needs Docker Compose, and there is neither `docker compose` nor `docker-compose`")


@contextmanager
def started(*options: str) -> Iterator[str]:
    """Run the service as hardened as the composition does, but on its own."""
    hardened = ["--init", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]  # noqa: S108
    hardened += ["--security-opt", "no-new-privileges"]
    container = output(["docker", "run", "--detach", *hardened, *options, SERVICE]).strip()
    try:
        yield container
    finally:
        output(["docker", "rm", "--force", container])


def ended(container: str) -> str:
    """Wait until a container has ended; return its exit code."""
    code = output(["docker", "wait", container], seconds=TRAINING_SECONDS).strip()
    subprocess.run(["docker", "logs", container], check=True)  # pytest shows them if the test fails
    return code


def size(image: str) -> int:
    if not succeeds(["docker", "image", "inspect", image]):  # BuildKit keeps the base to itself
        output(["docker", "pull", "--quiet", image], seconds=BUILD_SECONDS)
    return int(output(["docker", "image", "inspect", "--format", "{{.Size}}", image]))


def follow(command: list[str], *, until: str) -> None:
    """Read what a command prints, line by line, until one holds the given words."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        deadline = threading.Timer(START_SECONDS, process.kill)
        deadline.start()
        try:
            assert process.stdout
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line)
                if until in line:
                    return
            pytest.fail(f"{until!r} did not come within {START_SECONDS} s, but\n{''.join(lines)}")
        finally:
            deadline.cancel()
            process.kill()


def output(command: list[str], *, seconds: float = START_SECONDS, environment: dict[str, str] | None = None) -> str:
    """Return what a command prints; pytest shows what it says besides if the test fails."""
    return subprocess.run(
        command, env=environment, timeout=seconds, check=True, text=True, stdout=subprocess.PIPE
    ).stdout


def succeeds(command: list[str]) -> bool:
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, check=False, timeout=START_SECONDS, capture_output=True).returncode == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
