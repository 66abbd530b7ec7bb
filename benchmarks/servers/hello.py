"""A bare ASGI function on uvicorn, in as many processes as asked for.

Each process has a socket of its own on the one port (SO_REUSEPORT), so the kernel deals out the
connections, as it does for the service.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"17")]


async def hello(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b'{"hello":"world"}'})


def serve(port: int) -> None:
    config = uvicorn.Config(
        hello, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="warning"
    )
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", port))
        uvicorn.Server(config).run([listening])


def main(processes: int) -> None:
    port = int(os.environ["PORT"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # which ends the daemons, too
    workers = [multiprocessing.Process(target=serve, args=(port,), daemon=True) for _ in range(processes - 1)]
    for worker in workers:
        worker.start()
    serve(port)


if __name__ == "__main__":
    main(int(sys.argv[1]))
