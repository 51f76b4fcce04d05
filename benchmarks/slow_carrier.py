"""How much of its parallel calls one worker process keeps busy while a carrier takes 200 ms to respond.

    python -m benchmarks.slow_carrier [--against REV] [--rounds 5] [--seconds 3]

10,000 messages are queued. A round is twice `--seconds` of the same run; the bound is DISPATCH_CONCURRENCY ÷ 0.2 s.
"""

from benchmarks.bench import Bench, command
from benchmarks.dispatch import sent_in
from benchmarks.queued import dispatching, queued
from benchmarks.report import Report
from benchmarks.rounds import Rounds

NAME = "slow_carrier"
MESSAGES = 10_000
DELAY = 0.2
CONCURRENCY = 16
BOUND = CONCURRENCY / DELAY


def measure(bench: Bench) -> Report:
    report = Report(Rounds())
    environment = {"DISPATCH_CONCURRENCY": str(CONCURRENCY)}
    for build in bench.builds:
        with (
            queued(build, bench.options.few(MESSAGES)) as queue,
            dispatching(bench, build, queue, delay=DELAY, environment=environment) as run,
        ):
            for _ in range(bench.options.rounds):
                report.rounds.add(build.name, sent_in(run, seconds=2 * bench.options.seconds))
    report.rounds.add("bound", {"per_second": BOUND})
    found = report.rounds.medians()
    report.rows = {"slow_carrier": bench.by_build(lambda side: found[side]["per_second"] / BOUND)}
    return report


if __name__ == "__main__":
    command(NAME, measure, __doc__)
