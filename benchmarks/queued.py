"""Databases with a full queue, and a worker that begins to send it."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping

from benchmarks import databases
from benchmarks.batch import SIZE
from benchmarks.bench import Bench
from benchmarks.builds import Build, Run
from benchmarks.processes import wait_until

FIRST_CALL_SECONDS = 60.0


@contextlib.contextmanager
def queued(build: Build, count: int) -> Iterator[str]:
    """The address of a database with that many queued messages, each to another number. Nothing is connected to it."""
    with build.copy() as url:
        numbers = itertools.count(2_000_000)
        with build.run("web", database_url=url) as run:
            for start in range(0, count, SIZE):
                items = [
                    {"to": f"+1415{number}", "message": "Your code is 123456"}
                    for number in itertools.islice(numbers, min(SIZE, count - start))
                ]
                answer = run.session.post(f"{run.url}/api/v1/messages/batch/", json={"messages": items}, timeout=60)
                answer.raise_for_status()
        databases.vacuum(url)
        yield url


@contextlib.contextmanager
def dispatching(
    bench: Bench,
    build: Build,
    database_url: str,
    *,
    delay: float = 0.0,
    database_proxy: str = "",
    redis_proxy: str = "",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Run]:
    """One worker process, and beat, with the carrier that responds after `delay` seconds. Returns after its first call."""
    bench.carrier.reset(delay=delay)
    with build.run(
        "worker",
        "beat",
        database_url=database_url,
        database_proxy=database_proxy,
        redis_proxy=redis_proxy,
        environment=environment,
    ) as run:
        wait_until(
            lambda: bench.carrier.count() > 0, seconds=FIRST_CALL_SECONDS, what=f"{build.name}: a call to the carrier"
        )
        yield run
