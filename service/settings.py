"""Everything that can be set, in one place. Each field is also `DIGITS_<NAME>` in the environment."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from starlette.config import Config

from digits.cores import cores

PREFIX = "DIGITS_"
MODEL_NAME = "[A-Za-z0-9._-]{1,100}"  # what the name of a model may be, as a regular expression
MOST_PROCESSES = 4  # unless more are asked for: each may take a gigabyte for a moment, with a large picture
FORKS = sys.platform == "linux"  # where connections are spread over the processes, too; see `service.workers`
LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


def setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Settings:
    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0 for all")
    port: int = setting(8000, "port to listen on; 0 for any free one")
    models: Path = setting(
        Path("models"), "folder for published bundles, or for a `mnist_cnn_model.h5` that you drop there"
    )
    default_model: bool = setting(
        True,
        "serve the model that comes with the project while that folder holds none, not even an unreadable one: "
        "`true` or `false`",
    )
    model_name: str = setting("digits", "name of the model under `/v1` and `/v2`, the protocols of other servers")
    workers: int = setting(0, "number of processes; 0: one per core, up to 4 (not on Linux: one)")
    threads: int = setting(
        0, "threads for inference in each process, and as many for each kind of decoding; 0: one per core"
    )
    max_body: int = setting(10 << 20, "most bytes in a request; more get 413")
    max_images: int = setting(10_000, "most images in a request; more get 413")
    max_batch: int = setting(
        128, "most images that a thread takes at once; the network reads up to 32 of them at a time"
    )
    max_queue: int = setting(20_000, "most images in all requests being answered, in each process; more get 429")
    root_path: str = setting("", "path prefix that a proxy adds in front of the service and strips, such as `/digits`")
    log_level: str = setting("info", "`critical`, `error`, `warning`, `info` or `debug`")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the environment. Raises `ValueError` with a sentence that names the variable."""
        config = Config(environ=without_links(environ), env_prefix=PREFIX)
        values: dict[str, Any] = {
            item.name: config(item.name.upper(), type(item.default), item.default) for item in fields(cls)
        }
        settings = cls(**values)
        problem = settings.problem()
        if problem:
            raise ValueError(problem)
        return settings

    def problem(self) -> str | None:
        """Return what is wrong with a value, in a sentence."""
        checks = {
            "DIGITS_HOST must not be empty; 0.0.0.0 is all addresses": bool(self.host),
            "DIGITS_PORT must lie between 0 and 65535": 0 <= self.port <= 65535,
            "DIGITS_MODEL_NAME must consist of letters, digits, dots, dashes and underscores": bool(
                re.fullmatch(MODEL_NAME, self.model_name)
            ),
            "DIGITS_WORKERS must be at least 0": self.workers >= 0,
            "DIGITS_WORKERS must be 0 or 1 where this isn't Linux": FORKS or self.workers <= 1,
            "DIGITS_THREADS must be at least 0": self.threads >= 0,
            "DIGITS_MAX_BODY must be at least 1": self.max_body >= 1,
            "DIGITS_MAX_IMAGES must be at least 1": self.max_images >= 1,
            "DIGITS_MAX_BATCH must be at least 1": self.max_batch >= 1,
            "DIGITS_MAX_QUEUE must be at least DIGITS_MAX_IMAGES": self.max_queue >= self.max_images,
            "DIGITS_ROOT_PATH must be empty or begin, and not end, with a slash": not self.root_path
            or (self.root_path.startswith("/") and not self.root_path.endswith("/")),
            "DIGITS_LOG_LEVEL must be critical, error, warning, info or debug": self.log_level in LOG_LEVELS,
        }
        return next((message for message, holds in checks.items() if not holds), None)

    @property
    def processes(self) -> int:
        return self.workers or (min(cores(), MOST_PROCESSES) if FORKS else 1)

    @property
    def threads_at_hand(self) -> int:
        return self.threads or cores()


def table() -> str:
    """Return a line for each variable: its name, its default, and what it is."""
    rows = [(f"{PREFIX}{item.name.upper()}", str(item.default), item.metadata["help"]) for item in fields(Settings)]
    return "\n".join(f"  {name:<21} {default:<10} {said.replace('`', '')}" for name, default, said in rows)


def without_links(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out the DIGITS_PORT that Kubernetes gives to all that run beside a Service of the name `digits`."""
    return {name: value for name, value in environ.items() if not value.startswith("tcp://") or name != "DIGITS_PORT"}


def misspelt(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return a sentence for each variable that is nearly a setting.

    Only near misses are reported: clients and Kubernetes set other `DIGITS_*` variables.
    """
    known = {item.name.upper() for item in fields(Settings)}
    others = {name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX)} - known
    if not others:
        return []
    from difflib import get_close_matches  # milliseconds, which most starts do without

    nearest = {name: get_close_matches(name.upper(), known, 1) for name in sorted(others)}
    return [f"{PREFIX}{name} is no setting; did you mean {PREFIX}{near[0]}?" for name, near in nearest.items() if near]
