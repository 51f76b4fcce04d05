"""Inserts recipients that were checked already, with one statement a chunk: `bulk_create` takes four times as long."""

import json
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from django.db import connection

from messaging import encryption
from messaging.models.encrypted import keys
from messaging.services.outbound.bulk_insert import store_numbers
from scheduling.models import ScheduleRecipient

_JSON: Final = json.JSONEncoder()
_TABLE: Final = "scheduling_schedulerecipient"
_POSTGRESQL: Final = (
    f"INSERT INTO {_TABLE} (schedule_id, number, variables)"  # noqa: S608 (a constant)
    " SELECT %s, given.number, given.variables::jsonb"
    " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS given (number, variables, place) ORDER BY given.place"
    " ON CONFLICT (schedule_id, number) DO NOTHING"
)
_SQLITE: Final = (
    f"INSERT INTO {_TABLE} (schedule_id, number, variables) VALUES (%s, %s, %s)"  # noqa: S608 (a constant)
    " ON CONFLICT (schedule_id, number) DO NOTHING"
)


def insert(schedule_id: UUID, recipients: Iterable[tuple[str, Mapping[str, str]]]) -> int:
    """Insert pairs of a number (E.164) and its variables in their order, in the caller's transaction, and their phone numbers.

    A number that is on the list already, or comes again, is left out. Returns how many were inserted.
    """
    rows = [(number, _stored(variables)) for number, variables in recipients]
    if not rows:
        return 0
    store_numbers(number for number, _ in rows)
    key = ScheduleRecipient._meta.get_field("schedule").get_db_prep_value(schedule_id, connection)  # noqa: SLF001
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            numbers, variables = zip(*rows, strict=True)
            cursor.execute(_POSTGRESQL, [key, list(numbers), list(variables)])
        else:
            cursor.executemany(_SQLITE, [(key, number, variables) for number, variables in rows])
        inserted: int = cursor.rowcount
    return inserted


def _stored(variables: Mapping[str, str]) -> str:
    """The JSON that `EncryptedJSONField` stores."""
    text = _JSON.encode(dict(variables))
    return _JSON.encode(encryption.seal(text, keys())) if variables and keys() else text
