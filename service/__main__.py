"""python -m service: settings -> models -> app -> uvicorn."""

from __future__ import annotations

import signal
import sys

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.engine import Models
from service.protocol import BoundedProtocol
from service.settings import Settings

SHUTDOWN_SECONDS = 20  # for requests in progress; less than an orchestrator waits before it kills


def app() -> FastAPI:
    """Make the application from the environment; each worker process calls this."""
    settings = Settings.from_env()
    return create_app(settings, Models(settings.models, threads=settings.threads_at_hand))


def main() -> int:
    try:
        settings = Settings.from_env()
        settings.models.mkdir(parents=True, exist_ok=True)  # so that there is something to watch
    except (ValueError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when all is answered
    uvicorn.run(
        "service.__main__:app", factory=True, host=settings.host, port=settings.port, workers=settings.workers,
        log_level=settings.log_level, root_path=settings.root_path, server_header=False, http=BoundedProtocol,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
