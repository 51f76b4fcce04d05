"""The module that Django loads for `ENGINE: config.postgresql`."""

from functools import partial
from typing import Any

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg import Connection

from config.postgresql.pool import Pool

# A process that stands still within a transaction keeps its row locks, and others wait for them. As long as a worker's lease:
# after that its messages are recovered, which needs the locks.
IDLE_IN_TRANSACTION_MS = 30_000


class DatabaseWrapper(base.DatabaseWrapper):
    _connection_pools: dict[str, Pool]  # of the base class, which creates it; missing in django-stubs

    @property
    def pool(self) -> Pool | None:
        """This process's pool for this alias, created at the first use with the arguments in `OPTIONS["pool"]`."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:
            connect = partial(self._connect_for_pool, self.get_connection_params())
            self._connection_pools.setdefault(self.alias, Pool(connect, **options))  # the first of several threads wins
        return self._connection_pools[self.alias]

    def _connect_for_pool(self, parameters: dict[str, Any]) -> Connection[Any]:
        connection: Connection[Any] = self.Database.connect(**parameters, autocommit=True)
        connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}")
        self._configure_connection(connection)  # type: ignore[attr-defined]  # missing in django-stubs
        return connection
