"""SQL statements and Redis round trips: of one accepted message, and of one dispatched from a full queue.

    python -m benchmarks.statements [--against REV]

The processes reach both servers through proxies that count; BEGIN and COMMIT are counted apart. The messages are accepted one
after the other by one web process; then the worker, with beat beside it, sends from a queue that stays full. Averages.
"""

import contextlib
import itertools
import uuid
from collections.abc import Iterator

from benchmarks.bench import Bench, command
from benchmarks.builds import Build
from benchmarks.counting_proxy import CountingProxy, postgresql
from benchmarks.dispatch import SENT, sent_in
from benchmarks.queued import dispatching, queued
from benchmarks.report import Report
from benchmarks.rounds import Rounds

NAME = "statements"
WARM_UP, ACCEPTED, QUEUED = 20, 200, 3_000


def measure(bench: Bench) -> Report:
    report = Report(Rounds())
    for build in bench.builds:
        report.rounds.add(build.name, accept(build, bench.options.few(ACCEPTED)))
        report.rounds.add(build.name, dispatch(bench, build))
    found = report.rounds.medians()
    report.rows = {
        row: bench.by_build(lambda side, row=row: found[side][row])  # type: ignore[misc]
        for row in ("accept_statements", "accept_redis", "dispatch_statements")
    }
    return report


@contextlib.contextmanager
def proxies(build: Build, database_url: str) -> Iterator[tuple[CountingProxy, CountingProxy]]:
    with postgresql(database_url) as database, CountingProxy(build.redis_url) as broker:
        yield database, broker


def accept(build: Build, count: int) -> dict[str, float]:
    with (
        build.copy() as url,
        proxies(build, url) as (database, broker),
        build.run(
            "web",
            database_url=url,
            database_proxy=database.url,
            redis_proxy=broker.url,
            environment={"WEB_CONCURRENCY": "1"},
        ) as run,
    ):
        before: list[int] = []
        for index in range(WARM_UP + count):
            if index == WARM_UP:
                before = _counts(database, broker)
            body = {"to": f"+1415{2_000_000 + index}", "message": "Your code is 123456"}
            key = {"Idempotency-Key": str(uuid.uuid4())}
            run.session.post(f"{run.url}/api/v1/messages/", json=body, headers=key, timeout=30).raise_for_status()
        return _means("accept", before, _counts(database, broker), count)


def dispatch(bench: Bench, build: Build) -> dict[str, float]:
    with (
        queued(build, bench.options.few(QUEUED)) as url,
        proxies(build, url) as (database, broker),
        dispatching(bench, build, url, database_proxy=database.url, redis_proxy=broker.url) as run,
    ):
        before, sent = _counts(database, broker), run.count(SENT)
        sent_in(run, seconds=bench.options.seconds)
        return _means("dispatch", before, _counts(database, broker), run.count(SENT) - sent)


def _counts(database: CountingProxy, broker: CountingProxy) -> list[int]:
    return [database.counts["statements"], database.counts["transactions"], broker.counts["round_trips"]]


def _means(name: str, before: list[int], after: list[int], count: int) -> dict[str, float]:
    kinds = ("statements", "transactions", "redis")
    spent = (later - earlier for earlier, later in itertools.zip_longest(before, after))
    return {f"{name}_{kind}": number / count for kind, number in zip(kinds, spent, strict=True)}


if __name__ == "__main__":
    command(NAME, measure, __doc__)
