"""Database faults that pass by themselves, as Django raises them."""

import psycopg
from django.db import InterfaceError, InternalError, OperationalError, connection
from psycopg_pool import PoolTimeout


def read_only() -> InternalError:
    """What PostgreSQL answers during a switch-over: no OperationalError."""
    fault = InternalError("cannot execute UPDATE in a read-only transaction")
    fault.__cause__ = psycopg.errors.ReadOnlySqlTransaction()
    return fault


def deadlock() -> OperationalError:
    fault = OperationalError("deadlock detected")
    fault.__cause__ = psycopg.errors.DeadlockDetected()
    return fault


def passing_faults() -> list[Exception]:
    """On PostgreSQL also the one that Django does not translate."""
    own = [PoolTimeout("full")] if connection.vendor == "postgresql" else []
    return [read_only(), deadlock(), OperationalError("gone"), InterfaceError("closed"), *own]
