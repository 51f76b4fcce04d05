"""The database and the broker: checks for external ones, start-up of the embedded ones."""

import contextlib
import errno
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from config.run import probes
from config.run.child import Child
from config.run.errors import StartError, StopRequested

POSTGRESQL_SCHEMES = {"postgres", "postgresql", "psql", "pgsql"}
OLDEST_POSTGRESQL = 15
OLDEST_REDIS = (6, 2)
BROKER_START_SECONDS = 20.0
CONNECT_SECONDS = 5


def check_port(port: int, *, variable: str = "PORT") -> None:
    """Raise `StartError` for a port in use; `variable` is the setting that names it.

    On macOS, binding alone does not detect a listener on all addresses.
    """
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError as error:
        if error.errno == errno.EACCES:
            raise StartError(
                f"port {port} needs more rights than you have; choose one above 1023 with {variable}=…"
            ) from error
        raise StartError(f"port {port} is in use by another program; choose another with {variable}=…") from error
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        raise StartError(f"port {port} is in use by another program; choose another with {variable}=…")


def is_free(port: int) -> bool:
    try:
        check_port(port)
    except StartError:
        return False
    return True


def reserve_port() -> tuple[socket.socket, int]:
    """A port that no other program gets until the socket is closed."""
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))
    port: int = reserved.getsockname()[1]
    return reserved, port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_database_address(url: str) -> None:
    """Check DATABASE_URL without connecting, because environ only warns of some mistakes. Raises `StartError`."""
    wanted = "postgresql://user:password@host:5432/name"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is not a number
    except ValueError as error:
        raise StartError(f"DATABASE_URL is not the address of a database ({wanted})") from error
    if parts.scheme not in POSTGRESQL_SCHEMES:
        raise StartError(f"DATABASE_URL must name a PostgreSQL database ({wanted}); without it SQLite is used")
    if not parts.path.strip("/"):
        raise StartError(f"DATABASE_URL does not name a database ({wanted})")


def close_database() -> None:
    """Write SQLite's journal into the database file, in case a process ended without closing its connection."""
    if not settings.EMBEDDED:
        return
    file = Path(str(settings.DATABASES["default"]["NAME"]))
    if file.exists():
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def connect_to_database(database: dict[str, Any]) -> Any:
    """A connection of psycopg to an entry of `DATABASES`. Raises `psycopg.Error`."""
    import psycopg  # noqa: PLC0415 (the supervisor lives as long as the others; only an external database needs it)

    address = {name.lower(): database[name] for name in ("HOST", "PORT", "USER", "PASSWORD") if database.get(name)}
    options = {name: value for name, value in database.get("OPTIONS", {}).items() if name != "pool"}
    return psycopg.connect(dbname=database["NAME"], **address, **options)


def check_database(database: dict[str, Any]) -> None:
    """Connect to the database. `database` is an entry of `DATABASES`. Raises `StartError` with one line."""
    import psycopg  # noqa: PLC0415 (as above)

    try:
        with connect_to_database(database) as connection:
            version = connection.info.server_version // 10000
    except psycopg.Error as error:
        raise StartError(f"DATABASE_URL: {_first_line(error)}") from error
    if version < OLDEST_POSTGRESQL:
        raise StartError(f"DATABASE_URL: PostgreSQL {OLDEST_POSTGRESQL} or newer is needed, this one is {version}")


def check_broker(url: str) -> None:
    """Connect to the broker. Raises `StartError` with one line."""
    import redis  # noqa: PLC0415 (as above)

    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS)
    except ValueError as error:
        raise StartError(
            "REDIS_URL is not an address of a Redis or Valkey server (redis://user:password@host:6379/0)"
        ) from error
    try:
        with client:
            version = str(client.info("server")["redis_version"])
    except (redis.RedisError, OSError) as error:
        raise StartError(f"REDIS_URL: {_first_line(error)}") from error
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        raise StartError(f"REDIS_URL: Redis 6.2 or Valkey is needed, this one is {version}")


def wait_for_broker(child: Child, url: str, *, stop_requested: Callable[[], bool]) -> None:
    """Wait until the embedded broker has loaded its data. Raises `StartError` or `StopRequested`."""
    deadline = time.monotonic() + BROKER_START_SECONDS
    while time.monotonic() < deadline:
        if stop_requested():
            raise StopRequested
        if (code := child.exit_code()) is not None:
            raise StartError(f"the embedded Valkey stopped at once (exit code {code}); see valkey.log in the folder")
        with contextlib.suppress(OSError):
            if probes.redis_answers(url):
                return
        time.sleep(0.02)
    raise StartError(f"the embedded Valkey did not answer within {BROKER_START_SECONDS:.0f} s")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
