"""python -m service: settings -> models -> app -> server.

Starting takes as long as importing does. So the model is read and converted meanwhile, from the
earliest moment on, and both are done once, however many processes serve.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until something is to be ended in good order; imports are not
    from digits.conversion import Conversion
    from service.settings import Settings, misspelt

    if len(sys.argv) > 1:
        check_arguments(sys.argv[1:])
    try:
        settings = Settings.from_env()
        settings.models.mkdir(parents=True, exist_ok=True)  # so that there is something to watch
    except FileExistsError:
        print(
            f"error: {settings.models} is no folder; DIGITS_MODELS names the one that holds the models", file=sys.stderr
        )
        return 2
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


def check_arguments(arguments: list[str]) -> None:
    """Print the settings if help is asked for, and refuse all else. Raises `SystemExit`."""
    import argparse  # milliseconds, which most starts do without

    from service.settings import table

    parser = argparse.ArgumentParser(
        "python -m service", description="Serve the model. All settings are environment variables:",
        epilog=table(), formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    try:
        parser.parse_args(arguments)
    except SystemExit as exc:
        if exc.code:
            print("settings are variables, such as DIGITS_PORT=8000; --help lists them", file=sys.stderr)
        raise


if __name__ == "__main__":
    sys.exit(main())
