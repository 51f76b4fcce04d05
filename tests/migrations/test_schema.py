"""The tests' database is made from the models (`--nomigrations`), which is only right while the migrations make the same."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from config.run.environment import BASE_DIR
from tests.installed import COPY
from tests.journeys.databases import fresh_database

pytestmark = pytest.mark.django_db
LEFT_OUT = ("django_migrations", COPY)  # the first records what was applied; the others are the tests' own
# Django's own link tables: their migrations count in the project's BigAutoField, their models in the app's AutoField.
COUNTED_OTHERWISE = {"auth_user_groups", "auth_user_user_permissions", "auth_group_permissions"}

POSTGRESQL = [
    """
    SELECT table_name, column_name, data_type, is_nullable, column_default, character_maximum_length,
           numeric_precision, numeric_scale, is_identity, collation_name, is_generated, generation_expression
    FROM information_schema.columns WHERE table_schema = 'public'
    """,
    "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    """
    SELECT relation.relname, relation.relkind::text, attribute.attname, description.description
    FROM pg_description AS description
    JOIN pg_class AS relation ON relation.oid = description.objoid AND description.classoid = 'pg_class'::regclass
    LEFT JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid AND attribute.attnum = description.objsubid
    WHERE relation.relnamespace = 'public'::regnamespace
    """,
    "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'",
    "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
]
SQLITE = [
    """
    SELECT t.name, c.name, c.type, c."notnull", c.dflt_value, c.pk, c.hidden
    FROM sqlite_master AS t, pragma_table_xinfo(t.name) AS c WHERE t.type = 'table'
    """,
    """
    SELECT t.name, k."table", k."from", k."to", k.on_update, k.on_delete
    FROM sqlite_master AS t, pragma_foreign_key_list(t.name) AS k WHERE t.type = 'table'
    """,
    """
    SELECT t.name, i."unique", i.origin, i.partial,
           (SELECT group_concat(name) FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno))
    FROM sqlite_master AS t, pragma_index_list(t.name) AS i WHERE t.type = 'table'
    """,
    "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL",
    "SELECT type, name, name, sql FROM sqlite_master WHERE type = 'table'",
]


def migrated(folder: Path) -> Iterator[tuple[set[tuple], dict[str, int]]]:
    """The schema and the numbers of rows of an empty database to which all migrations were applied."""
    with fresh_database() as url:
        environment = os.environ | {"DATABASE_URL": url, "LOCAL_DIR": str(folder)}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=BASE_DIR, env=environment, check=True)
        if url:
            with psycopg.connect(url) as database:
                yield schema(database), rows(database)
        else:
            database = sqlite3.connect(folder / "switchboard.sqlite3")
            try:
                yield schema(database), rows(database)
            finally:
                database.close()


def fetched(database: object, statement: str) -> list[tuple]:
    cursor = database.cursor()
    cursor.execute(statement)
    return cursor.fetchall()


def schema(database: object) -> set[tuple]:
    """What can be said about the tables, in any order: columns, keys, indexes, constraints, comments, triggers."""
    if connection.vendor == "postgresql":
        found = {(number, *row) for number, query in enumerate(POSTGRESQL) for row in fetched(database, query)}
    else:
        found = {(number, *row) for number, query in enumerate(SQLITE[:-1]) for row in fetched(database, query)}
        for _, table, _, sql in fetched(database, SQLITE[-1]):
            found |= {("constraint", table, text) for text in constraints(sql)}
            found.add(("autoincrement", table, "AUTOINCREMENT" in sql))
    found = {row for row in found if row[1] not in COUNTED_OTHERWISE or row[2] != "id"}
    return {row for row in found if not any(isinstance(value, str) and is_left_out(value) for value in row)}


def is_left_out(name: str) -> bool:
    return any(each in name for each in LEFT_OUT)


def constraints(sql: str) -> Iterator[str]:
    """Each `CONSTRAINT … (…)` and `CHECK (…)` of a table of SQLite, which keeps them as text only."""
    for match in re.finditer(r'(?:CONSTRAINT "\w+" )?(?:CHECK|UNIQUE) \(', sql):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        yield sql[match.start() : end]


def rows(database: object) -> dict[str, int]:
    tables = [name for name in connection.introspection.table_names() if not is_left_out(name)]
    return {table: fetched(database, f'SELECT count(*) FROM "{table}"')[0][0] for table in tables}  # noqa: S608


def test_the_models_make_what_the_migrations_make(tmp_path: Path) -> None:
    [(expected, expected_rows)] = migrated(tmp_path)

    with connection.cursor() as cursor:
        ours = schema(cursor.connection)
        our_rows = rows(cursor.connection)

    assert len(ours) > 500
    assert ours == expected
    assert our_rows == expected_rows
