"""Workers share a port, each with a socket of its own, and are replaced when they end."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from service import workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other kernels don't spread connections")

DEADLINE = 30.0  # seconds; a worker is there in less than one

# Each worker answers every connection with its process id; "fail" makes it say that it cannot start,
# "unprepared" has what comes before the second one fail.
SERVE = """
import os, socket, sys
from uvicorn.config import STARTUP_FAILURE
from service import workers

def serve(own):
    if "fail" in sys.argv:
        return STARTUP_FAILURE
    own.listen()
    while True:
        with own.accept()[0] as connection:
            connection.send(str(os.getpid()).encode())

def prepare():
    if "unprepared" in sys.argv:
        raise ImportError("nothing to share")

port = workers.take("127.0.0.1", 0)
print(port.getsockname()[1], flush=True)
sys.exit(workers.supervise(serve, port, 2, prepare))
"""


@pytest.fixture
def port() -> Iterator[socket.socket]:
    with workers.take("127.0.0.1", 0) as taken:
        yield taken


@pytest.fixture
def supervisor() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.terminate()
    process.communicate(timeout=30)


def arrive(port: socket.socket) -> socket.socket:
    """Return what a worker makes of the port that it is given."""
    made = workers.another(port)
    made.listen()
    made.setblocking(False)
    return made


def ask(port: int) -> int:
    """Return the process id of the worker that a new connection gets to, as soon as there is one."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                return int(connection.recv(20))
        except (ConnectionError, ValueError):  # not yet, or no longer
            continue
    raise TimeoutError("no worker answers")


def is_served(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            return bool(connection.recv(20))
    except ConnectionError:
        return False


def test_connections_are_spread_over_the_workers(port: socket.socket) -> None:
    with arrive(port) as first, arrive(port) as second:
        clients = [socket.create_connection(port.getsockname()) for _ in range(60)]
        waiting = [accepted(first), accepted(second)]
        for client in clients:
            client.close()
    assert sum(waiting) == 60
    assert min(waiting) > 0  # by chance alone, once in 10^17 times


def test_no_connection_waits_for_a_worker_that_is_gone(port: socket.socket) -> None:
    arrive(port).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(port.getsockname())
    with arrive(port) as worker:
        clients = [socket.create_connection(port.getsockname()) for _ in range(20)]
        assert accepted(worker) == 20
        for client in clients:
            client.close()


def test_the_port_is_not_shared_with_strangers(port: socket.socket) -> None:
    with arrive(port), pytest.raises(OSError, match="Address already in use"):
        workers.take(*port.getsockname())


def test_a_worker_finds_its_port_though_connections_of_an_earlier_one_linger() -> None:
    with socket.socket() as earlier:
        earlier.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        earlier.bind(("127.0.0.1", 0))
        earlier.listen()
        with socket.create_connection(earlier.getsockname()) as client:
            earlier.accept()[0].close()  # whoever closes first keeps the port for a while
            assert client.recv(1) == b""
        address = earlier.getsockname()
    with workers.take(*address) as taken:
        workers.another(taken).close()


def test_a_worker_that_dies_gets_a_successor(supervisor: subprocess.Popen[str]) -> None:
    assert supervisor.stdout is not None
    port = int(supervisor.stdout.readline())
    first = ask(port)
    os.kill(first, signal.SIGKILL)
    assert first not in both(port)


def both(port: int) -> set[int]:
    """Return the process ids of two workers, as soon as there are so many."""
    seen: set[int] = set()
    end = time.monotonic() + DEADLINE
    while len(seen) < 2:
        assert time.monotonic() < end
        seen.add(ask(port))
    return seen


def test_a_successor_that_cannot_be_started_is_started_later(supervisor: subprocess.Popen[str]) -> None:
    assert supervisor.stdout is not None
    assert supervisor.stderr is not None
    port = int(supervisor.stdout.readline())
    first, second = both(port)
    limits = resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    os.kill(first, signal.SIGKILL)
    said = [supervisor.stderr.readline() for _ in range(3)]
    assert [line.partition(":")[0] for line in said[1:]] == ["no worker can be started"] * 2
    assert ask(port) == second
    resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE, limits)
    assert first not in both(port)


def test_no_worker_outlives_its_supervisor(supervisor: subprocess.Popen[str]) -> None:
    assert supervisor.stdout is not None
    port = int(supervisor.stdout.readline())
    ask(port)
    supervisor.kill()
    supervisor.wait()
    end = time.monotonic() + DEADLINE
    while is_served(port):
        assert time.monotonic() < end


def test_a_worker_that_cannot_start_ends_them_all() -> None:
    done = subprocess.run([sys.executable, "-c", SERVE, "fail"], capture_output=True, timeout=30)
    assert done.returncode == 3


def test_a_start_that_fails_halfway_ends_those_that_started() -> None:
    done = subprocess.run([sys.executable, "-c", SERVE, "unprepared"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "ImportError: nothing to share" in done.stderr
    assert not is_served(int(done.stdout))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_them_all(supervisor: subprocess.Popen[str], number: signal.Signals) -> None:
    assert supervisor.stdout is not None
    port = int(supervisor.stdout.readline())
    ask(port)
    supervisor.send_signal(number)
    assert supervisor.wait(30) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def accepted(listener: socket.socket) -> int:
    """Accept the connections that wait, and return how many those were."""
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1
