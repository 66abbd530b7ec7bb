"""python -m service: settings -> models -> app -> uvicorn.

What only a worker needs is imported there: the process that supervises workers starts sooner, and
stays small.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from service.settings import Settings

FIRST_SECONDS = 10  # for the first worker, before the others are started all the same
SHUTDOWN_SECONDS = 20  # for requests in progress; less than an orchestrator waits before it kills


def app() -> ASGIApp:
    """Make the application from the environment; each worker process calls this."""
    from service.engine import Models

    settings = Settings.from_env()
    models = Models(settings.models)
    models.preload()

    from service.app import create_app
    from service.raw import Shortcut

    return Shortcut(create_app(settings, models))


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


def main() -> int:
    try:
        settings = Settings.from_env()
        settings.models.mkdir(parents=True, exist_ok=True)  # so that there is something to watch
    except (ValueError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    config = uvicorn.Config(
        "service.__main__:app", factory=True, host=settings.host, port=settings.port, workers=settings.processes,
        log_level=settings.log_level, access_log=settings.log_level in ("debug", "info"),
        root_path=settings.root_path, server_header=False, http="service.protocol:BoundedProtocol",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when all is answered
    if settings.processes > 1:
        socket = config.bind_socket()
        socket.listen(config.backlog)  # who comes before the first worker waits, and is not refused
        Workers(config, [socket]).run()
        return 0
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again, too
        server.run()
    return 0 if server.started else STARTUP_FAILURE


if __name__ == "__main__":
    sys.exit(main())
