"""How fast single messages are accepted, beside a bare Django view with one insert and beside Jasmin's `/send`.

    JASMIN_VENV=/tmp/jasmin python -m benchmarks.accept [--against REV] [--rounds 5] [--seconds 3]

One side accepts for an owner with a budget, and one with all policies on, none of which refuses or holds a message. 16
connections; each message has a new Idempotency-Key and a new number. Only the web processes run, by the Procfile's command:
what is accepted stays queued. CPU is that of the web processes alone.
"""

import contextlib
import functools
import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg

from benchmarks import load, peers
from benchmarks.bare import BareView, bare_view
from benchmarks.bench import Bench, command
from benchmarks.builds import Run
from benchmarks.report import Report
from benchmarks.rounds import Measured, interleaved, ratio

NAME = "accept"
CONNECTIONS = 16
BUDGET, POLICIES = "with a budget", "with all policies"
FAR_AWAY = 1_000_000_000  # a limit that no benchmark reaches
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
        for side, prepare in ((BUDGET, set_budget), (POLICIES, set_policies)):
            limited = opened.enter_context(bench.now.copy())
            prepare(limited)
            run = opened.enter_context(bench.now.run("web", database_url=limited))
            sides[side] = functools.partial(accept, run, numbers=itertools.count(), seconds=seconds)
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
        "accept_with_policies": {bench.now.name: ratio(rate[POLICIES], rate[bench.now.name])},
        "accept_to_jasmin": bench.by_build(lambda side: ratio(rate[side], rate.get("jasmin"))),
    }
    return report


def set_budget(database_url: str) -> None:
    """A budget of segments that is never used up, of each user."""
    with psycopg.connect(database_url, autocommit=True) as database:
        database.execute(
            "INSERT INTO messaging_budget (id, owner_id, country, period, currency, limit_units, created_at, updated_at)"
            " SELECT gen_random_uuid(), id, '', 'day', '', %s, now(), now() FROM auth_user",
            [FAR_AWAY],
        )


def set_policies(database_url: str) -> None:
    """All that may refuse or hold a message is on and concerns each one, but none is: rules of hours, quiet hours, rules of
    prefixes and senders, all velocity limits and a budget.
    """
    set_budget(database_url)
    all_day = json.dumps([[[0, 1440]]] * 7)
    now = datetime.now(ZoneInfo("America/Los_Angeles"))  # of the numbers that `messages` texts
    quiet_from, quiet_until = (
        (now + timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0).time() for hours in (8, 9)
    )
    with psycopg.connect(database_url, autocommit=True) as database:
        database.execute("UPDATE messaging_hoursrule SET is_enabled = true")
        database.execute(
            "INSERT INTO messaging_hoursrule (id, name, countries, prefixes, categories, hours, holidays, source,"
            " is_shipped, is_enabled, changed_at)"
            """ VALUES ('all-day', 'All day', '["US"]', '[]', '["transactional"]', %s, '', '', false, true, now())""",
            [all_day],
        )
        database.execute(
            "INSERT INTO messaging_ownerpolicy (owner_id, default_time_zone, quiet_from, quiet_until)"
            " SELECT id, '', %s, %s FROM auth_user",
            [quiet_from, quiet_until],
        )
        database.execute(
            "INSERT INTO messaging_prefixrule (prefix, country, is_allowed, reason, changed_at)"
            " VALUES ('+1415', '', true, 'ours', now()), ('+1900', '', false, 'premium rate', now())"
        )
        database.execute("UPDATE messaging_countrysenders SET is_enabled = true")
        database.execute(
            "INSERT INTO messaging_countrysenders (country, takes_numbers, takes_short_codes, takes_names, source, is_enabled)"
            " VALUES ('US', true, true, true, '', true) ON CONFLICT (country) DO UPDATE SET takes_numbers = true,"
            " takes_short_codes = true, takes_names = true, is_enabled = true"
        )
        database.execute(
            "INSERT INTO messaging_velocitylimit (recipient_per_hour, recipient_of_all_per_hour,"
            " new_recipients_per_minute, calling_code_per_hour, changed_at) VALUES (%s, %s, %s, %s, now())",
            [FAR_AWAY] * 4,
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
