"""Tells transient database faults from permanent ones, and how to wait for the transient ones.

A failover, a restart, a read-only database during a switch-over, a deadlock and a full pool are transient. A missing table, a
value that does not fit and a violated constraint are not: the same statement fails again however long the caller waits.
"""

import sqlite3
from collections.abc import Iterator
from itertools import chain, repeat

from django.db import Error, InterfaceError, OperationalError, connection

_DRIVER: tuple[type[Exception], ...] = ()
_DRIVER_CONNECTION: tuple[type[Exception], ...] = ()
if connection.vendor == "postgresql":  # on SQLite no process loads the driver, a tenth of a worker's memory
    import psycopg

    _DRIVER, _DRIVER_CONNECTION = (psycopg.Error,), (psycopg.OperationalError, psycopg.InterfaceError)

# All faults of the database. A full pool raises psycopg's own class, not Django's.
DATABASE_FAULTS: tuple[type[Exception], ...] = (Error, *_DRIVER)

# SQLSTATE: connection, authorization, rollback, resources, operator intervention, system.
PASSING_CLASSES = frozenset({"08", "28", "40", "53", "57", "58"})
PASSING_STATES = frozenset(
    {
        "25006",  # read-only transaction: psycopg raises an InternalError for it, not an OperationalError
        "25P03",  # idle-in-transaction time-out: the session has ended
        "25P04",  # transaction time-out: the same
        "55006",  # object in use
        "55P03",  # lock not available
    }
)
LASTING_STATES = frozenset({"40002"})  # violation of a deferred constraint, at the commit
# SQLite's primary result codes; 1 (no such table, a syntax error) is not among them.
PASSING_SQLITE_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_SCHEMA,
    }
)
# Faults without a code: a connection that failed or was lost.
_CONNECTION_FAULTS: tuple[type[Exception], ...] = (OperationalError, InterfaceError, *_DRIVER_CONNECTION)

PAUSES = (0.2, 0.5, 1.0, 2.0)
LONGEST_PAUSE = 5.0


def may_pass(fault: BaseException) -> bool:
    """True if the same statement may succeed later, without a change of code, data or schema."""
    if not isinstance(fault, DATABASE_FAULTS):
        return False
    cause = fault if isinstance(fault, _DRIVER) else fault.__cause__
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return (state[:2] in PASSING_CLASSES or state in PASSING_STATES) and state not in LASTING_STATES
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in PASSING_SQLITE_CODES
    return isinstance(fault, _CONNECTION_FAULTS)


def pauses() -> Iterator[float]:
    """Endless series of seconds to wait between attempts: short at first, then `LONGEST_PAUSE`."""
    return chain(PAUSES, repeat(LONGEST_PAUSE))


def drop_connection() -> None:
    """Close this thread's connection, so that the next statement opens a new one.

    A pool would return the same connection. If its server became a read-only standby, it still passes the pool's health check,
    and every write on it would fail.
    """
    if connection.in_atomic_block:
        return
    if connection.vendor == "postgresql" and connection.connection is not None:
        connection.connection.close()
    connection.close()
