"""What the benchmarks of the common table share: options, both builds, a carrier, and the report at the end."""

import argparse
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import redis

from benchmarks import against, report
from benchmarks.builds import Build
from benchmarks.carrier import Carrier, carrier
from benchmarks.report import Report

NOW, TODAY = "now", "today"


@dataclass(frozen=True)
class Options:
    """`seconds` is the length of one round of one side, `messages` the number that the smallest counts are scaled from."""

    against: str = against.TODAY
    rounds: int = 5
    seconds: float = 3.0
    quick: bool = False

    def few(self, count: int) -> int:
        """That number of messages; with `--quick` a tenth of it."""
        return max(10, count // 10) if self.quick else count


def parse(arguments: Sequence[str] | None, description: str) -> Options:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--against",
        metavar="REV",
        default=against.TODAY,
        help="the older revision; '' leaves it out (default: %(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a round of a side (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one short round, only to see that everything works")
    given = parser.parse_args(arguments)
    if given.quick:
        return Options(against=given.against, rounds=1, seconds=0.5, quick=True)
    return Options(against=given.against, rounds=given.rounds, seconds=given.seconds)


@dataclass(frozen=True)
class Bench:
    """`builds` has the current one first, named `now`; the older one, if there is one, is named `today`."""

    options: Options
    builds: list[Build]
    carrier: Carrier

    @property
    def now(self) -> Build:
        return self.builds[0]

    def by_build(self, figure: Callable[[str], float | None]) -> dict[str, float | None]:
        """A row of the common table."""
        return {build.name: figure(build.name) for build in self.builds}


Measure = Callable[[Bench], Report]


@contextlib.contextmanager
def opened(options: Options) -> Iterator[Bench]:
    """Everything is stopped and dropped at the end, at Ctrl-C, and at SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with contextlib.ExitStack() as stack:
        checkouts = {NOW: against.current()}
        if options.against:
            checkouts[TODAY] = stack.enter_context(against.checkout(options.against))
        calls = stack.enter_context(carrier())
        builds = [
            stack.enter_context(Build(name, checkout, carrier_url=calls.url)) for name, checkout in checkouts.items()
        ]
        yield Bench(options, builds, calls)


def save(name: str, found: Report, bench: Bench) -> None:
    """Write the report of one benchmark and print its figures."""
    with redis.Redis.from_url(bench.now.redis_url) as client:
        server = client.info("server")
    broker = {"Valkey": server["valkey_version"]} if "valkey_version" in server else {"Redis": server["redis_version"]}
    revisions = {build.name: build.checkout.revision for build in bench.builds}
    file = report.write(name, found, revisions=revisions, options=asdict(bench.options), broker=broker)
    print(f"{name} ({file})")
    for side, measures in found.rounds.medians().items():
        print(f"  {side:<12}" + "  ".join(f"{measure} {value:,.4g}" for measure, value in measures.items()))
    for row, figures in found.rows.items():
        print(f"  {row:<32}" + "  ".join(f"{side} {_number(value)}" for side, value in figures.items()))
    for side, why in found.left_out.items():
        print(f"  {side} was left out: {why}")
    sys.stdout.flush()


def command(name: str, measure: Measure, description: str | None) -> None:
    """Run one benchmark by its own command."""
    with opened(parse(None, description or "")) as bench:
        save(name, measure(bench), bench)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"
