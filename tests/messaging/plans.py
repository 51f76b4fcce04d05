"""PostgreSQL's plans, with statistics that are right and with others that mislead it. Nothing is switched off."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Message
from tests.factories import NOW, MessageFactory, QueueFactory, UserFactory

MANY = 500

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="the plans are PostgreSQL's")


def plans_of(call: Callable[[], Any], *, misled: bool = False) -> list[str]:
    """Return the plan of each statement on messages that the call makes, with `MANY` delivered messages.

    If `misled`, the statistics are of a moment at which all of them were queued: the planner takes any message for a match.
    """
    values = {"owner": UserFactory(), "queue": QueueFactory()}
    keys = [message.pk for message in Message.objects.bulk_create(MessageFactory.build_batch(MANY, **values))]
    delivered = Message.objects.filter(pk__in=keys)
    with connection.cursor() as cursor:
        if misled:
            cursor.execute("ANALYZE messaging_message")
        delivered.update(status="delivered", delivered_at=NOW)
        if not misled:
            cursor.execute("ANALYZE messaging_message")
        with CaptureQueriesContext(connection) as queries:
            call()
        asked = [query["sql"] for query in queries if '"messaging_message"' in query["sql"]]
        return [_plan(cursor, sql) for sql in asked]


def _plan(cursor: Any, sql: str) -> str:
    cursor.execute(f"EXPLAIN {sql}")
    return "\n".join(line for [line] in cursor.fetchall())
