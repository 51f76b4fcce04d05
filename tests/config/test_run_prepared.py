"""A start skips preparing only if nothing that it reads or makes has changed. Without that, a migration would be missing."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from config.run import prepared
from config.run.folder import ADMIN_PASSWORD, DEMO_TOKEN, LocalFolder

COLUMNS = {
    "django_migrations": "app, name",
    "auth_permission": "id, content_type_id, codename",
    "auth_group": "id, name",
    "auth_group_permissions": "group_id, permission_id",
    "auth_user": "id, username, last_login",
    "messaging_outboundqueue": "name, batch_size, interval_seconds, is_paused, last_tick_at",
    "django_celery_beat_periodictask": "name, args, enabled, interval_id, last_run_at",
    "providers_provideraccount": "slug, config, weight",
    "providers_sendernumber": "number, is_default, owner_id",
    "messaging_apitoken": "digest, user_id, name, expiry",
}


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of one file with one static file."""
    root = tmp_path / "program"
    for name in ("config", "static"):
        (root / name).mkdir(parents=True)
    (root / "config" / "celery.py").write_text("1")
    (root / "static" / "icon.svg").write_text("<svg/>")
    monkeypatch.setattr(prepared, "BASE_DIR", root)
    monkeypatch.setattr(prepared, "STATIC_FILES", root / "static")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    folder = LocalFolder(tmp_path / "local")
    folder.prepare()
    for name in (ADMIN_PASSWORD, DEMO_TOKEN):
        (folder.path / name).write_text(name)
    with contextlib.closing(sqlite3.connect(folder.path / "switchboard.sqlite3")) as database, database:
        for table, columns in COLUMNS.items():
            count = len(columns.split(","))
            database.execute(f"CREATE TABLE {table} ({columns})")
            database.execute(f"INSERT INTO {table} VALUES ({', '.join(['NULL'] * count)})")  # noqa: S608
        database.execute("UPDATE django_celery_beat_periodictask SET name = 'queue paced'")
    prepared.write(folder, sandbox_port=4321)
    return folder


def change(folder: LocalFolder, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(folder.path / "switchboard.sqlite3")) as database, database:
        assert database.execute(statement).rowcount == 1


def test_without_a_change_nothing_is_prepared_again(folder: LocalFolder) -> None:
    assert prepared.read_port(folder) == 4321


def test_a_copy_of_the_folder_needs_nothing_either(folder: LocalFolder, tmp_path: Path) -> None:
    copy = LocalFolder(shutil.copytree(folder.path, tmp_path / "backup"))

    assert prepared.read_port(copy) == 4321


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE auth_user SET last_login = 1",
        "UPDATE messaging_outboundqueue SET last_tick_at = 1",
        "UPDATE django_celery_beat_periodictask SET last_run_at = 1",
        "UPDATE providers_provideraccount SET weight = 1",
        "INSERT INTO django_celery_beat_periodictask (name) VALUES ('tick')",
    ],
)
def test_running_changes_nothing_that_counts(folder: LocalFolder, statement: str) -> None:
    change(folder, statement)

    assert prepared.read_port(folder) == 4321


@pytest.mark.parametrize("table", COLUMNS)
def test_a_row_that_is_gone_is_prepared_again(folder: LocalFolder, table: str) -> None:
    change(folder, f"DELETE FROM {table}")  # noqa: S608 (our own table's name)

    assert prepared.read_port(folder) is None


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO django_migrations VALUES ('messaging', '9999_of_a_newer_version')",
        "UPDATE providers_provideraccount SET config = 'other'",
        "UPDATE messaging_apitoken SET name = 'other'",
    ],
)
def test_a_changed_row_is_prepared_again(folder: LocalFolder, statement: str) -> None:
    change(folder, statement)

    assert prepared.read_port(folder) is None


def _edit(program: Path, _folder: Path) -> None:
    (program / "config" / "celery.py").write_text("22")


def _touch(program: Path, _folder: Path) -> None:
    os.utime(program / "config" / "celery.py", (1, 1))


def _add_migration(program: Path, _folder: Path) -> None:
    (program / "messaging" / "migrations").mkdir(parents=True)
    (program / "messaging" / "migrations" / "0099_new.py").write_text("")


def _clean(program: Path, _folder: Path) -> None:
    shutil.rmtree(program / "static")


def _lose_a_static_file(program: Path, _folder: Path) -> None:
    (program / "static" / "icon.svg").unlink()


def _lose_the_token(_program: Path, folder: Path) -> None:
    (folder / DEMO_TOKEN).unlink()


def _lose_the_database(_program: Path, folder: Path) -> None:
    (folder / "switchboard.sqlite3").unlink()


def _break_the_database(_program: Path, folder: Path) -> None:
    (folder / "switchboard.sqlite3").write_text("not a database, and longer than its header of one hundred bytes" * 2)


def _break_the_file(_program: Path, folder: Path) -> None:
    (folder / prepared.PREPARED).write_text("[]")


@pytest.mark.parametrize(
    "act",
    [
        _edit,
        _touch,
        _add_migration,
        _clean,
        _lose_a_static_file,
        _lose_the_token,
        _lose_the_database,
        _break_the_database,
        _break_the_file,
    ],
)
def test_a_changed_file_is_prepared_again(
    folder: LocalFolder, program: Path, act: Callable[[Path, Path], None]
) -> None:
    act(program, folder.path)

    assert prepared.read_port(folder) is None


@pytest.mark.parametrize("what", ["version", "packages"])
def test_another_python_or_another_package_is_prepared_again(folder: LocalFolder, monkeypatch, tmp_path, what) -> None:
    if what == "version":
        monkeypatch.setattr("sys.version", "3.99")
    else:
        monkeypatch.setattr("sysconfig.get_path", lambda _name: str(tmp_path))

    assert prepared.read_port(folder) is None


def test_a_demo_token_that_expires_is_looked_at_by_each_start(folder: LocalFolder) -> None:
    change(folder, "UPDATE messaging_apitoken SET name = 'make run', expiry = '2027-01-01'")
    prepared.forget(folder)

    prepared.write(folder, sandbox_port=4321)

    assert prepared.read_port(folder) is None


def test_an_interrupted_start_is_prepared_again(folder: LocalFolder) -> None:
    prepared.forget(folder)

    assert prepared.read_port(folder) is None
