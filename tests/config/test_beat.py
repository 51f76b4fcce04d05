"""Beat survives invalid periodic tasks and failures of the database and the broker."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone
from django.utils.module_loading import import_string
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from config.celery import app
from config.run.environment import BASE_DIR
from tests.config.outage import away
from tests.environment import EmbeddedValkey

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(60)]

Scheduler = import_string(settings.CELERY_BEAT_SCHEDULER.replace(":", "."))
READS_TASKS = 'SELECT "django_celery_beat_periodictask"'
QUEUE = "celery"
NAMES = set(settings.CELERY_BEAT_SCHEDULE)


@pytest.fixture(autouse=True)
def _no_other_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat closes old connections between ticks, but this one holds the test's transaction."""
    for name in ("config.beat.close_old_connections", "django_celery_beat.schedulers.close_old_connections"):
        monkeypatch.setattr(name, lambda: None, raising=False)


@pytest.fixture(autouse=True)
def _each_tick_asks_for_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests call ticks without a pause between them."""
    monkeypatch.setattr("config.beat.CHECK_CHANGES_SECONDS", 0.0)


@pytest.fixture
def _due() -> None:
    """Store all tasks of the settings and make them due."""
    passes(new_scheduler(), 1)
    make_all_due()


@contextmanager
def broker_client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url) as client:
        yield client


def sent(url: str = settings.REDIS_URL) -> list[str]:
    """Return the tasks in the broker, oldest first."""
    with broker_client(url) as client:
        return [json.loads(each)["headers"]["task"] for each in reversed(client.lrange(QUEUE, 0, -1))]


_made: list[Any] = []


@pytest.fixture(autouse=True)
def _close_connections_to_the_broker() -> Iterator[None]:
    """Of schedulers that have sent something: the garbage collector finds their sockets in any order, and warns."""
    yield
    while _made:
        if connection := vars(_made.pop()).get("connection"):
            connection.release()


def new_scheduler(celery: Celery = app) -> Any:
    scheduler = Scheduler(app=celery)
    scheduler._finalize.cancel()  # it would write to the database when pytest ends
    _made.append(scheduler)
    return scheduler


def passes(scheduler: Any, count: int = 30) -> None:
    for _ in range(count):
        scheduler.tick()


def story(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object]]:
    """Return level and subject of each log record; none may have a traceback."""
    assert not any(record.exc_info for record in caplog.records)
    return [(record.levelname, record.args[0]) for record in caplog.records]


def make_all_due() -> None:
    PeriodicTask.objects.update(last_run_at=timezone.now() - timedelta(days=1))


def tell_of_a_change() -> None:
    PeriodicTasks.update_changed()


# --- Rows of tasks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("every", "period"), [(2**31 - 1, "days"), (99_999_999, "days")])
def test_an_interval_that_cannot_be_expressed_does_not_stop_other_tasks(every: int, period: str) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    wrong, right = (
        IntervalSchedule.objects.create(every=every, period=period),
        IntervalSchedule.objects.create(every=7, period="seconds"),
    )
    PeriodicTask.objects.create(name="wrong", task="messaging.tick", interval=wrong, last_run_at=long_ago)
    PeriodicTask.objects.create(name="right", task="messaging.tick", interval=right, last_run_at=long_ago)

    scheduler = new_scheduler()
    due = {name: entry.is_due() for name, entry in scheduler.all_as_schedule().items()}

    assert due["right"].is_due
    assert "wrong" not in due or not due["wrong"].is_due


def test_two_ticks_of_the_same_moment_ask_once_whether_the_rows_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("config.beat.CHECK_CHANGES_SECONDS", 0.5)
    monkeypatch.setattr("config.beat.time.monotonic", lambda: now)
    scheduler = new_scheduler()
    passes(scheduler)
    asked = []
    monkeypatch.setattr(Scheduler.Changes, "last_change", lambda: asked.append(now))

    now += 1.0
    passes(scheduler, 2)
    now += 1.0
    passes(scheduler, 2)

    assert asked == [1001.0, 1002.0]


# --- The database -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_due")
@pytest.mark.parametrize("error", [OperationalError, InterfaceError, DatabaseError])
def test_beat_starts_while_the_database_is_unavailable_and_works_when_it_is_back(error: type[DatabaseError]) -> None:
    with away(error):
        scheduler = new_scheduler()
        passes(scheduler, 3)
    assert sent() == []

    passes(scheduler)

    assert set(PeriodicTask.objects.values_list("name", flat=True)) >= NAMES
    assert "messaging.tick" in sent()


def test_a_fault_while_the_tasks_are_stored_loses_none_of_them() -> None:
    with away(only='INSERT INTO "django_celery_beat_periodictask"'):
        scheduler = new_scheduler()
        passes(scheduler, 3)

    passes(scheduler)

    assert set(PeriodicTask.objects.values_list("name", flat=True)) >= NAMES


@pytest.mark.usefixtures("_due")
def test_the_tasks_that_were_read_last_continue_while_rows_cannot_be_read() -> None:
    scheduler = new_scheduler()
    passes(scheduler, 1)
    before = len(sent())
    tell_of_a_change()

    with away(only=READS_TASKS):
        passes(scheduler)

    assert len(sent()) > before


def test_a_change_that_could_not_be_read_is_read_when_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.beat.RETRY_SECONDS", 0.0)
    scheduler = new_scheduler()
    passes(scheduler, 1)
    PeriodicTask.objects.create(
        name="new", task="messaging.new", interval=IntervalSchedule.objects.create(every=1, period="seconds")
    )
    with away(only=READS_TASKS):
        passes(scheduler, 3)

    passes(scheduler, 3)

    assert "new" in scheduler.schedule


@pytest.mark.usefixtures("_due")
def test_no_task_is_sent_again_because_of_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.beat.RETRY_SECONDS", 0.0)
    hourly = IntervalSchedule.objects.create(every=1, period="hours")
    long_ago = timezone.now() - timedelta(days=1)
    PeriodicTask.objects.create(name="hourly", task="test.hourly", interval=hourly, last_run_at=long_ago)
    scheduler = new_scheduler()
    passes(scheduler)
    assert sent().count("test.hourly") == 1

    with away():
        passes(scheduler)
    tell_of_a_change()
    with away(only=READS_TASKS):
        passes(scheduler)
    scheduler._heap = [None]  # an arbitrary error during a tick
    passes(scheduler)

    assert sent().count("test.hourly") == 1


@pytest.mark.usefixtures("_due")
def test_last_runs_that_cannot_be_written_are_written_later() -> None:
    scheduler = new_scheduler()
    passes(scheduler)
    with away():
        scheduler.sync()

    scheduler.sync()

    assert PeriodicTask.objects.get(name="tick").total_run_count > 0


@pytest.mark.usefixtures("_due")
def test_an_outage_is_two_lines_in_the_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("config.beat.RETRY_SECONDS", 0.0)
    scheduler = new_scheduler()
    passes(scheduler)
    caplog.clear()

    with caplog.at_level(logging.WARNING):
        with away():
            passes(scheduler)
        passes(scheduler)

    assert story(caplog) == [("ERROR", "the database"), ("WARNING", "the database")]


@pytest.mark.usefixtures("_due")
def test_a_signal_in_the_middle_of_a_query_ends_beat_without_another_query() -> None:
    scheduler = new_scheduler()
    passes(scheduler)
    tell_of_a_change()
    queries: list[str] = []

    def stop(execute: Callable, sql: str, params: Any, many: bool, context: dict) -> Any:
        queries.append(sql)
        if len(queries) > 1:
            return execute(sql, params, many, context)
        scheduler.close()  # Celery's signal handler does this
        raise SystemExit

    with connection.execute_wrapper(stop), pytest.raises(SystemExit):
        passes(scheduler)

    assert len(queries) == 1


# --- The broker -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_due")
def test_an_unavailable_broker_is_one_line_and_the_tasks_continue_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = EmbeddedValkey(tmp_path)
    other = Celery(broker=broker.url, set_as_current=False)
    other.conf.update(task_publish_retry=False, beat_schedule=settings.CELERY_BEAT_SCHEDULE)
    scheduler = new_scheduler(other)
    with caplog.at_level(logging.WARNING, logger="config.beat"):
        passes(scheduler)
        scheduler.sync()
        make_all_due()
        tell_of_a_change()
        broker.start()
        try:
            passes(scheduler)
            tasks = sent(broker.url)
        finally:
            broker.stop()
            scheduler.connection.release()

    assert "messaging.tick" in tasks
    assert story(caplog) == [("ERROR", "the broker"), ("WARNING", "the broker")]


# --- The process ------------------------------------------------------------------------------------------------------


def beat(scheduler: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "celery", "--quiet", "--skip-checks", "--app", "config", "beat"]
    options = ["--loglevel", "WARNING", "--pidfile", "", "--scheduler", f"tests.config.broken_beat:{scheduler}"]
    environment = {
        "PATH": "",
        "SECRET_KEY": settings.SECRET_KEY,
        "REDIS_URL": settings.REDIS_URL,
        "LOCAL_DIR": str(tmp_path),
        "LOG_FORMAT": "json",
        "BEAT_HEARTBEAT_FILE": str(tmp_path / "beat"),
    }
    return subprocess.run(
        [*command, *options], cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=50, check=False
    )


def test_an_exception_that_ends_a_process_is_one_record(tmp_path: Path) -> None:
    done = beat("Raising", tmp_path)

    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert {record["level"] for record in records} == {"CRITICAL"}
    assert [record["traceback"].count("RuntimeError: broken on purpose") for record in records] == [1, 1]
    assert done.stdout == ""


def test_a_beat_that_hangs_ends_itself_and_says_where_it_hung(tmp_path: Path) -> None:
    done = beat("Hanging", tmp_path)

    assert done.returncode == 1
    assert "in tick" in done.stderr
    assert (tmp_path / "beat").exists()
