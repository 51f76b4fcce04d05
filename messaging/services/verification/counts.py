"""Counts how many verifications were begun and approved, by hour, prefix and the account that sent the code."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import F

from messaging import states
from messaging.models import Message, Verification, VerificationCount
from messaging.states import Status

_TABLE = VerificationCount._meta.db_table  # noqa: SLF001 (public in all but its name)
_ADD = (
    f"INSERT INTO {_TABLE} (hour, prefix, provider_slug, started, approved) VALUES (%s, %s, %s, %s, %s) "  # noqa: S608
    "ON CONFLICT (hour, prefix, provider_slug) DO UPDATE SET "
    f"started = {_TABLE}.started + excluded.started, approved = {_TABLE}.approved + excluded.approved"
)
# The provider has the text, or may have it.
CARRIED = frozenset({Status.SENT, Status.UNKNOWN, Status.DELIVERED, Status.UNDELIVERED}) & states.OUTBOUND


def hour_of(row: Verification) -> datetime:
    """An approval counts in the hour in which its verification began: what is compared began together."""
    return row.created_at.replace(minute=0, second=0, microsecond=0)


def _add(hour: datetime, prefix: str, slug: str, *, started: int = 0, approved: int = 0) -> None:
    at = connection.ops.adapt_datetimefield_value(hour)
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [at, prefix, slug, started, approved])


def count_started(row: Verification) -> None:
    """Call it last in a transaction: others count in the same row."""
    _add(hour_of(row), row.prefix, row.provider_slug, started=1)


def count_approved(row: Verification) -> None:
    """Call it last in a transaction that has locked the verification; sets, but does not save, its account."""
    if not row.provider_slug:
        row.provider_slug = carriers([row]).get(row.pk, "")
        move({(hour_of(row), row.prefix, row.provider_slug): 1} if row.provider_slug else {})
    _add(hour_of(row), row.prefix, row.provider_slug, approved=1)


def carriers(rows: Sequence[Verification]) -> dict[UUID, str]:
    """The accounts that have sent the codes, by verification; the first one, where several have. One query."""
    ids = {UUID(message_id): row.pk for row in rows for message_id in row.message_ids}
    if not ids:
        return {}
    carried = Message.objects.filter(pk__in=ids, status__in=CARRIED, provider__isnull=False).order_by("-pk")
    return {ids[pk]: slug for pk, slug in carried.values_list("pk", "provider_id")}


def move(sent: Mapping[tuple[datetime, str, str], int]) -> None:
    """Move begun verifications from "not sent yet" to the accounts that have sent their codes; sorted, against deadlocks."""
    for (hour, prefix, slug), number in sorted(sent.items()):
        VerificationCount.objects.filter(hour=hour, prefix=prefix, provider_slug="", started__gte=number).update(
            started=F("started") - number
        )
        _add(hour, prefix, slug, started=number)
