"""Ten thousand recipients, killed processes and competing processes: one message per recipient."""

import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from config.run import commands
from config.run.environment import BASE_DIR
from tests.journeys.client import Client, numbers
from tests.journeys.databases import migrated_database
from tests.journeys.stack import Stack

RECIPIENTS = 10_000
KILLS = 3
SECONDS = 60

# One process prepares a run and prints "ready". For each line that it reads, it forks a worker whose clock is that many seconds
# ahead, past the lease of the previous one; it prints the worker's pid, and its exit code when it has ended.
WORKERS = """
import os, sys
import django

django.setup()

from datetime import timedelta
from django.db import connections
from django.utils import timezone
from messaging.services import installation
from messaging.services.outbound import bulk_insert
from scheduling.services import expansion, runs, schedules
from scheduling.services.recipients import Recipient
from tests.journeys.client import numbers

installation.install()
now = timezone.now()
draft = schedules.ScheduleInput("Many", "Hello", now + timedelta(minutes=1), "UTC", None, "express", None, 14_400)
recipients = [Recipient(row, number, {}) for row, number in enumerate(numbers(int(sys.argv[1])))]
schedules.create(
    owner=installation.service_user("demo"), draft=draft, recipients=recipients, default_queue="express", now=now
)
assert runs.start_due(now=now + timedelta(minutes=1), max_lateness=timedelta(hours=1)) == 1
run_id = schedules.ScheduleRun.objects.get().pk
connections.close_all()
if hasattr(connections["default"], "close_pool"):
    connections["default"].close_pool()  # its threads do not survive the fork
bulk_insert.batch_size = lambda: 200
print("ready", flush=True)
for line in sys.stdin:
    ahead = timedelta(seconds=int(line))
    worker = os.fork()
    if not worker:
        expansion.expand(run_id, clock=lambda: timezone.now() + ahead)
        os._exit(0)
    print(worker, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]), flush=True)
"""


class Workers:
    """A separate database, and workers on it, one after another."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.database_url = database_url
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "LOCAL_DIR": str(folder),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        options = {"cwd": BASE_DIR, "env": environment, "text": True}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKERS, str(RECIPIENTS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **options,
        )
        assert self.read_line() == "ready"

    def read_line(self) -> str:
        return self.process.stdout.readline().strip()

    def start(self, *, ahead: int) -> int:
        """The pid of a new worker."""
        self.process.stdin.write(f"{ahead}\n")
        self.process.stdin.flush()
        return int(self.read_line())

    def exit_code(self) -> int:
        """The exit code of the last worker, once it has ended."""
        return int(self.read_line())

    def close(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(SECONDS) == 0
        self.process.stdout.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return rows_of(self.database_url, self.folder, query)


def rows_of(database_url: str, folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Read without Django, whose settings in this process name another database."""
    if database_url:
        with psycopg.connect(database_url) as connection:
            return connection.execute(query).fetchall()
    with closing(sqlite3.connect(folder / "switchboard.sqlite3", timeout=20)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def workers() -> Iterator[Workers]:
    with (
        tempfile.TemporaryDirectory(prefix="switchboard-journey-") as folder,
        migrated_database(Path(folder)) as database_url,
        closing(Workers(Path(folder), database_url)) as started,
    ):
        yield started


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def assert_one_message_each(rows: Callable[[str], list[tuple[Any, ...]]]) -> None:
    messages = "FROM messaging_message"
    assert rows(f"SELECT count(*), count(DISTINCT to_number), count(DISTINCT run_id) {messages}") == [
        (RECIPIENTS, RECIPIENTS, 1)
    ]
    assert rows(f"SELECT DISTINCT status {messages}") == [("queued",)]
    assert rows("SELECT count(*) FROM messaging_messageevent") == [(0,)]  # the message tells its first event
    assert rows("SELECT status, created_messages FROM scheduling_schedulerun") == [("done", RECIPIENTS)]
    assert rows("SELECT status FROM scheduling_schedule") == [("completed",)]


def test_killed_workers_create_one_message_per_recipient(workers: Workers) -> None:
    def created() -> int:
        return workers.rows("SELECT created_messages FROM scheduling_schedulerun")[0][0]

    seen = [created()]
    for kill in range(KILLS):
        worker = workers.start(ahead=kill * 60)
        wait_until(lambda: created() > seen[-1])
        os.kill(worker, signal.SIGKILL)
        assert workers.exit_code() == -signal.SIGKILL  # so it was not finished
        seen.append(created())

    assert seen == sorted(set(seen))
    assert 0 == seen[0] < seen[-1] < RECIPIENTS
    assert workers.rows("SELECT count(*) FROM messaging_message") == [(seen[-1],)]
    workers.start(ahead=KILLS * 60)
    assert workers.exit_code() == 0

    assert_one_message_each(workers.rows)


def test_two_beats_and_three_workers_create_one_message_per_recipient() -> None:
    """Real processes. The queue is paused, so nothing is sent, which other tests cover."""
    with Stack(workers=3, worker_concurrency=4) as stack:
        stack._start(commands.beat())
        client = Client(stack, user="boss")

        def rows(query: str) -> list[tuple[Any, ...]]:
            return rows_of(stack.environment["DATABASE_URL"], stack.folder, query)

        assert client.post("queues/express/pause/", {}).status_code == 200
        run_at = datetime.now(UTC) + timedelta(seconds=4)
        body = {"name": "Many", "message": "Hello", "run_at": run_at.isoformat(), "recipients": numbers(RECIPIENTS)}
        answer = client.post("schedules/", body)
        assert answer.status_code == 201, answer.text
        path = f"schedules/{answer.json()['id']}/"

        def is_completed() -> bool:
            return client.get(path)["status"] == "completed"

        stack.wait_until(is_completed)

        assert_one_message_each(rows)
        schedule = client.get(path)
        assert (schedule["counts"], schedule["next_run_at"]) == ({"queued": RECIPIENTS}, None)
        [run] = client.get(f"{path}runs/")["results"]
        assert (run["status"], run["created_messages"]) == ("done", RECIPIENTS)
        canceled = client.post(f"{path}cancel/", {})
        assert (canceled.status_code, canceled.json()["canceled"]) == (200, RECIPIENTS)
        again = client.post(f"{path}cancel/", {})
        assert (again.status_code, again.json()["code"]) == (409, "schedule_ended")
