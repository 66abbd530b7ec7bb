"""The service as a process: what it loads, how it ends, and that nothing stops it from answering."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from service.endpoints import Answering
from tests import hostile
from tests.models import mnist, png, publish, templates
from tests.server import ROOT, Server, serve

IMAGES, _ = mnist(20)
PNG = {"content-type": "image/png"}


def test_the_process_holds_neither_tensorflow_nor_a_reader_of_hdf5(server: Server) -> None:
    assert httpx.post(f"{server.url}/predict", content=png(IMAGES[0]), headers=PNG).status_code == 200
    libraries = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "onnxruntime" in libraries
    assert not re.search("tensorflow|keras|jaxlib|h5py|libhdf5", libraries)


def test_a_body_that_is_too_long_is_answered_413_over_a_real_connection(server: Server) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 100_000

    response = httpx.post(f"{server.url}/predict", content=endless(), headers=PNG)
    assert response.status_code == 413


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nx",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=\xff\r\n"
        b"Content-Length: 1\r\n\r\nx",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: "
        + b"5".zfill(5000)
        + b"\r\n\r\nxxxxx",
        b"GET /model/plots/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_a_broken_request_harms_nobody(server: Server, request_: bytes) -> None:
    address = (httpx.URL(server.url).host, httpx.URL(server.url).port or 0)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        status = connection.recv(100).partition(b"\r\n")[0]
    assert b" 500 " not in status
    assert httpx.get(f"{server.url}/health").status_code == 200
    assert not [line for line in server.log if "Traceback" in line]


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: ",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ],
)
def test_headers_and_trailers_without_end_are_cut_off(server: Server, beginning: bytes) -> None:
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 0), timeout=10) as connection:
        connection.sendall(beginning)
        assert bytes_taken(connection, most=100 << 20) < 20 << 20
    assert httpx.get(f"{server.url}/health/live").status_code == 200


@pytest.mark.parametrize("apart", [False, True])
def test_trailers_are_no_headers_however_they_arrive(server: Server, apart: bool) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    content = png(mnist(1)[0][0])
    parts = [head + b"%x\r\n%b\r\n0\r\n" % (len(content), content), b"Accept: application/x-npy\r\n\r\n"]
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 0), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts if apart else [b"".join(parts)]:
            connection.sendall(part)
        answer = connection.recv(1 << 16)
    assert b"application/json" in answer.partition(b"\r\n\r\n")[0]


def test_what_libraries_say_of_pictures_stays_out_of_the_log(server: Server) -> None:
    said = len(server.log)
    garbage = hostile.tiff(8, 5_000, bits=1, compression=4, content=b"\xaa" * 5_000)  # as fax machines pack pixels
    for _ in range(2):
        answer = httpx.post(f"{server.url}/predict", content=garbage, headers={"content-type": "image/tiff"})
        assert answer.status_code in (200, 422)
    assert [line for line in server.log[said:] if "POST /predict" not in line] == []


def bytes_taken(connection: socket.socket, most: int) -> int:
    """Send until the other side has had enough."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < most:
            sent += connection.send(b"a" * (1 << 16))
    return sent


def test_headers_of_an_ordinary_length_are_taken_on_one_connection_again_and_again(server: Server) -> None:
    with httpx.Client(base_url=server.url, headers={"x": "a" * 20_000}) as client:
        for _ in range(20):
            assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/model", "/docs", "/v2", "/nowhere", "/predict"])
def test_head_is_get_without_a_body(server: Server, path: str) -> None:
    """As monitors and load balancers ask (RFC 9110, section 9.3.2)."""
    with httpx.Client(base_url=server.url) as client:
        for _ in range(2):  # the connection stands
            asked, told = client.get(path), client.head(path)
            assert (told.status_code, told.content) == (asked.status_code, b"")
            assert told.headers["content-length"] == asked.headers["content-length"]


@pytest.mark.anyio
async def test_a_model_is_replaced_without_a_failed_request(tmp_path: Path, h5: bytes) -> None:
    old = publish(tmp_path, h5)
    with serve(tmp_path) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            versions: list[str] = []
            replaced = asyncio.Event()

            async def load() -> None:
                while not replaced.is_set():
                    response = await client.post("/predict", content=png(IMAGES[0]), headers=PNG)
                    assert response.status_code == 200, response.text
                    versions.append(response.json()["model"]["version"])
                    if versions[-1] != old.version:
                        replaced.set()

            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                for _ in range(4):
                    group.create_task(load())
                new = await asyncio.to_thread(publish, tmp_path, templates(2.0))
        assert set(versions) == {old.version, new.version}


def test_sigterm_lets_requests_finish(published: Path) -> None:
    """What was accepted is answered, and the process ends by itself, in order."""
    content = png(IMAGES[0])
    head = f"POST /predict HTTP/1.1\r\nHost: t\r\nContent-Type: image/png\r\nContent-Length: {len(content)}\r\n"
    with serve(published) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 60) as connection, connection.makefile("rwb") as wire:
            wire.write(head.encode() + b"Expect: 100-continue\r\n\r\n")
            wire.flush()
            assert wire.readline().startswith(b"HTTP/1.1 100")  # which says that it was accepted
            server.process.send_signal(signal.SIGTERM)
            wire.write(content)
            wire.flush()
            assert wire.readline() == b"\r\n"
            assert wire.readline().startswith(b"HTTP/1.1 200")
        assert server.process.wait(30) == 0


def test_a_second_ctrl_c_ends_it_at_once_and_quietly(published: Path) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: t\r\nContent-Type: image/png\r\nContent-Length: 9\r\n"
    with serve(published) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with (
            socket.create_connection((host, int(port)), 60) as idle,
            socket.create_connection((host, int(port))) as busy,
        ):
            busy.sendall(head + b"Expect: 100-continue\r\n\r\n")
            assert busy.recv(100).startswith(b"HTTP/1.1 100")  # it is accepted, and never ends
            server.process.send_signal(signal.SIGINT)
            assert idle.recv(1) == b""  # which says that the shutdown has begun
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(15) == 128 + signal.SIGINT
    assert not [line for line in server.log if "Traceback" in line]


@pytest.mark.anyio
async def test_who_still_waits_when_a_shutdown_takes_too_long_is_told() -> None:
    begun, sent = asyncio.Event(), list[Message]()

    async def endless(request: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    task = asyncio.ensure_future(Answering(endless)(scope, Request(scope).receive, send))
    await begun.wait()
    task.cancel()  # as uvicorn does
    await task
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"])["error"]["code"] == "stopping"


def run(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run `python -m service` where it ends by itself."""
    environ = os.environ | {f"DIGITS_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "service", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken_is_told_with_the_setting_that_names_another(tmp_path: Path, workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = run(models=tmp_path, default_model=False, workers=workers, port=other.getsockname()[1])
    assert done.returncode == 3
    assert "DIGITS_PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_lists_the_settings_and_other_arguments_are_refused() -> None:
    shown, refused = run("--help"), run("--port", "8011")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "DIGITS_PORT" in shown.stdout
    assert refused.returncode == 2
    assert "--port" in refused.stderr
    assert "DIGITS_PORT" in refused.stderr


def test_a_wrong_setting_ends_it_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="error: DIGITS_THREADS must be at least 0"), serve(tmp_path, threads=-1):
        pass


def test_a_file_in_place_of_the_folder_of_models_ends_it_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.h5").touch()
    done = run(models=tmp_path / "mine.h5")
    assert (done.returncode, "mine.h5 is no folder; DIGITS_MODELS names" in done.stderr) == (2, True), done.stderr


def test_a_misspelt_setting_is_warned_of_and_the_port_is_told_at_any_level(published: Path) -> None:
    with serve(published, log_level="critical", max_image=7) as server:
        assert httpx.get(f"{server.url}/health/live").status_code == 200
    assert server.log[0] == "warning: DIGITS_MAX_IMAGE is no setting; did you mean DIGITS_MAX_IMAGES?\n"
    assert [line for line in server.log[1:] if "listening on" not in line] == []


def test_several_workers_share_a_port(published: Path) -> None:
    with serve(published, workers=2) as server:
        for _ in range(10):
            response = httpx.post(f"{server.url}/predict", content=png(IMAGES[0]), headers=PNG)
            assert response.json()["predictions"][0]["digit"] == 7
