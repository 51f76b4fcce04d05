"""How fast messages are accepted in batches of 1,000, beside the older build and beside Kannel's `sendsms`.

    python -m benchmarks.batch [--against REV] [--rounds 5] [--seconds 3]

Kannel takes one recipient a request here, over 16 connections; batches come over two, one for each web process.
"""

import contextlib
import functools
import itertools
import uuid
from collections.abc import Callable, Iterator

from benchmarks import load, peers
from benchmarks.bench import Bench, command
from benchmarks.builds import Run
from benchmarks.report import Report
from benchmarks.rounds import Measured, interleaved, ratio

NAME = "batch"
SIZE = 1_000
BATCHES = 10
CONNECTIONS = 2
LONGEST_SECONDS = 60


def measure(bench: Bench) -> Report:
    if why := load.missing():
        return Report(left_out={"all": why})
    report, batches = Report(), 4 if bench.options.quick else BATCHES
    with contextlib.ExitStack() as opened:
        sides: dict[str, Callable[[], Measured]] = {}
        for build in bench.builds:
            run = opened.enter_context(build.run("web", database_url=opened.enter_context(build.copy())))
            sides[build.name] = functools.partial(post, run, numbers=itertools.count(), batches=batches)
        if why := peers.kannel_missing():
            report.left_out["kannel"] = why
        else:
            kannel = opened.enter_context(peers.kannel())
            sides["kannel"] = functools.partial(peers.send, kannel, seconds=bench.options.seconds)
        report.rounds = interleaved(sides, rounds=bench.options.rounds)
    rate = {side: measures["per_second"] for side, measures in report.rounds.medians().items()}
    report.rows = {
        "batch_to_today": bench.by_build(lambda side: ratio(rate[side], rate.get("today"))),
        "batch_to_kannel": bench.by_build(lambda side: ratio(rate[side], rate.get("kannel"))),
    }
    return report


def batch(run: Run, numbers: Iterator[int]) -> bytes:
    items = [
        {"to": f"+1415{2_000_000 + index}", "message": "Your code is 123456"}
        for index in itertools.islice(numbers, SIZE)
    ]
    headers = {"Authorization": f"Bearer {run.token}", "Idempotency-Key": str(uuid.uuid4())}
    return load.request("POST", "/api/v1/messages/batch/", {"messages": items}, headers)


def post(run: Run, *, numbers: Iterator[int], batches: int) -> Measured:
    """Messages a second, and the CPU of the web processes for each."""
    prepared = [batch(run, numbers) for _ in range(batches)]
    before = run.cpu()
    done = load.send(run.url, prepared, connections=CONNECTIONS, seconds=LONGEST_SECONDS)
    spent = run.cpu().since(before)
    return {
        "per_second": done.per_second * SIZE,
        "cpu_ms": spent["web"] / done.requests / SIZE * 1000,
        "postgresql_cpu_ms": spent["postgresql"] / done.requests / SIZE * 1000,
    }


if __name__ == "__main__":
    command(NAME, measure, __doc__)
