"""Everything that is kept of one person, as one JSON object that is written while it is read."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from django.contrib.auth.models import User

from messaging.models.encrypted import fault_of
from messaging.services.privacy import export, redaction
from messaging.services.privacy.person_tables import Row, Section
from messaging.services.representation import isoformat_utc
from scheduling.models import ScheduleRecipient
from scheduling.services import list_imports, list_retention


def person_export(*, number: str, actor: User, now: datetime) -> Iterator[str]:
    """Record the export in the audit log, and return the pieces of the document.

    The rows of each section are read when the client takes them, so it is no picture of one moment.
    """
    export.record(number=number, actor=actor)
    return _pieces(number, now)


def _pieces(number: str, now: datetime) -> Iterator[str]:
    yield json.dumps({"number": number, "exported_at": isoformat_utc(now)})[:-1]
    for name, read in SECTIONS.items():
        yield f", {json.dumps(name)}: ["
        for position, row in enumerate(read(number)):
            yield f"{', ' if position else ''}{json.dumps(row, ensure_ascii=False)}"
        yield "]"
    yield "}\n"


def recipients(number: str) -> Iterator[Row]:
    """The lists of schedules that have the number, with the variables of the person."""
    for rows in redaction.chunks(ScheduleRecipient.objects.filter(number=number).select_related("schedule")):
        for row in rows:
            yield {
                "schedule": str(row.schedule_id),
                "schedule_name": row.schedule.name,
                "variables": None if fault_of(row, "variables") else row.variables,
            }


def waiting_lists(number: str) -> Iterator[Row]:
    """Lists that wait in the console to be saved and may have the number; their other lines are about others."""
    for row in list_imports.waiting().select_related("schedule").order_by("pk"):
        if list_retention.may_have_number(row.pk, number):
            yield {
                "id": str(row.pk),
                "schedule": str(row.schedule_id),
                "schedule_name": row.schedule.name,
                "created_at": isoformat_utc(row.created_at),
            }


SECTIONS: Mapping[str, Section] = {**export.SECTIONS, "schedule_recipients": recipients, "waiting_lists": waiting_lists}
