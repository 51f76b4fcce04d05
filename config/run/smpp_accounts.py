"""Whether an enabled SMPP account exists: then `make run` starts the connector that holds its binds."""

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from config.run.services import connect_to_database

CHECK_SECONDS = 2.0
QUERY = "SELECT 1 FROM providers_provideraccount WHERE backend = 'smpp' AND is_enabled LIMIT 1"


class SmppAccounts:
    """Asks the database every `CHECK_SECONDS`, without Django's models: the supervisor stays small."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_check = 0.0
        self._connection: Any = None

    def exist(self) -> bool:
        """False between two checks, and while the database does not answer."""
        now = self._clock()
        if now < self._next_check:
            return False
        self._next_check = now + CHECK_SECONDS
        try:
            if self._connection is None:
                self._connection = _connect()
            return self._connection.execute(QUERY).fetchone() is not None
        except Exception:  # noqa: BLE001 (each driver has its own faults; the web server reports those of the database)
            self.close()
            return False

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None


def _connect() -> Any:
    database = settings.DATABASES["default"]
    if settings.EMBEDDED:
        file = Path(str(database["NAME"]))
        return sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=1)
    connection = connect_to_database(database)
    connection.autocommit = True
    return connection
