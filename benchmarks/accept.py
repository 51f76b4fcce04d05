"""How fast single messages are accepted, beside a bare Django view with one insert and beside Jasmin's `/send`.

    JASMIN_VENV=/tmp/jasmin python -m benchmarks.accept [--against REV] [--rounds 5] [--seconds 3]

One side accepts for an owner with a budget. 16 connections; each message has a new Idempotency-Key and a new number. Only the
web processes run, by the Procfile's command: what is accepted stays queued. CPU is that of the web processes alone.
"""

import contextlib
import functools
import itertools
import uuid
from collections.abc import Callable, Iterator

import psycopg

from benchmarks import load, peers
from benchmarks.bare import BareView, bare_view
from benchmarks.bench import Bench, command
from benchmarks.builds import Run
from benchmarks.report import Report
from benchmarks.rounds import Measured, interleaved, ratio

NAME = "accept"
CONNECTIONS = 16
BUDGET = "with a budget"
HIGHEST_RATE = 6_000  # requests a second: as many are prepared


def measure(bench: Bench) -> Report:
    if why := load.missing():
        return Report(left_out={"all": why})
    report, seconds = Report(), bench.options.seconds
    with contextlib.ExitStack() as opened:
        sides: dict[str, Callable[[], Measured]] = {}
        for build in bench.builds:
            run = opened.enter_context(build.run("web", database_url=opened.enter_context(build.copy())))
            sides[build.name] = functools.partial(accept, run, numbers=itertools.count(), seconds=seconds)
        limited = opened.enter_context(bench.now.copy())
        set_budget(limited)
        run = opened.enter_context(bench.now.run("web", database_url=limited))
        sides[BUDGET] = functools.partial(accept, run, numbers=itertools.count(), seconds=seconds)
        bare = opened.enter_context(bare_view())
        sides["bare"] = functools.partial(insert, bare, seconds=seconds)
        if why := peers.jasmin_missing():
            report.left_out["jasmin"] = why
        else:
            sides["jasmin"] = functools.partial(peers.send, opened.enter_context(peers.jasmin()), seconds=seconds)
        report.rounds = interleaved(sides, rounds=bench.options.rounds)
    found = report.rounds.medians()
    rate = {side: measures["per_second"] for side, measures in found.items()}
    cpu = {side: measures["cpu_ms"] for side, measures in found.items()}
    report.rows = {
        "accept_to_bare": bench.by_build(lambda side: ratio(rate[side], rate["bare"])),
        "accept_cpu_to_bare": bench.by_build(lambda side: ratio(cpu[side], cpu["bare"])),
        "accept_with_budget": {bench.now.name: ratio(rate[BUDGET], rate[bench.now.name])},
        "accept_to_jasmin": bench.by_build(lambda side: ratio(rate[side], rate.get("jasmin"))),
    }
    return report


def set_budget(database_url: str) -> None:
    """A budget of segments that is never used up, of each user."""
    with psycopg.connect(database_url, autocommit=True) as database:
        database.execute(
            "INSERT INTO messaging_budget (id, owner_id, country, period, currency, limit_units, created_at, updated_at)"
            " SELECT gen_random_uuid(), id, '', 'day', '', 1000000000, now(), now() FROM auth_user"
        )


def messages(run: Run, numbers: Iterator[int], count: int) -> Iterator[bytes]:
    """Requests that post one message each."""
    token = {"Authorization": f"Bearer {run.token}"}
    prefix = uuid.uuid4().hex
    for index in itertools.islice(numbers, count):
        body = {"to": f"+1415{2_000_000 + index}", "message": "Your code is 123456"}
        yield load.request("POST", "/api/v1/messages/", body, token | {"Idempotency-Key": f"{prefix}-{index}"})


def accept(run: Run, *, numbers: Iterator[int], seconds: float) -> Measured:
    before = run.cpu()
    prepared = messages(run, numbers, round(HIGHEST_RATE * seconds))
    done = load.send(run.url, prepared, connections=CONNECTIONS, seconds=seconds)
    spent = run.cpu().since(before)
    return {
        "per_second": done.per_second,
        "cpu_ms": spent["web"] / done.requests * 1000,
        "postgresql_cpu_ms": spent["postgresql"] / done.requests * 1000,
    }


def insert(bare: BareView, *, seconds: float) -> Measured:
    before = bare.cpu()
    prepared = map(bare.request, range(round(HIGHEST_RATE * seconds)))
    done = load.send(bare.url, prepared, connections=CONNECTIONS, seconds=seconds)
    return {"per_second": done.per_second, "cpu_ms": (bare.cpu() - before) / done.requests * 1000}


if __name__ == "__main__":
    command(NAME, measure, __doc__)
