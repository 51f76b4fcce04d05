"""The audit log: Django's admin log, with a reason in each entry."""

import json
from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

REASON_FIELD = "_reason"
MAX_REASON = 200


def record(user: User, rows: Sequence[Model], change: str, *, reason: str = "", flag: int = CHANGE) -> None:
    """Write one entry for each row, in one query."""
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=user.pk,
            content_type=ContentType.objects.get_for_model(row),
            object_id=row.pk,
            object_repr=str(row)[:200],
            action_flag=flag,
            change_message=with_reason(change, reason),
        )
        for row in rows
    )


def record_on_table(user: User, model: type[Model], change: str) -> None:
    """Write an entry about the whole table, for example for an export."""
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(model),
        object_repr=str(model._meta.verbose_name_plural),  # noqa: SLF001 (public in all but its name)
        action_flag=CHANGE,
        change_message=change,
    )


def as_text(message: str | list[Any]) -> str:
    """Return the sentence for a change that Django's forms log as a structure."""
    if isinstance(message, str):
        return message
    return LogEntry(change_message=json.dumps(message)).get_change_message()


def with_reason(change: str, reason: str) -> str:
    text = change if change.endswith(".") else f"{change}."
    return f"{text} Reason: {reason}" if reason else text
