"""Entry point of `make run`: `python -m config.run`."""

import sys

from config.run.errors import StartError
from config.run.signals import StopSignals
from config.run.start import run


def main() -> int:
    signals = StopSignals()
    signals.install()
    try:
        run(signals)
    except StartError as error:
        sys.stderr.write(f"switchboard: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
