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
from collections.abc import Callable
from multiprocessing.process import BaseProcess

from uvicorn.config import STARTUP_FAILURE

from digits.parent import end_with_parent

logger = logging.getLogger("uvicorn.error")

Serve = Callable[[socket.socket], int]  # until a signal, with an exit status

STOP = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
PAUSE = 0.5  # seconds before a successor starts, which may well end as soon


def take(host: str, port: int) -> socket.socket:
    """Take a port that nobody has, and share it with the workers. Raises `OSError`."""
    taken = new_socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        taken.bind((host, port))
    except OSError:
        taken.close()
        raise
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # not before, or it might be another service's
    return taken


def another(port: socket.socket) -> socket.socket:
    """Return one more socket on a shared port, to which nobody connects before it listens."""
    own = new_socket(port.family)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    own.bind(port.getsockname())
    return own


def new_socket(family: int) -> socket.socket:
    """Return a socket with the options that asyncio sets: one for IPv6 takes IPv6 alone."""
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
        while (came := next_signal(None if len(workers) == count else PAUSE)) not in STOP:
            for ended in [worker for worker in workers if worker.exitcode is not None]:
                if ended.exitcode == STARTUP_FAILURE:
                    return STARTUP_FAILURE
                logger.error("worker %s ended with status %s; another one starts", ended.pid, ended.exitcode)
                workers.remove(ended)
            if came is None:
                replace_missing(workers, count, serve, port)
        return 0
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def next_signal(seconds: float | None) -> int | None:
    """Wait until a worker ends or a signal says to stop, so long at most; None if neither came."""
    wanted = {*STOP, signal.SIGCHLD}
    came = signal.sigwaitinfo(wanted) if seconds is None else signal.sigtimedwait(wanted, seconds)
    return came.si_signo if came else None


def replace_missing(workers: list[BaseProcess], count: int, serve: Serve, port: socket.socket) -> None:
    """Start workers until there are so many, or until the system has no process or memory to spare just now."""
    try:
        while len(workers) < count:
            workers.append(start(serve, port))
    except OSError as exc:
        logger.error("no worker can be started: %s; trying again in %g s", exc, PAUSE)


def start(serve: Serve, port: socket.socket) -> BaseProcess:
    gc.freeze()  # what was made so far is in use for good; to look through it would copy its pages
    worker = multiprocessing.get_context("fork").Process(target=work, args=(serve, port, os.getpid()))
    worker.start()
    return worker


def work(serve: Serve, port: socket.socket, parent: int) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*STOP, signal.SIGCHLD})
    end_with_parent(parent, signal.SIGTERM)
    sys.exit(serve(another(port)))
