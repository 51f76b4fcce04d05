"""What one message costs from POST to `delivered` by receipt: CPU of all our processes, and rows written.

    python -m benchmarks.journey [--against REV] [--rounds 5]

Each round sends 200 messages one by one over four connections to the processes of the Procfile (web, worker, beat); the carrier
accepts them at once, and its receipts follow. CPU is that of web, worker and beat; PostgreSQL's and Redis' are told apart.
Rows are those inserted, updated and deleted in our tables, read after all processes have ended.
"""

import contextlib
import functools
import itertools
from collections.abc import Iterator

from benchmarks import databases, load
from benchmarks.accept import messages
from benchmarks.bench import Bench, command
from benchmarks.builds import Build, Run
from benchmarks.processes import wait_until
from benchmarks.receipts import receipt
from benchmarks.report import Report
from benchmarks.rounds import Measured, interleaved, ratio

NAME = "journey"
MESSAGES = 200
"""In one round."""
CONNECTIONS = 4
OURS = ("web", "worker", "beat")
LONGEST_SECONDS = 120


def measure(bench: Bench) -> Report:
    if why := load.missing():
        return Report(left_out={"all": why})
    report, count = Report(), bench.options.few(MESSAGES)
    rows: dict[str, dict[str, float]] = {}
    with contextlib.ExitStack() as opened:
        sides, urls = {}, {}
        for build in bench.builds:
            urls[build.name] = opened.enter_context(build.copy())
            before = databases.rows_written(urls[build.name])
            opened.callback(functools.partial(_count_rows, rows, build, urls[build.name], before))
            run = opened.enter_context(build.run(*OURS, database_url=urls[build.name]))
            sides[build.name] = functools.partial(round_trip, bench, run, itertools.count(), count=count)
        report.rounds = interleaved(sides, rounds=bench.options.rounds)
        sent = count * (bench.options.rounds + 1)
    found = report.rounds.medians()
    today = found.get("today", {}).get("ours_cpu_ms")
    written = {side: sum(tables.values()) / sent for side, tables in rows.items()}
    report.rows = {
        "journey_cpu": bench.by_build(lambda side: ratio(found[side]["ours_cpu_ms"], today)),
        "journey_cpu_ms": bench.by_build(lambda side: found[side]["ours_cpu_ms"]),
        "rows_written": bench.by_build(lambda side: written[side]),
    }
    report.details["rows_by_table"] = {
        side: {table: number / sent for table, number in tables.items()} for side, tables in rows.items()
    }
    return report


def round_trip(bench: Bench, run: Run, numbers: Iterator[int], *, count: int) -> Measured:
    """CPU for each message, in milliseconds."""
    delivered = run.count("delivered")
    bench.carrier.reset()
    before = run.cpu()
    load.send(run.url, messages(run, numbers, count), connections=CONNECTIONS, seconds=LONGEST_SECONDS)
    wait_until(lambda: bench.carrier.count() == count, seconds=LONGEST_SECONDS, what="all messages are sent")
    receipts = [receipt(number, call) for number, call in enumerate(bench.carrier.calls(), start=1)]
    load.send(run.url, receipts, connections=CONNECTIONS, seconds=LONGEST_SECONDS)
    wait_until(
        lambda: run.count("delivered") == delivered + count, seconds=LONGEST_SECONDS, what="all messages are delivered"
    )
    spent = {f"{name}_cpu_ms": seconds / count * 1000 for name, seconds in run.cpu().since(before).items()}
    return {"ours_cpu_ms": sum(spent[f"{name}_cpu_ms"] for name in OURS), **spent}


def _count_rows(rows: dict[str, dict[str, float]], build: Build, url: str, before: dict[str, int]) -> None:
    after = databases.rows_written(url)
    changed = {table: count - before.get(table, 0) for table, count in after.items()}
    rows[build.name] = {table: float(count) for table, count in changed.items() if count}


if __name__ == "__main__":
    command(NAME, measure, __doc__)
