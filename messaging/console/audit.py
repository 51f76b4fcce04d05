"""Who did what to which row, when, and why: Django's own log of the admin, with a reason."""

import json
from collections.abc import Sequence

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

REASON_FIELD = "_reason"
MAX_REASON = 200


def record(user: User, rows: Sequence[Model], what: str, *, reason: str = "", flag: int = CHANGE) -> None:
    """One line for each row, in one query."""
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=user.pk,
            content_type=ContentType.objects.get_for_model(row),
            object_id=row.pk,
            object_repr=str(row)[:200],
            action_flag=flag,
            change_message=with_reason(what, reason),
        )
        for row in rows
    )


def record_on_table(user: User, model: type[Model], what: str) -> None:
    """For what concerns no single row, such as an export."""
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(model),
        object_repr=str(model._meta.verbose_name_plural),  # noqa: SLF001 (public in all but its name)
        action_flag=CHANGE,
        change_message=what,
    )


def as_text(message: str | list) -> str:
    """What Django's forms log as a structure, in words."""
    if isinstance(message, str):
        return message
    return LogEntry(change_message=json.dumps(message)).get_change_message()


def with_reason(what: str, reason: str) -> str:
    text = what if what.endswith(".") else f"{what}."
    return f"{text} Reason: {reason}" if reason else text
