"""The two services that we may be given, or have to bring: a database and a broker."""

import contextlib
import errno
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
from django.conf import settings

from config.run.child import Child
from config.run.errors import StartError, StopAsked

POSTGRESQL_SCHEMES = {"postgres", "postgresql", "psql", "pgsql"}
OLDEST_POSTGRESQL = 15
OLDEST_REDIS = (6, 2)
BROKER_START_SECONDS = 20.0
CONNECT_SECONDS = 5


def check_port(port: int) -> None:
    """Refuse a port that someone listens on. Binding alone would not show a listener on all addresses on macOS."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError as error:
        if error.errno == errno.EACCES:
            raise StartError(
                f"port {port} needs more rights than you have; choose one above 1023 with PORT=…"
            ) from error
        raise StartError(f"port {port} is taken by another program; choose another with PORT=…") from error
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        raise StartError(f"port {port} is taken by another program; choose another with PORT=…")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check_database_address(url: str) -> None:
    """Without connecting. Django's reader of the address would answer some mistakes with a warning."""
    wanted = "postgresql://user:password@host:5432/name"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number
    except ValueError as error:
        raise StartError(f"DATABASE_URL is not the address of a database ({wanted})") from error
    if parts.scheme not in POSTGRESQL_SCHEMES:
        raise StartError(f"DATABASE_URL must name a PostgreSQL database ({wanted}); without it SQLite is used")
    if not parts.path.strip("/"):
        raise StartError(f"DATABASE_URL does not say which database ({wanted})")


def close_database() -> None:
    """SQLite's journal goes into its file when the last connection closes; a process that ended with one open left it there."""
    database = settings.DATABASES["default"]
    if settings.EMBEDDED and Path(database["NAME"]).exists():
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database["NAME"])) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def check_database(database: dict[str, Any]) -> None:
    """`database` is Django's entry. Says in one line why DATABASE_URL cannot be used."""
    address = {name.lower(): database[name] for name in ("HOST", "PORT", "USER", "PASSWORD") if database.get(name)}
    options = {name: value for name, value in database.get("OPTIONS", {}).items() if name != "pool"}
    try:
        with psycopg.connect(dbname=database["NAME"], **address, **options) as connection:
            version = connection.info.server_version // 10000
    except psycopg.Error as error:
        raise StartError(f"DATABASE_URL: {_first_line(error)}") from error
    if version < OLDEST_POSTGRESQL:
        raise StartError(f"DATABASE_URL: PostgreSQL {OLDEST_POSTGRESQL} or newer is needed, this one is {version}")


def check_broker(url: str) -> None:
    """Says in one line why REDIS_URL cannot be used."""
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


def wait_for_broker(child: Child, url: str, *, stop_asked: Callable[[], bool]) -> None:
    """Until the embedded broker, already started, has read its data and answers."""
    deadline = time.monotonic() + BROKER_START_SECONDS
    with redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1) as client:
        while time.monotonic() < deadline:
            if stop_asked():
                raise StopAsked
            if (code := child.exit_code()) is not None:
                raise StartError(f"the embedded Valkey stopped at once (exit code {code}); its log is valkey.log there")
            with contextlib.suppress(redis.RedisError, OSError):
                if client.ping():
                    return
            time.sleep(0.05)
    raise StartError(f"the embedded Valkey did not answer within {BROKER_START_SECONDS:.0f} s")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
