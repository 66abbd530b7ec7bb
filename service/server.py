"""uvicorn as this service runs it, in one process or in several that share a port."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import LOGGING_CONFIG, STARTUP_FAILURE

from digits.decode import silence
from service import workers
from service.protocol import BoundedProtocol
from service.settings import Settings

logger = logging.getLogger("uvicorn.error")

WHERE = "DIGITS_HOST and DIGITS_PORT say where to listen; 0 is any port that is free"
SHUTDOWN_SECONDS = 20  # for requests in progress; less than an orchestrator waits before it kills
PLAIN = {"format": "%(levelname)s:     %(message)s"}  # what uvicorn writes, in a sixth of the time
SILENT = {"level": "CRITICAL"}  # for what is said in the answer already
LOGGING = LOGGING_CONFIG | {
    "formatters": LOGGING_CONFIG["formatters"] | {"access": PLAIN},
    "loggers": LOGGING_CONFIG["loggers"] | {"python_multipart": SILENT},
}


class Server(uvicorn.Server):
    """Says when it can be asked, which with several processes is not when the port is taken."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # of which uvicorn has logged the reason
            if not self.lifespan.should_exit:
                logger.error(WHERE)
            raise
        for listening in (item for server in self.servers for item in server.sockets):
            host, port = listening.getsockname()[:2]
            tell("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End in good order; at once if Ctrl-C is pressed once more, whatever the threads are at."""
        if self.should_exit and sig == signal.SIGINT:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)


def tell(message: str, *arguments: object) -> None:
    """Always log this line, whatever the level: it is the only place that names a chosen port."""
    logger.handle(logger.makeRecord(logger.name, logging.INFO, __file__, 0, message, arguments, None))


def run(make_app: Callable[[], ASGIApp], settings: Settings, prepare: Callable[[], object]) -> int:
    """Serve until a signal; `prepare` imports what all but the first process inherit. Returns an exit status."""
    skip_unused_log_fields()
    silence()
    config = uvicorn.Config(
        make_app, factory=True, host=settings.host, port=settings.port,
        log_level=settings.log_level, access_log=settings.log_level in ("debug", "info"),
        root_path=settings.root_path, server_header=False, http=BoundedProtocol, ws="none",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS, log_config=LOGGING,
    )  # fmt: skip
    if settings.processes == 1:
        return serve(config)
    try:
        port = workers.take(settings.host, settings.port)
    except OSError as exc:
        logger.error("%s:%s: %s; %s", settings.host, settings.port, exc, WHERE)
        return STARTUP_FAILURE
    return workers.supervise(partial(serve, config), port, settings.processes, prepare)


def skip_unused_log_fields() -> None:
    """Have `logging`, in all of the process, not look up caller, thread and process: no line here shows them."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def serve(config: uvicorn.Config, port: socket.socket | None = None) -> int:
    """Serve in this process, on a socket or on one of its own, until a signal. Returns an exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when all is answered
    server = Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
        server.run([port] if port else None)
    return 0 if server.started else STARTUP_FAILURE
