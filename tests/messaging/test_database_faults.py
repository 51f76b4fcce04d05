"""Transient faults are told apart from permanent ones, by the drivers' real exceptions."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path

import psycopg
import pytest
from django.db import DatabaseError, DataError, Error, IntegrityError, InterfaceError, OperationalError, connection
from psycopg_pool import PoolTimeout

from messaging import database_faults
from messaging.database_faults import may_pass
from messaging.models import OutboundQueue
from tests.factories import QueueFactory

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="the SQLSTATEs are PostgreSQL's")

PASSING = [
    "08006",
    "08P01",
    "25006",
    "28000",
    "40001",
    "40P01",
    "53100",
    "53300",
    "55P03",
    "57014",
    "57P01",
    "57P03",
    "58030",
]
LASTING = ["22001", "22003", "23505", "23514", "25P02", "40002", "42501", "42703", "42P01", "54001", "0A000", "XX000"]


def as_django_raises(fault: psycopg.Error) -> Exception:
    with pytest.raises(Error) as caught, connection.wrap_database_errors:
        raise fault
    return caught.value


@on_postgresql
def test_by_the_state_that_postgresql_gives() -> None:
    passing = {state: may_pass(as_django_raises(psycopg.errors.lookup(state)())) for state in PASSING + LASTING}

    assert [state for state, passes in passing.items() if passes] == PASSING


@on_postgresql
def test_the_drivers_own_errors_are_classified_alike() -> None:
    passing = {state: may_pass(psycopg.errors.lookup(state)()) for state in PASSING + LASTING}

    assert [state for state, passes in passing.items() if passes] == PASSING


def test_without_a_state_it_is_the_connection() -> None:
    driver = (PoolTimeout("full"), psycopg.OperationalError("gone")) if connection.vendor == "postgresql" else ()
    passing = (OperationalError("gone"), InterfaceError("closed"), *driver)
    lasting = (DataError("long"), IntegrityError("twice"), DatabaseError("odd"), ValueError("odd"), TimeoutError())

    assert [may_pass(fault) for fault in passing] == [True] * len(passing)
    assert [may_pass(fault) for fault in lasting] == [False] * len(lasting)


def locked(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, timeout=0)
    other.execute("CREATE TABLE kept (id)")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    other.execute("SELECT * FROM kept")
    raise AssertionError


def read_only(path: Path) -> None:
    with closing(sqlite3.connect(path)) as first:
        first.execute("CREATE TABLE kept (id)")
    sqlite3.connect(f"file:{path}?mode=ro", uri=True).execute("INSERT INTO kept VALUES (1)")


def not_there(path: Path) -> None:
    sqlite3.connect(path).execute("SELECT * FROM nothing")


@pytest.mark.parametrize(("cause", "passes"), [(locked, True), (read_only, True), (not_there, False)])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_by_the_code_that_sqlite_gives(cause: Callable, passes: bool, tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        cause(tmp_path / "other.sqlite3")
    fault = OperationalError(str(caught.value))
    fault.__cause__ = caught.value

    assert may_pass(fault) is passes


def test_pauses_grow_and_never_end() -> None:
    found = list(islice(database_faults.pauses(), 1000))

    assert found == sorted(found)
    assert found[-1] == database_faults.LONGEST_PAUSE


@pytest.mark.django_db(transaction=True)
class TestConnection:
    @on_postgresql
    def test_a_connection_to_a_read_only_server_is_not_reused(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        with pytest.raises(Error) as caught:
            QueueFactory()
        assert may_pass(caught.value)
        stale = connection.connection
        assert not stale.closed  # so a pool's health check passes

        database_faults.drop_connection()

        assert stale.closed
        QueueFactory()

    def test_the_next_statement_opens_another(self) -> None:
        database_faults.drop_connection()

        assert not OutboundQueue.objects.filter(pk="nothing").exists()


@pytest.mark.django_db
def test_within_a_transaction_it_is_left_alone() -> None:
    queue = QueueFactory()

    database_faults.drop_connection()

    assert OutboundQueue.objects.filter(pk=queue.pk).exists()
