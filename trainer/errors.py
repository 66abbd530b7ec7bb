"""What ends a command of the trainer before it is done, and the exit codes of all of them.

BadInput          data, models or flags that nothing can be done with
  BadData           no data that can be trained on
  BadMember         a model that cannot be part of an ensemble
  BadArchitecture   no network that can be trained
NotServed         what was made is not good enough, or nothing was
  Diverged          a training that led nowhere

Each says in one sentence what is wrong; `trainer.__main__` alone says it, and makes it an exit code.
"""

from __future__ import annotations

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130  # exit codes


class BadInput(Exception):
    """The message names what was given and says what is wrong with it."""


class NotServed(Exception):
    """What is served was left alone; the message says why."""


class Diverged(NotServed):
    """The weights of a training are no numbers any more."""

    def __init__(self) -> None:
        super().__init__("the training diverged: its loss is no number any more; a lower --learning-rate may help")
