"""Remembers what `config.run.prepare` has prepared, so that the next start can skip it if nothing has changed since.

Everything that it reads or makes counts: the program's files, the installed packages, the collected static files, the applied
migrations, and the rows that `setup` keeps. A restored older database, a new version or a deleted group is prepared as before.
Only for SQLite: another host may change a PostgreSQL database at any time.
"""

import contextlib
import hashlib
import json
import sqlite3
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from config.run.commands import STATIC_FILES
from config.run.environment import BASE_DIR
from config.run.folder import ADMIN_PASSWORD, DEMO_TOKEN, LocalFolder

PREPARED = "prepared.json"
PROGRAM = ("config", "media_store", "messaging", "providers", "scheduling", "templates")
# The values of `setup`, without columns that change while the program runs. An account's URL contains the sandbox's port.
ROWS = (
    "SELECT app, name FROM django_migrations ORDER BY app, name",
    "SELECT id, content_type_id, codename FROM auth_permission ORDER BY id",
    "SELECT id, name FROM auth_group ORDER BY id",
    "SELECT group_id, permission_id FROM auth_group_permissions ORDER BY group_id, permission_id",
    "SELECT id, username FROM auth_user ORDER BY id",
    "SELECT name, batch_size, interval_seconds, is_paused FROM messaging_outboundqueue ORDER BY name",
    "SELECT name, args, enabled, interval_id FROM django_celery_beat_periodictask WHERE name LIKE 'queue %' ORDER BY name",
    "SELECT slug, config FROM providers_provideraccount ORDER BY slug",
    "SELECT number, is_default, owner_id FROM providers_sendernumber ORDER BY number",
    "SELECT digest, user_id, name, expiry FROM messaging_apitoken ORDER BY digest",
)
# A demo token that expires is replaced by the first start after that, which no fingerprint tells.
EXPIRING = "SELECT 1 FROM messaging_apitoken WHERE name = 'make run' AND expiry IS NOT NULL"


def read_port(folder: LocalFolder) -> int | None:
    """The port of the sandbox if everything is still prepared, else None."""
    try:
        stored = json.loads((folder.path / PREPARED).read_text())
        port = int(stored["sandbox_port"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return port if stored.get("fingerprint") == _fingerprint(folder) else None


def write(folder: LocalFolder, *, sandbox_port: int) -> None:
    """Call it after preparing, before another process uses the database."""
    fingerprint = _fingerprint(folder)
    if fingerprint is not None:
        folder.write(PREPARED, json.dumps({"fingerprint": fingerprint, "sandbox_port": sandbox_port}))


def forget(folder: LocalFolder) -> None:
    """Call it before preparing: an interrupted attempt must not look like the one before."""
    (folder.path / PREPARED).unlink(missing_ok=True)


def _fingerprint(folder: LocalFolder) -> str | None:
    """None if the database cannot be read, and while the demo token expires."""
    database = folder.path / "switchboard.sqlite3"
    if not database.is_file():
        return None
    digest = hashlib.sha256()
    try:
        with contextlib.closing(sqlite3.connect(database, timeout=20)) as connection:
            if connection.execute(EXPIRING).fetchone():
                return None
            for query in ROWS:
                digest.update(repr(connection.execute(query).fetchall()).encode())
        for line in _files(folder):
            digest.update(line.encode())
    except (OSError, sqlite3.Error):
        return None
    return digest.hexdigest()


def _files(folder: LocalFolder) -> Iterator[str]:
    """One line for each file. An installation or upgrade of a package renames a folder in `site-packages`."""
    packages = Path(sysconfig.get_path("purelib"))
    yield f"{sys.version} {packages} {packages.stat().st_mtime_ns}\n"
    for name in (ADMIN_PASSWORD, DEMO_TOKEN):
        path = folder.path / name
        yield f"{name} {path.read_text() if path.exists() else None}\n"
    for root in (*(BASE_DIR / name for name in PROGRAM), STATIC_FILES):
        for path in sorted(root.rglob("*")):
            if "__pycache__" not in path.parts and path.is_file():
                status = path.stat()
                yield f"{path.relative_to(BASE_DIR)} {status.st_size} {status.st_mtime_ns}\n"
