"""The module that Django loads for `ENGINE: config.postgresql`."""

from functools import partial
from typing import Any

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg import Connection

from config.postgresql.pool import Pool


class DatabaseWrapper(base.DatabaseWrapper):
    @property
    def pool(self) -> Pool | None:
        """The pool of this process for this alias, made at the first use; `OPTIONS["pool"]` has its arguments."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:
            connect = partial(self._connect_for_pool, self.get_connection_params())
            self._connection_pools.setdefault(self.alias, Pool(connect, **options))  # of several threads the first wins
        return self._connection_pools[self.alias]

    def _connect_for_pool(self, parameters: dict[str, Any]) -> Connection[Any]:
        connection = self.Database.connect(**parameters, autocommit=True)
        self._configure_connection(connection)
        return connection
