"""PostgreSQL's plans with statistics that mislead it. Nothing is switched off."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Message
from tests.factories import MessageFactory, QueueFactory, UserFactory

MANY = 500

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="the plans are PostgreSQL's")


def plans_of(call: Callable[[], Any], **values: Any) -> list[str]:
    """Return the plan of each statement on messages that the call makes.

    The statistics are of a moment at which there were `MANY` messages with these values, which by now have all been delivered:
    the planner takes any message for a match.
    """
    values = {"owner": UserFactory(), "queue": QueueFactory()} | values
    keys = [message.pk for message in Message.objects.bulk_create(MessageFactory.build_batch(MANY, **values))]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_message")
        Message.objects.filter(pk__in=keys).update(status="delivered", delivered_at="2026-11-22T09:00:00Z")
        with CaptureQueriesContext(connection) as queries:
            call()
        asked = [query["sql"] for query in queries if '"messaging_message"' in query["sql"]]
        return [_plan(cursor, sql) for sql in asked]


def _plan(cursor: Any, sql: str) -> str:
    cursor.execute(f"EXPLAIN {sql}")
    return "\n".join(line for [line] in cursor.fetchall())
