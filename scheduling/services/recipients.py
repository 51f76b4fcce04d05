"""Check a schedule's recipients and store them in the order given, each number once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import BinaryIO
from uuid import UUID

from django.db import transaction
from django.db.models import F

from messaging import segments, text_templates
from messaging.models import PhoneNumber
from messaging.services.errors import InvalidField
from messaging.text_templates import MissingVariable, Template
from scheduling import recipient_numbers
from scheduling.models import Schedule, ScheduleRecipient
from scheduling.recipients_csv import InvalidCsv, ListFormat, Read, Row, RowError, RowNote, check_readable, read_rows
from scheduling.services.errors import ScheduleEnded

CHUNK = 2_000
MAX_REPORTED_ERRORS = 10_000
MAX_REPORTED_NOTES = 1_000


@dataclass(frozen=True, slots=True)
class Recipient:
    """`row` is the position in a JSON list, or the row of a CSV file."""

    row: int
    number: str
    variables: Mapping[str, str]


Listed = Recipient | RowError | RowNote


@dataclass(slots=True)
class ImportReport:
    """The result of adding recipients. `errors` has the first 10,000 rejected rows, `rejected` counts all of them.

    `notes` has the first 1,000 decisions that were made about rows that were taken, and about columns.
    """

    added: int = 0
    duplicates: int = 0
    rejected: int = 0
    errors: list[RowError] = field(default_factory=list)
    notes: list[RowNote] = field(default_factory=list)

    def reject(self, error: RowError) -> None:
        self.rejected += 1
        if len(self.errors) < MAX_REPORTED_ERRORS:
            self.errors.append(error)

    def note(self, note: RowNote) -> None:
        if len(self.notes) < MAX_REPORTED_NOTES:
            self.notes.append(note)


def compiled(text: str) -> Template:
    """Compile the schedule's text. Raises `InvalidField`."""
    try:
        return text_templates.compile_template(text)
    except text_templates.InvalidTemplate as error:
        raise InvalidField("message", "invalid_template", str(error)) from None


def check(recipient: Recipient, template: Template) -> RowError | None:
    """Return why this recipient's text cannot be sent: a missing variable, no text, or too many segments. None if it can."""
    try:
        text = template.render(recipient.variables)
    except MissingVariable as error:
        return RowError(recipient.row, error.name, "missing_variable", f"The text needs a value for {error.name}.")
    if not text.strip():
        return RowError(recipient.row, "message", "blank", "The text is empty for this recipient.")
    if segments.measure(text).segments > segments.MAX_SEGMENTS:
        return RowError(
            recipient.row, "message", "too_long", "The text takes more than ten segments for this recipient."
        )
    return None


def add(*, schedule_id: UUID, rows: Iterable[Listed], now: datetime) -> ImportReport:
    """Store the valid rows in chunks. A number that is already on the list counts as a duplicate and is not changed.

    Each chunk is one transaction, so after a crash the same list can be sent again. Raises `ScheduleEnded`.
    """
    report = ImportReport()
    for chunk in _chunks(rows):
        _add_chunk(schedule_id, chunk, report, now)
    return report


def add_csv(
    *, schedule_id: UUID, stream: BinaryIO, now: datetime, to_column: str = "", country: str = ""
) -> ImportReport:
    """Like `add`, from a seekable CSV file. `to_column` and `country` are as in `ListFormat`.

    The file is read twice: a file that cannot be read to its end raises `InvalidField` before any recipient is stored.
    """
    if country and not recipient_numbers.is_country(country):
        raise InvalidField("default_country", "invalid", "Give the country as two letters, such as DE.")
    used = compiled(Schedule.objects.get(pk=schedule_id).text).variables
    form = ListFormat(to_column=to_column, country=country, used=used)
    try:
        check_readable(stream, form)
        stream.seek(0)
        return add(schedule_id=schedule_id, rows=_of_csv(read_rows(stream, form)), now=now)
    except InvalidCsv as error:
        raise InvalidField("file", error.code, str(error)) from None


def _of_csv(rows: Iterable[Read]) -> Iterator[Listed]:
    for row in rows:
        yield Recipient(row.row, row.number, row.variables) if isinstance(row, Row) else row


def _chunks(rows: Iterable[Listed]) -> Iterator[list[Listed]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _valid(chunk: Iterable[Listed], template: Template, report: ImportReport) -> Iterator[Recipient]:
    for row in chunk:
        if isinstance(row, RowError):
            report.reject(row)
        elif isinstance(row, RowNote):
            report.note(row)
        elif (error := check(row, template)) is not None:
            report.reject(error)
        else:
            yield row


def _add_chunk(schedule_id: UUID, chunk: list[Listed], report: ImportReport, now: datetime) -> None:
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
        if schedule.status in {Schedule.Status.CANCELED, Schedule.Status.COMPLETED}:
            raise ScheduleEnded(f"The schedule is {schedule.status}; no recipients can be added to it.")
        # Check against the text read under the lock: it may have changed since the list was sent.
        valid = list(_valid(chunk, compiled(schedule.text), report))
        unique = first_of_each_number(valid)
        known = set(
            ScheduleRecipient.objects.filter(schedule=schedule, number__in=list(unique)).values_list(
                "number", flat=True
            )
        )
        fresh = [recipient for recipient in unique.values() if recipient.number not in known]
        store(schedule, fresh)
        Schedule.objects.filter(pk=schedule_id).update(
            recipient_count=F("recipient_count") + len(fresh), updated_at=now
        )
    report.added += len(fresh)
    report.duplicates += len(valid) - len(fresh)


def first_of_each_number(recipients: Iterable[Recipient]) -> dict[str, Recipient]:
    """Map each number to its first recipient, in order of first appearance."""
    unique: dict[str, Recipient] = {}
    for recipient in recipients:
        unique.setdefault(recipient.number, recipient)
    return unique


def store(schedule: Schedule, recipients: Iterable[Recipient]) -> None:
    """Insert checked recipients, which must be new to the list, in their order; also stores their phone numbers."""
    recipients = list(recipients)
    PhoneNumber.objects.bulk_create(
        # Sorted: two imports that insert the same numbers in different orders would deadlock.
        [PhoneNumber(number=number) for number in sorted(recipient.number for recipient in recipients)],
        batch_size=CHUNK,
        ignore_conflicts=True,
    )
    ScheduleRecipient.objects.bulk_create(
        (
            ScheduleRecipient(schedule=schedule, number=recipient.number, variables=dict(recipient.variables))
            for recipient in recipients
        ),
        batch_size=CHUNK,
    )
