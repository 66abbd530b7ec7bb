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

from service.settings import Settings
from service.workers import Port, Workers

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
        taken = config.bind_socket()
        Workers(config, [Port.of(taken) if sys.platform == "linux" else taken]).run()
        return 0
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again, too
        server.run()
    return 0 if server.started else STARTUP_FAILURE


if __name__ == "__main__":
    sys.exit(main())
