"""Connections to the database, and their recovery from restarts and outages."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django import DjangoDbBlocker

from config.postgresql import base
from config.run.services import free_port
from messaging.database_faults import DATABASE_FAULTS, may_pass
from tests.environment import GIVEN_DATABASE_URL
from tests.journeys.relay import Relay

pytestmark = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite is a file: there is no server to lose"
)
# psycopg_pool waited longer than this between two stale connections, and while the server was unavailable.
AT_ONCE = pytest.mark.timeout(15)
CUT = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 30000)) FROM pg_stat_activity WHERE datname = %s"

NewAlias = Callable[..., BaseDatabaseWrapper]


@pytest.fixture(autouse=True)
def _fresh_pool(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Close connections of earlier tests' threads. These tests write nothing, so there is nothing to undo."""
    with django_db_blocker.unblock():
        connection.close()
        connection.close_pool()
        yield
        connection.close()
        connection.close_pool()


@pytest.fixture
def new_alias() -> Iterator[NewAlias]:
    """Creates connections with their own pool and other parameters than the tests' database."""
    made: list[BaseDatabaseWrapper] = []

    def make(*, pool: dict[str, float] | None = None, **settings: object) -> BaseDatabaseWrapper:
        other = connection.copy(alias=f"other{len(made)}")
        options = {**other.settings_dict["OPTIONS"], "pool": {**other.settings_dict["OPTIONS"]["pool"], **(pool or {})}}
        other.settings_dict = {**other.settings_dict, "OPTIONS": options, **settings}
        made.append(other)
        return other

    yield make
    for other in made:
        other.close()
        other.close_pool()


def cut_all() -> int:
    """End all sessions of the tests' database, as a restart does; returns how many there were."""
    with psycopg.connect(GIVEN_DATABASE_URL, autocommit=True) as other:
        return other.execute(CUT, [connection.settings_dict["NAME"]]).fetchone()[0]


def works(wrapper: BaseDatabaseWrapper) -> bool:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone() == (1,)


def forwarding(port: int) -> Relay:
    """While it is entered, the tests' PostgreSQL server also answers on that port."""
    return Relay(GIVEN_DATABASE_URL, lambda: 10**9, port=port)


def leave_idle(count: int) -> None:
    """Put this many connections into the pool, as after as many concurrent requests."""
    wrappers = [connection.copy() for _ in range(count)]
    for wrapper in wrappers:
        wrapper.ensure_connection()
    for wrapper in wrappers:
        wrapper.close()


@pytest.mark.parametrize("count", [1, 2, 6])
@AT_ONCE
def test_the_first_query_after_a_restart_is_answered_however_many_connections_it_has_cut(count: int) -> None:
    leave_idle(count)

    assert cut_all() == count
    assert works(connection)


def test_connections_are_used_again() -> None:
    def pid() -> int:
        connection.ensure_connection()
        number = connection.connection.info.backend_pid
        connection.close()
        return number

    assert pid() == pid()


@AT_ONCE
def test_a_server_that_refuses_connections_is_an_error_at_once(new_alias: NewAlias) -> None:
    other = new_alias(HOST="127.0.0.1", PORT=free_port())

    for _ in range(3):
        with pytest.raises(OperationalError):
            other.ensure_connection()


@AT_ONCE
def test_the_first_query_after_an_outage_waits_for_no_reconnect_of_the_background(new_alias: NewAlias) -> None:
    port = free_port()
    other = new_alias(HOST="127.0.0.1", PORT=port)
    for _ in range(3):
        with pytest.raises(OperationalError):
            other.ensure_connection()

    with forwarding(port):
        assert works(other)
        other.close()


@AT_ONCE
def test_a_server_that_accepts_and_says_nothing_is_an_error_within_seconds(new_alias: NewAlias) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        other = new_alias(HOST="127.0.0.1", PORT=silent.getsockname()[1])

        with pytest.raises(OperationalError):
            other.ensure_connection()


@AT_ONCE
def test_a_kept_connection_whose_server_hangs_is_replaced(new_alias: NewAlias) -> None:
    port = free_port()
    other = new_alias(HOST="127.0.0.1", PORT=port)
    with forwarding(port) as line:
        assert works(other)
        other.close()
        line.hold()  # open connections stay open but nothing passes; new ones are served

        assert works(other)
        other.close()


def test_a_thread_waits_for_a_connection_that_another_holds_and_then_gives_up(new_alias: NewAlias) -> None:
    other = new_alias(pool={"max_size": 1, "timeout": 0.01})
    second = other.copy()
    other.ensure_connection()

    with pytest.raises(OperationalError, match="in use"):
        second.ensure_connection()
    other.close()

    assert works(second)
    second.close()


def test_failed_connections_take_no_place(new_alias: NewAlias) -> None:
    other = new_alias(pool={"max_size": 1, "timeout": 0.01}, HOST="127.0.0.1", PORT=free_port())

    for _ in range(3):
        with pytest.raises(OperationalError) as error:
            other.ensure_connection()
        assert "in use" not in str(error.value)


def test_a_connection_inside_a_transaction_is_not_handed_to_the_next(new_alias: NewAlias) -> None:
    other = new_alias(pool={"max_size": 1})
    other.ensure_connection()
    first = other.connection
    first.execute("BEGIN")
    other.close()

    assert works(other)
    assert other.connection is not first
    assert first.closed


def test_threads_share_no_connection_and_open_no_more_than_allowed_while_connections_are_cut(
    new_alias: NewAlias,
) -> None:
    pool = new_alias(pool={"max_size": 3, "timeout": 30}).pool
    held: set[int] = set()
    lock, most = threading.Lock(), 0

    def use(_number: int) -> None:
        nonlocal most
        try:
            taken = pool.getconn()
        except psycopg.OperationalError:  # cut while it is made
            return
        with lock:
            assert id(taken) not in held
            held.add(id(taken))
            most = max(most, len(held))
        with contextlib.suppress(psycopg.OperationalError):  # cut while it is in use
            taken.execute("SELECT pg_sleep(0.002)")
        with lock:
            held.remove(id(taken))
        pool.putconn(taken)

    with ThreadPoolExecutor(8) as threads:
        uses = [threads.submit(use, number) for number in range(60)]
        cut_all()
        for each in uses:
            each.result()

    assert 1 <= most <= 3
    pool.close()


@pytest.mark.timeout(15)
def test_a_process_that_stands_still_within_a_transaction_loses_its_locks(
    new_alias: NewAlias, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "IDLE_IN_TRANSACTION_MS", 100)
    suspended, waiting = new_alias(), new_alias()
    suspended.set_autocommit(False)
    with suspended.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(4711)")

    with waiting.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_lock(4711), pg_advisory_unlock(4711)"
        )  # returns when the other session has ended

    with pytest.raises(DATABASE_FAULTS) as caught, suspended.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert may_pass(caught.value)
    suspended.close()
