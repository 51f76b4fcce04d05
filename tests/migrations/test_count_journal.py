"""Counts that wait when the journal comes are counted once, and also on the way back."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from config.run.environment import BASE_DIR
from tests.journeys.databases import fresh_database

pytestmark = pytest.mark.django_db

COLUMNS = "hour, measure, owner_id, provider_slug, word, count, seconds, folded"
TOTAL = "('1970-01-01 00:00:00+00:00', 'entered', 7, '', 'queued', 40, 1.5, true)"
WAITING = "('2026-11-22 09:00:00+00:00', 'entered', 7, '', 'queued', 2, 0.25, false)"


def migrate(folder: Path, url: str, target: str) -> None:
    environment = os.environ | {"DATABASE_URL": url, "LOCAL_DIR": str(folder)}
    command = [sys.executable, "manage.py", "migrate", "-v0", "messaging", target]
    subprocess.run(command, cwd=BASE_DIR, env=environment, check=True)


def run(folder: Path, url: str, *statements: str) -> list[tuple]:
    database = psycopg.connect(url) if url else sqlite3.connect(folder / "switchboard.sqlite3")
    try:
        cursor = database.cursor()
        for statement in statements:
            cursor.execute(statement)
        database.commit() if cursor.description is None else None
        return cursor.fetchall() if cursor.description else []
    finally:
        database.close()


def test_waiting_counts_become_rows_of_the_journal_and_back(tmp_path: Path) -> None:
    with fresh_database() as url:
        migrate(tmp_path, url, "0023")
        run(tmp_path, url, f"INSERT INTO messaging_rollup ({COLUMNS}) VALUES {TOTAL}, {WAITING}")

        migrate(tmp_path, url, "0024")
        assert run(tmp_path, url, "SELECT word, count FROM messaging_rollup") == [("queued", 40)]
        assert run(tmp_path, url, "SELECT counts FROM messaging_countjournal") == [
            ('[[1795338000,"entered",7,"","queued",2,0.25]]',)
        ]

        migrate(tmp_path, url, "0023")
        kept = run(tmp_path, url, "SELECT count, seconds, folded FROM messaging_rollup ORDER BY count")
        assert [(*row[:2], bool(row[2])) for row in kept] == [(2, 0.25, False), (40, 1.5, True)]
