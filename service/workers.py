"""Worker processes that share a port. Knows nothing of what they serve."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from uvicorn.supervisors.multiprocess import Multiprocess, Process

FIRST_SECONDS = 10  # for the first worker, before the others are started all the same


class Workers(Multiprocess):
    """uvicorn's supervisor, but the first worker gets all cores until it serves."""

    def init_processes(self) -> None:
        first = Process(self.config, self.sockets)
        first.start()
        self.processes.append(first)
        first.wait_until_ready(FIRST_SECONDS, self.should_exit)
        for _ in range(1, self.processes_num):
            self.processes.append(Process(self.config, self.sockets))
            self.processes[-1].start()


class Port(socket.socket):
    """A port that is taken. Each worker that it is given to gets a socket of its own there.

    From one socket that all share, whichever worker wakes first takes most of a burst of connections. Between
    several, the kernel spreads them: `SO_REUSEPORT`, socket(7). That is Linux'; elsewhere workers share this one.
    """

    @classmethod
    def of(cls, taken: socket.socket) -> Port:
        port = cls(fileno=taken.detach())
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # not before it was bound: a port in use is refused
        return port

    def __reduce__(self) -> tuple[Callable[..., socket.socket], tuple[Any, ...]]:
        return another, (self.family, self.getsockname())


def another(family: int, address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    return made
