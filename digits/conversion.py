"""A `.h5` turned into ONNX in a child process with bounded memory and time.

What a damaged or hostile file does to the HDF5 library stays there, and neither h5py nor onnx is
loaded into this process. The child takes longer to import these than to convert; so it may be
started before there is a file. This module imports nothing that takes time itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Self

from digits.errors import EXIT_STATUS, BadModel

SECONDS = 60  # at most, from the file to its network; the classic one takes a quarter of one
COMMAND = (sys.executable, "-m", "digits.convert")


class Conversion:
    """A child that waits for a file. It ends when it has converted one, or with the block, or with this process.

    It is told the id of this process as the last argument of its command.
    """

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        pipe = subprocess.PIPE
        self._child = subprocess.Popen([*command, str(os.getpid())], stdin=pipe, stdout=pipe, stderr=pipe)

    def finish(self, data: bytes, seconds: float = SECONDS) -> bytes:
        """Convert the bytes of a `.h5`; returns those of an ONNX model. Raises `BadModel`."""
        try:
            made, report = self._child.communicate(data, seconds)
        except subprocess.TimeoutExpired as exc:
            raise BadModel("unreadable", f"reading the model took more than {seconds:g} s") from exc
        status = self._child.returncode
        if status == EXIT_STATUS:
            raise refusal(report)
        if status != 0:
            raise BadModel("unreadable", f"reading the model failed: {cause(status, report)}")
        return made

    def end(self) -> None:
        """Have `finish`, in whatever thread, come to an end at once."""
        self._child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._child.kill()  # which does nothing to one that has ended
        self._child.communicate()  # closes the pipes


def convert(data: bytes, *, command: Sequence[str] = COMMAND, seconds: float = SECONDS) -> bytes:
    """Convert the bytes of a `.h5` from beginning to end. Raises `BadModel`."""
    with Conversion(command) as conversion:
        return conversion.finish(data, seconds)


def cause(status: int, report: bytes) -> str:
    """Return why the converter failed: the signal that ended it, or the last line of its report."""
    if status < 0:
        hint = "; out of memory?" if status == -signal.SIGKILL else ""
        return f"the converter was ended by signal {-status} ({signal.strsignal(-status)}){hint}"
    last = report.decode(errors="replace").strip().rpartition("\n")[2]
    return f"exit status {status}, {last or 'and it said nothing of why'}"


def refusal(report: bytes) -> BadModel:
    """Return the error that the converter wrote in the last line of its report."""
    try:
        return BadModel(**json.loads(report.strip().rpartition(b"\n")[2]))
    except (ValueError, TypeError):
        return BadModel("unreadable", "reading the model failed, and the converter said nothing of why")
