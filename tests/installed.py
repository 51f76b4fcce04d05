"""What an installation begins with: rows that are made once and then copied inside the database."""

from django.contrib.auth.models import Group
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from messaging.models import CountrySenders, HoursRevision, HoursRule, OutboundQueue
from messaging.services import installation

MODELS = (
    *(Group, Group.permissions.through, OutboundQueue, HoursRule, HoursRevision, CountrySenders),
    *(IntervalSchedule, PeriodicTask, PeriodicTasks),
)
TABLES = tuple(model._meta.db_table for model in MODELS)
COPY = "installed_"  # and the name of the table


def keep() -> None:
    """Once for a database: make the rows and keep a copy of them in tables of its own."""
    installation.install()
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"CREATE TABLE {COPY}{table} AS SELECT * FROM {table}")  # noqa: S608


def install() -> None:
    """As `installation.install()`, which takes longer than most of the tests that need its rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + " OR ".join(f"EXISTS (SELECT 1 FROM {table})" for table in TABLES))  # noqa: S608
        [has_rows] = cursor.fetchone()
        if not has_rows:
            for table in TABLES:
                cursor.execute(f"INSERT INTO {table} SELECT * FROM {COPY}{table}")  # noqa: S608
    if has_rows:
        installation.install()
