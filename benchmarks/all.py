"""All benchmarks of the common table, one after the other, and the table at the end: `make benchmark`.

    python -m benchmarks.all [--only NAME …] [--against REV] [--rounds 5] [--seconds 3] [--quick]

A benchmark that fails, or is not done after ten minutes, loses no other: its row keeps its last figures. The results of growth,
fan-out and idle have commands of their own and are only read.
"""

import argparse
import contextlib
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType

from benchmarks import (
    accept,
    accept_twilio,
    batch,
    dispatch,
    journey,
    latency,
    receipts,
    slow_carrier,
    smpp_dispatch,
    smpp_server,
    statements,
    table,
)
from benchmarks.bench import Bench, Measure, opened, parse, save

BENCHMARKS: dict[str, Measure] = {
    each.NAME: each.measure
    for each in (
        accept,
        accept_twilio,
        batch,
        statements,
        dispatch,
        slow_carrier,
        receipts,
        journey,
        latency,
        smpp_dispatch,
        smpp_server,
    )
}
LONGEST_SECONDS = 600


def main(arguments: Sequence[str] | None = None) -> int:
    """The number of benchmarks that failed."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS))
    chosen, others = parser.parse_known_args(arguments)
    options = parse(others, f"{__doc__}\n  --only NAME …  some of {', '.join(BENCHMARKS)}")
    with opened(options) as bench:
        failed = [name for name in chosen.only if not run(name, BENCHMARKS[name], bench)]
    print()
    print(table.text(table.load()))
    if failed:
        print(f"Failed, so that the rows have older figures or none: {', '.join(failed)}")
    return len(failed)


def run(name: str, measure: Measure, bench: Bench) -> bool:
    """Return False if it failed, with the traceback on standard error."""
    try:
        with deadline(LONGEST_SECONDS):
            save(name, measure(bench), bench)
    except Exception:  # noqa: BLE001 (whatever it is, the others are measured)
        sys.stderr.write(f"{name} failed\n")
        traceback.print_exc()
        return False
    return True


@contextlib.contextmanager
def deadline(seconds: int) -> Iterator[None]:
    """Raise `TimeoutError` inside when the time is over."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)


if __name__ == "__main__":
    sys.exit(main())
