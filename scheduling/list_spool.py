"""The recipients of a list that is checked but not stored, each number once. They are in a temporary file, not in memory."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self


class ListSpool:
    """A context manager. The file is SQLite's own temporary database, which has no name and disappears when it is closed."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("CREATE TABLE listed (place INTEGER PRIMARY KEY, number TEXT UNIQUE, variables TEXT)")
        self._database.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def add(self, recipients: Iterable[tuple[str, Mapping[str, str]]]) -> list[str]:
        """Keep the numbers that are new, with their variables; returns these numbers."""
        insert = self._database.cursor()
        fresh = []
        for number, variables in recipients:
            row = (number, json.dumps(dict(variables)))
            insert.execute("INSERT OR IGNORE INTO listed (number, variables) VALUES (?, ?)", row)
            if insert.rowcount:
                fresh.append(number)
        return fresh

    def recipients(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the numbers and their variables in the order of the list."""
        for number, variables in self._database.execute("SELECT number, variables FROM listed ORDER BY place"):
            yield number, json.loads(variables)
