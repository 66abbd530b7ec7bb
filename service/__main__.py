"""python -m service: settings -> models -> app -> server.

Starting takes as long as importing does. So the model is read and converted meanwhile, from the
earliest moment on, and both are done once, however many processes serve.
"""

from __future__ import annotations

import os
import signal
import sys

from digits.conversion import Conversion
from service.settings import Settings, misspelt


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until something is to be ended in good order
    try:
        settings = Settings.from_env()
        settings.models.mkdir(parents=True, exist_ok=True)  # so that there is something to watch
    except (ValueError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    for sentence in misspelt():
        print(f"warning: {sentence}", file=sys.stderr)
    conversion = Conversion()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's; no matrices here, and threads don't go with forks
    from digits import bundle
    from service.engine import Models

    models = Models(settings.models, bundle.DEFAULT_MODEL if settings.default_model else None)
    with models.reading(conversion):
        from service import server
        from service.app import create_app, import_api

    return server.run(lambda: create_app(settings, models), settings, import_api)


if __name__ == "__main__":
    sys.exit(main())
