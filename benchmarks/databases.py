"""PostgreSQL databases of a benchmark, on the server of DATABASE_URL; each is dropped afterwards."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from benchmarks.processes import cpu_of_processes

SERVER = os.environ.get("DATABASE_URL") or "postgresql://postgres@127.0.0.1:5432/postgres"
_numbers = itertools.count()


@contextlib.contextmanager
def database(*, template: str = "") -> Iterator[str]:
    """The address of a new database: empty, or a copy of the one with this address, which nothing may be connected to."""
    name = f"switchboard_bench_{os.getpid()}_{next(_numbers)}"
    source = urlsplit(template).path.strip("/") or "template1"
    _execute("CREATE DATABASE {} TEMPLATE {}", name, source)
    try:
        yield urlsplit(SERVER)._replace(path=f"/{name}").geturl()
    finally:
        _execute("DROP DATABASE {} WITH (FORCE)", name)


def vacuum(url: str) -> None:
    """Make plans and visibility the same for all copies, and leave nothing for autovacuum to do during a round."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def rows_written(url: str) -> dict[str, int]:
    """Rows inserted, updated and deleted so far, by table. Each session reports its own when it ends."""
    query = "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables ORDER BY relname"
    with psycopg.connect(url, autocommit=True) as connection:
        return {str(name): int(count) for name, count in connection.execute(query)}


def cpu_of_backends(connection: psycopg.Connection) -> dict[int, float]:
    """CPU seconds by server process that serves another connection to this database, if the server is on this machine."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return cpu_of_processes([int(pid) for (pid,) in connection.execute(query)])


def server_version() -> str:
    with psycopg.connect(SERVER) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]) if row else ""


def _execute(statement: str, *names: str) -> None:
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
