"""Several processes that serve one port, and one that looks after them. Knows nothing of what they serve.

They are forked, so that what was imported before takes its time and its memory once. Each gets a
socket of its own: from one that all share, whichever worker wakes first takes most of a burst of
connections; between several, the kernel spreads them (`SO_REUSEPORT`, socket(7)). Linux only.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess

from uvicorn.config import STARTUP_FAILURE

from digits.parent import end_with_parent

logger = logging.getLogger("uvicorn.error")

Serve = Callable[[socket.socket], int]  # until a signal, with an exit status

STOP = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
PAUSE = 0.5  # seconds before a successor starts, which may well end as soon


def take(host: str, port: int) -> socket.socket:
    """Take a port that nobody has, and share it with the workers. Raises `OSError`."""
    taken = made(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        taken.bind((host, port))
    except OSError:
        taken.close()
        raise
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # not before, or it might be another service's
    return taken


def another(port: socket.socket) -> socket.socket:
    """Return one more socket on a shared port, to which nobody connects before it listens."""
    own = made(port.family)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    own.bind(port.getsockname())
    return own


def made(family: int) -> socket.socket:
    """Return a socket that takes connections as those of asyncio do: for IPv6, of that alone."""
    new = socket.socket(family)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier service may linger
    if family == socket.AF_INET6:
        new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return new


def supervise(serve: Serve, port: socket.socket, count: int, prepare: Callable[[], object]) -> int:
    """Keep `count` workers at it until a signal. Returns 0, or `STARTUP_FAILURE` if one says that it cannot start.

    `prepare` is called once the first one is on its way, for what the others shall share.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {*STOP, signal.SIGCHLD})
    workers: list[BaseProcess] = []
    try:
        workers.append(start(serve, port))
        prepare()
        for _ in range(count - 1):
            workers.append(start(serve, port))  # noqa: PERF401  # one that cannot start must not lose those before
        while not is_over(workers):
            for index, worker in enumerate(workers):
                if worker.exitcode == STARTUP_FAILURE:
                    return STARTUP_FAILURE
                if worker.exitcode is not None:
                    logger.error("worker %s ended with status %s; another one starts", worker.pid, worker.exitcode)
                    if signal.sigtimedwait(STOP, PAUSE):
                        return 0
                    workers[index] = started_again(serve, port) or worker
        return 0
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def is_over(workers: Sequence[BaseProcess]) -> bool:
    """Wait until a worker ends, or may be replaced at last; tell whether there was a signal to stop."""
    wanted = {*STOP, signal.SIGCHLD}
    missing = any(worker.exitcode is not None for worker in workers)
    came = signal.sigtimedwait(wanted, PAUSE) if missing else signal.sigwaitinfo(wanted)
    return came is not None and came.si_signo in STOP


def started_again(serve: Serve, port: socket.socket) -> BaseProcess | None:
    """Start a worker; None if the system has no process or memory to spare just now."""
    try:
        return start(serve, port)
    except OSError as exc:
        logger.error("no worker can be started: %s; trying again in %g s", exc, PAUSE)
        return None


def start(serve: Serve, port: socket.socket) -> BaseProcess:
    gc.freeze()  # what was made so far is in use for good; to look through it would copy its pages
    worker = multiprocessing.get_context("fork").Process(target=work, args=(serve, port, os.getpid()))
    worker.start()
    return worker


def work(serve: Serve, port: socket.socket, parent: int) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*STOP, signal.SIGCHLD})
    end_with_parent(parent, signal.SIGTERM)
    sys.exit(serve(another(port)))
