"""Storing many outbound messages that were checked already: the path of schedules."""

from collections.abc import Sequence

from django.db import connection, models

from messaging.models import Message, MessageEvent
from messaging.states import Source


def store(messages: Sequence[Message], *, source: Source) -> None:
    """Insert the messages and the first line of each history, inside the caller's transaction.

    The unique constraint on run and recipient makes a second insertion of the same ones an error, so nothing is sent twice.
    """
    events = [
        MessageEvent(message_id=message.pk, at=message.created_at, to_status=message.status, source=source)
        for message in messages
    ]
    _insert(Message, messages)
    _insert(MessageEvent, events)


def _insert(model: type[models.Model], rows: Sequence[models.Model]) -> None:
    # COPY takes a fifth of the time of INSERT for a thousand rows; SQLite has nothing of the kind and needs nothing of it.
    if connection.vendor != "postgresql":
        model._default_manager.bulk_create(rows)  # noqa: SLF001
        return
    fields = model._meta.concrete_fields  # noqa: SLF001
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in fields)
    names = [field.attname for field in fields]
    statement = f"COPY {quote(model._meta.db_table)} ({columns}) FROM STDIN"  # noqa: SLF001
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            values = row.__dict__
            copy.write_row([values[name] for name in names])
