"""An empty database after a test that commits."""

from django.db import connection, transaction
from django.test import TransactionTestCase

KEPT = {"auth_permission", "django_content_type"}  # made together with the tables


def delete_all_rows(_test: TransactionTestCase | None = None) -> None:
    """In the place of Django's own way, which empties every table and makes all permissions again."""
    quote = connection.ops.quote_name
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT
    used = [f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {quote(table)})" for table in sorted(tables)]  # noqa: S608
    with transaction.atomic(), connection.cursor() as cursor:  # foreign keys are looked at when it ends
        cursor.execute(" UNION ALL ".join(used))
        for (table,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {quote(table)}")  # noqa: S608
