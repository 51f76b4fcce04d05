"""Asks the database in one statement which kinds of work are waiting, so that an idle second costs one cheap query."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet

Question = Callable[[datetime], QuerySet[Any]]
"""Called with the time now; returns the rows that are waiting. An index should find the first one: one is enough."""

# Stands for the time in the stored statement. No question may contain it otherwise, or a time computed from it.
_PLACEHOLDER = datetime(1970, 1, 1, 0, 0, 0, 123_457, tzinfo=UTC)


class OpenWork:
    """The questions by the name of what to do about them; a name may have several.

    The ORM takes longer to write this statement than a database to answer it, so each process writes it once.
    """

    def __init__(self) -> None:
        self._questions: list[tuple[str, Question]] = []
        self._statement: tuple[str, list[Any]] | None = None
        self._lock = threading.Lock()

    def add(self, name: str, *questions: Question) -> None:
        with self._lock:
            self._questions += [(name, question) for question in questions]
            self._statement = None

    def waiting(self, *, now: datetime) -> set[str]:
        """The names with at least one row."""
        statement, parameters = self._statement or self._write()
        time, placeholder = (connection.ops.adapt_datetimefield_value(at) for at in (now, _PLACEHOLDER))
        with connection.cursor() as cursor:
            cursor.execute(statement, [time if value == placeholder else value for value in parameters])
            answers = cursor.fetchone()
        return {name for (name, _), answer in zip(self._questions, answers, strict=True) if answer}

    def _write(self) -> tuple[str, list[Any]]:
        parts, parameters = [], []
        with self._lock:
            for _, question in self._questions:
                query = question(_PLACEHOLDER).order_by().query.exists()
                part, its_parameters = query.get_compiler(connection=connection).as_sql()
                parts.append(f"EXISTS ({part})")
                parameters += its_parameters
            self._statement = statement = f"SELECT {', '.join(parts)}", parameters
        return statement
