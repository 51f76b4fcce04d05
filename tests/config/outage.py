"""Simulates an unavailable database on every engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection


@contextmanager
def away(error: type[DatabaseError | InterfaceError] = OperationalError, *, only: str = "") -> Iterator[None]:
    """Each query of this thread fails, or each whose SQL begins with `only`."""

    def refuse(execute: Callable, sql: str, params: Any, many: bool, context: dict) -> Any:
        if sql.startswith(only):
            raise error("server closed the connection unexpectedly, host=db.internal")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield
