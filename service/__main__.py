"""python -m service: settings -> models -> app -> uvicorn.

Starting takes as long as importing does. So the model is read and converted meanwhile, from the
earliest moment on, and both are done once, however many processes serve.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from service.settings import Settings

if TYPE_CHECKING:
    import uvicorn

SHUTDOWN_SECONDS = 20  # for requests in progress; less than an orchestrator waits before it kills


def main() -> int:
    try:
        settings = Settings.from_env()
        settings.models.mkdir(parents=True, exist_ok=True)  # so that there is something to watch
    except (ValueError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    config = configure(settings)
    if settings.processes == 1:
        return serve(config)
    from service import workers

    port = workers.share(config.bind_socket())
    return workers.supervise(partial(serve, config), port, settings.processes)


def configure(settings: Settings) -> uvicorn.Config:
    """Begin to read the model, and import what serves it."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's; no matrices here, and threads don't go with forks
    from service.engine import Models

    models = Models(settings.models)
    with models.reading():
        import uvicorn

        from service.app import create_app
        from service.raw import Shortcut

    return uvicorn.Config(
        lambda: Shortcut(create_app(settings, models)), factory=True, host=settings.host, port=settings.port,
        log_level=settings.log_level, access_log=settings.log_level in ("debug", "info"),
        root_path=settings.root_path, server_header=False, http="service.protocol:BoundedProtocol",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )  # fmt: skip


def serve(config: uvicorn.Config, port: socket.socket | None = None) -> int:
    """Serve on a socket, or on one of its own, until a signal. Returns the exit status."""
    import uvicorn
    from uvicorn.config import STARTUP_FAILURE

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when all is answered
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again, too
        server.run([port] if port else None)
    return 0 if server.started else STARTUP_FAILURE


if __name__ == "__main__":
    sys.exit(main())
