"""Faults of a database server: the responses to requests meanwhile, and the effect on beat."""

import time
from dataclasses import dataclass
from typing import Self

import psycopg
import requests

from tests.journeys.chaos.arena import Arena, Run
from tests.journeys.chaos.outages import connections_refused
from tests.journeys.chaos.table import Row

SLOW_MS = 300
OUTAGE_SECONDS = 3.0
# The limits that the product promises, and the tolerance for a busy machine.
REFUSED_SECONDS, SERVED_SECONDS, BUSY_SECONDS = 4.0, 1.0, 2.0
BEATS = 2  # of the arena

LOCK = "LOCK TABLE django_celery_beat_periodictask IN ACCESS EXCLUSIVE MODE"
ANNOUNCE_CHANGE = "UPDATE django_celery_beat_periodictasks SET last_update = now()"
WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%django_celery_beat_periodictask%'
"""


@dataclass(frozen=True)
class Answer:
    status: int
    kind: str
    retry_after: str
    seconds: float

    @classmethod
    def to(cls, arena: Arena, path: str, **options: object) -> Self:
        started = time.monotonic()
        answer = requests.get(arena.stack.url(path), timeout=60, allow_redirects=False, **options)
        kind = answer.headers["Content-Type"].partition(";")[0]
        return cls(answer.status_code, kind, answer.headers.get("Retry-After", ""), time.monotonic() - started)


def failed_over(arena: Arena, run: Run) -> None:
    arena.set_carriers(latency_ms=SLOW_MS)
    run.send()
    run.wait_for_taken(1)
    headers = {"Authorization": arena.client.session.headers["Authorization"]}
    with connections_refused(arena.stack):
        until = time.monotonic() + OUTAGE_SECONDS
        while time.monotonic() < until:
            run.answers.append(("outage", Answer.to(arena, "messages/", headers=headers)))
            run.answers.append(("outage, console", Answer.to(arena, "/admin/", cookies={"sessionid": "x" * 32})))
            time.sleep(0.2)
    run.answers.append(("first", Answer.to(arena, "messages/", headers=headers)))


def was_answered(_arena: Arena, run: Run, _row: Row) -> None:
    kinds = {"outage": "application/problem+json", "outage, console": "text/html"}
    for when, answer in run.answers:
        if when == "first":
            assert answer.status == 200, f"{answer} to the first request after the outage"
            assert answer.seconds < SERVED_SECONDS + BUSY_SECONDS, f"{answer} to the first request after the outage"
        else:
            assert (answer.status, answer.kind, answer.retry_after) == (503, kinds[when], "5"), f"{answer}: {when}"
            assert answer.seconds < REFUSED_SECONDS + BUSY_SECONDS, f"{answer}: {when}"


def beats_cut(arena: Arena, run: Run) -> None:
    """Cut them twice, because the first query of that table writes the last run times."""
    run.send(queue="paced")
    url = arena.stack.environment["DATABASE_URL"]
    with psycopg.connect(url) as lock, psycopg.connect(url, autocommit=True) as other:
        lock.execute(LOCK)
        other.execute(ANNOUNCE_CHANGE)
        for _ in range(2):
            arena.stack.wait_until(lambda: len(other.execute(WAITING).fetchall()) == BEATS, seconds=30, pause=0.02)
            for [pid] in other.execute(WAITING).fetchall():
                other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


def beats_lived(arena: Arena, _run: Run, _row: Row) -> None:
    ended = [beat.exit_code() for beat in arena.stack.beats() if beat.exit_code() is not None]
    assert not ended, f"beats ended with {ended}"
