"""Workers share a port, each with a socket of its own, and the kernel spreads connections over them."""

from __future__ import annotations

import pickle
import socket
import sys
from collections.abc import Iterator

import pytest

from service.workers import Port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other kernels don't spread connections")


@pytest.fixture
def port() -> Iterator[Port]:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    with Port.of(taken) as made:
        yield made


def arrive(port: Port) -> socket.socket:
    """Return what a worker makes of the port that it is given."""
    made = pickle.loads(pickle.dumps(port))  # noqa: S301
    assert isinstance(made, socket.socket)
    made.listen()
    made.setblocking(False)
    return made


def test_connections_are_spread_over_the_workers(port: Port) -> None:
    with arrive(port) as first, arrive(port) as second:
        clients = [socket.create_connection(port.getsockname()) for _ in range(60)]
        waiting = [accepted(first), accepted(second)]
        for client in clients:
            client.close()
    assert sum(waiting) == 60
    assert min(waiting) > 0  # by chance alone, once in 10^17 times


def test_no_connection_waits_for_a_worker_that_is_gone(port: Port) -> None:
    arrive(port).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(port.getsockname())
    with arrive(port) as worker:
        clients = [socket.create_connection(port.getsockname()) for _ in range(20)]
        assert accepted(worker) == 20
        for client in clients:
            client.close()


def test_the_port_is_not_shared_with_strangers(port: Port) -> None:
    with socket.socket() as stranger, pytest.raises(OSError, match="Address already in use"):
        stranger.bind(port.getsockname())


def accepted(listener: socket.socket) -> int:
    """Accept the connections that wait, and return how many those were."""
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1
