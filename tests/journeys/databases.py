"""Separate databases for journeys: SQLite files, or PostgreSQL databases beside the given one.

All migrations take four seconds of CPU. They are applied once, to a template, and copied for each stack.
"""

import atexit
import contextlib
import functools
import itertools
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from config.run.environment import BASE_DIR
from tests.environment import GIVEN_DATABASE_URL

FILE = "switchboard.sqlite3"
_numbers = itertools.count()


@contextlib.contextmanager
def fresh_database() -> Iterator[str]:
    """The address of an empty PostgreSQL database that is dropped afterwards; empty where the tests run on SQLite."""
    if not GIVEN_DATABASE_URL:
        yield ""
        return
    with _created() as name:
        yield _address(name)


@contextlib.contextmanager
def migrated_database(folder: Path) -> Iterator[str]:
    """The same with all migrations applied; on SQLite its file is copied into the folder."""
    if not GIVEN_DATABASE_URL:
        copy_migrated_file(folder)
        yield ""
        return
    with _created(template=_migrated_name()) as name:
        yield _address(name)


def copy_migrated_file(folder: Path) -> None:
    """Put an SQLite database with all migrations applied into the folder."""
    source = sqlite3.connect(_migrated_file())
    with contextlib.closing(source) as template, contextlib.closing(sqlite3.connect(folder / FILE)) as copy:
        template.backup(copy)


@contextlib.contextmanager
def _created(template: str = "template1") -> Iterator[str]:
    name = f"switchboard_journey_{os.getpid()}_{next(_numbers)}"
    _execute("CREATE DATABASE {} TEMPLATE {}", name, template)
    try:
        yield name
    finally:
        _execute("DROP DATABASE {} WITH (FORCE)", name)


def _execute(statement: str, *names: str) -> None:
    with psycopg.connect(GIVEN_DATABASE_URL, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _address(name: str) -> str:
    return urlsplit(GIVEN_DATABASE_URL)._replace(path=f"/{name}").geturl()


@functools.cache
def _migrated_name() -> str:
    """The template, which is kept until this process ends."""
    kept = contextlib.ExitStack()
    atexit.register(kept.close)
    name = kept.enter_context(_created())
    _migrate({"DATABASE_URL": _address(name)})
    return name


@functools.cache
def _migrated_file() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="switchboard-journey-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _migrate({"DATABASE_URL": "", "LOCAL_DIR": str(folder)})
    return folder / FILE


def _migrate(environment: dict[str, str]) -> None:
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    # `make chaos` runs without the environment of pytest.
    defaults = {"SECRET_KEY": secrets.token_urlsafe(50)}
    subprocess.run(command, cwd=BASE_DIR, env=defaults | os.environ | environment, check=True)
