"""Database outages that do not affect a shared server."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.environment import GIVEN_DATABASE_URL
from tests.journeys.stack import Stack

END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


@contextlib.contextmanager
def database_unavailable(stack: Stack) -> Iterator[None]:
    outage = connections_refused(stack) if GIVEN_DATABASE_URL else _locked(str(stack.folder / "switchboard.sqlite3"))
    with outage:
        yield


def database_read_only(stack: Stack, *, seconds: float) -> None:
    """PostgreSQL: a switch-over. All sessions end at once, and sessions opened meanwhile stay read-only."""
    name = urlsplit(stack.environment["DATABASE_URL"]).path.strip("/")
    switch = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
    with psycopg.connect(GIVEN_DATABASE_URL, autocommit=True) as connection:
        connection.execute(switch.format(sql.Identifier(name), sql.SQL("on")))
        try:
            connection.execute(END_SESSIONS, [name])
            time.sleep(seconds)
        finally:
            connection.execute(switch.format(sql.Identifier(name), sql.SQL("off")))


@contextlib.contextmanager
def connections_refused(stack: Stack) -> Iterator[None]:
    """PostgreSQL: all sessions of the stack's database end at once, as in a restart, and new ones are refused."""
    name = urlsplit(stack.environment["DATABASE_URL"]).path.strip("/")
    switch = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    with psycopg.connect(GIVEN_DATABASE_URL, autocommit=True) as connection:
        connection.execute(switch.format(sql.Identifier(name), sql.SQL("false")))
        try:
            connection.execute(END_SESSIONS, [name])
            yield
        finally:
            connection.execute(switch.format(sql.Identifier(name), sql.SQL("true")))


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """SQLite has no sessions to end, only a single write lock, which is held here."""
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
