"""Who is on a schedule's list: checked first, then stored in the order given, each number once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO
from uuid import UUID

from django.db import transaction
from django.db.models import F

from messaging import segments
from messaging.models import PhoneNumber
from messaging.services.errors import InvalidField
from scheduling import templates
from scheduling.models import Schedule, ScheduleRecipient
from scheduling.recipients_csv import InvalidCsv, Row, RowError, check_readable, read_rows
from scheduling.services.errors import ScheduleEnded
from scheduling.templates import MissingVariable, Template

CHUNK = 2_000
MAX_REPORTED_ERRORS = 10_000


@dataclass(frozen=True, slots=True)
class Recipient:
    """`row` is where it stood in the request: a position in the list or a row of the file."""

    row: int
    number: str
    variables: Mapping[str, str]


@dataclass(slots=True)
class ImportReport:
    """What became of a list. `errors` stops at 10,000 rows, `rejected` counts on."""

    added: int = 0
    duplicates: int = 0
    rejected: int = 0
    errors: list[RowError] = field(default_factory=list)

    def refuse(self, error: RowError) -> None:
        self.rejected += 1
        if len(self.errors) < MAX_REPORTED_ERRORS:
            self.errors.append(error)


def compiled(text: str) -> Template:
    """The schedule's text; raises `InvalidField`."""
    try:
        return templates.compile_template(text)
    except templates.InvalidTemplate as error:
        raise InvalidField("message", "invalid_template", str(error)) from None


def check(recipient: Recipient, template: Template) -> RowError | None:
    """Can this recipient's text be written, and is it short enough?"""
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


def add(*, schedule_id: UUID, rows: Iterable[Recipient | RowError], now: datetime) -> ImportReport:
    """Store the good rows in chunks; a number that is on the list already counts as a duplicate and stays as it is.

    Raises `ScheduleEnded`. Each chunk is a transaction of its own: after a crash the same list can be given again.
    """
    report = ImportReport()
    for chunk in _chunks(rows):
        _add_chunk(schedule_id, chunk, report, now)
    return report


def add_csv(*, schedule_id: UUID, stream: BinaryIO, now: datetime) -> ImportReport:
    """Like `add`, from a seekable CSV file.

    The file is read twice: a file that cannot be read to its end raises `InvalidField` before any recipient is stored.
    """
    try:
        check_readable(stream)
        stream.seek(0)
        return add(schedule_id=schedule_id, rows=_of_csv(read_rows(stream)), now=now)
    except InvalidCsv as error:
        raise InvalidField("file", error.code, str(error)) from None


def _of_csv(rows: Iterable[Row | RowError]) -> Iterator[Recipient | RowError]:
    for row in rows:
        yield row if isinstance(row, RowError) else Recipient(row.row, row.number, row.variables)


def _chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _good(chunk: Iterable[Recipient | RowError], template: Template, report: ImportReport) -> Iterator[Recipient]:
    for row in chunk:
        error = row if isinstance(row, RowError) else check(row, template)
        if error is not None:
            report.refuse(error)
        else:
            yield row


def _add_chunk(schedule_id: UUID, chunk: list[Recipient | RowError], report: ImportReport, now: datetime) -> None:
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
        if schedule.status in {Schedule.Status.CANCELED, Schedule.Status.COMPLETED}:
            raise ScheduleEnded(f"The schedule is {schedule.status}; nobody can be added to it.")
        # Against the text as it is under the lock: somebody may have changed it since the list was sent.
        good = list(_good(chunk, compiled(schedule.text), report))
        unique = first_of_each_number(good)
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
    report.duplicates += len(good) - len(fresh)


def first_of_each_number(people: Iterable[Recipient]) -> dict[str, Recipient]:
    """By number, in the order in which the numbers first appear."""
    unique: dict[str, Recipient] = {}
    for person in people:
        unique.setdefault(person.number, person)
    return unique


def store(schedule: Schedule, recipients: Iterable[Recipient]) -> None:
    """Insert checked recipients in their order; the caller knows that they are new. Their numbers become known with them."""
    recipients = list(recipients)
    PhoneNumber.objects.bulk_create(
        # In one order for everybody: two lists that insert the same numbers crosswise would wait for each other.
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
