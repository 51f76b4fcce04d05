"""Check a schedule's recipients and store them in the order given, each number once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import BinaryIO
from uuid import UUID

from django.db import transaction
from django.db.models import F

from messaging import segments, text_templates
from messaging.services.errors import InvalidField
from messaging.text_templates import MissingVariable, Template
from scheduling import recipient_numbers
from scheduling.list_spool import ListSpool
from scheduling.models import Schedule, ScheduleRecipient
from scheduling.recipients_csv import (
    InvalidCsv,
    ListFormat,
    Read,
    Row,
    RowError,
    RowNote,
    check_readable,
    read_rows,
    refuse_without_good_row,
)
from scheduling.services import texts
from scheduling.services.errors import ScheduleEnded
from scheduling.services.recipient_insert import insert

CHUNK = 5_000
MAX_REPORTED_ERRORS = 10_000
MAX_REPORTED_NOTES = 1_000
TOO_MANY = "too_many_bad_rows"


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

    A list with too many bad rows is not read to its end; then `errors` says at which row as the last one, without counting it.
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

    @property
    def stopped(self) -> str:
        """Why the list was not read to its end; empty if it was."""
        return self.errors[-1].detail if self.errors and self.errors[-1].code == TOO_MANY else ""

    def stop(self, error: RowError) -> None:
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


def add(
    *, schedule_id: UUID, rows: Iterable[Listed], now: datetime, after_chunk: Callable[[], object] = lambda: None
) -> ImportReport:
    """Store the valid rows in chunks. A number that is already on the list counts as a duplicate and is not changed.

    Each chunk is one transaction, so after a crash the same list can be sent again. Raises `ScheduleEnded`.
    """
    report = ImportReport()
    for chunk in _chunks(rows):
        _add_chunk(schedule_id, chunk, report, now)
        after_chunk()
    return report


def examine(*, rows: Iterable[Listed], text: str, schedule_id: UUID | None, spool: ListSpool) -> ImportReport:
    """Like `add`, but store nothing: the rows that would be added go into the spool. Raises `ScheduleEnded`, `InvalidField`.

    `schedule_id` is None for a schedule that does not exist yet.
    """
    report, template = ImportReport(), compiled(text)
    if schedule_id is not None:
        _refuse_ended(Schedule.objects.get(pk=schedule_id))
    for chunk in _chunks(rows):
        valid = list(_valid(chunk, template, report))
        fresh = spool.add((each.number, each.variables) for each in valid)
        listed = ScheduleRecipient.objects.filter(schedule=schedule_id, number__in=fresh)
        added = len(fresh) - (listed.count() if schedule_id is not None else 0)
        report.added += added
        report.duplicates += len(valid) - added
    return report


def add_csv(
    *,
    schedule_id: UUID,
    stream: BinaryIO,
    now: datetime,
    form: ListFormat,
    after_chunk: Callable[[], object] = lambda: None,
) -> ImportReport:
    """Like `add`, from a seekable CSV file.

    The file is read twice: a file that cannot be read to its end raises `InvalidField` before any recipient is stored, and so
    does one whose first rows are nearly all bad.
    """
    form = for_text(form, texts.refreshed(schedule_id).text)
    with _reported():
        refuse_without_good_row(stream, form)
        stream.seek(0)
        check_readable(stream, form)
        stream.seek(0)
        rows = _of_csv(read_rows(stream, form))
        report = add(schedule_id=schedule_id, rows=rows, now=now, after_chunk=after_chunk)
    refuse_given_up(report)
    return report


def examine_csv(
    *, stream: BinaryIO, text: str, schedule_id: UUID | None, spool: ListSpool, form: ListFormat
) -> ImportReport:
    """Like `examine`, from a seekable CSV file. Raises `InvalidField` for a file that cannot be read to its end."""
    with _reported():
        rows = _of_csv(read_rows(stream, for_text(form, text)))
        return examine(rows=rows, text=text, schedule_id=schedule_id, spool=spool)


def for_text(form: ListFormat, text: str) -> ListFormat:
    """The format with the variables that the text uses. Raises `InvalidField` for a text or a country that is invalid."""
    check_country(form.country)
    return replace(form, used=compiled(text).variables)


def check_country(country: object) -> None:
    """Raises `InvalidField` for what is neither empty nor a country's two letters."""
    if country != "" and not (isinstance(country, str) and recipient_numbers.is_country(country)):
        raise InvalidField("default_country", "invalid", "Give the country as two letters, such as DE.")


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except InvalidCsv as error:
        raise InvalidField("file", error.code, str(error)) from None


def refuse_given_up(report: ImportReport) -> None:
    """Raise `InvalidField` for a list that was given up before it had a good row."""
    if report.stopped and not report.added + report.duplicates:
        raise InvalidField("file", TOO_MANY, report.stopped)


def _of_csv(rows: Iterable[Read]) -> Iterator[Listed]:
    try:
        for row in rows:
            yield Recipient(row.row, row.number, row.variables) if isinstance(row, Row) else row
    except InvalidCsv as error:
        if error.code != TOO_MANY:
            raise
        yield RowError(error.row, "", error.code, str(error))


def _chunks(rows: Iterable[Listed]) -> Iterator[list[Listed]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _valid(chunk: Iterable[Listed], template: Template, report: ImportReport) -> Iterator[Recipient]:
    for row in chunk:
        if isinstance(row, RowError):
            (report.stop if row.code == TOO_MANY else report.reject)(row)
        elif isinstance(row, RowNote):
            report.note(row)
        elif (error := check(row, template)) is not None:
            report.reject(error)
        else:
            yield row


def _refuse_ended(schedule: Schedule) -> None:
    if schedule.status in {Schedule.Status.CANCELED, Schedule.Status.COMPLETED}:
        raise ScheduleEnded(f"The schedule is {schedule.status}; no recipients can be added to it.")


def _add_chunk(schedule_id: UUID, chunk: list[Listed], report: ImportReport, now: datetime) -> None:
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update().filter(pk=schedule_id).first()
        if schedule is None:
            raise ScheduleEnded("The schedule was deleted; no recipients can be added to it.")
        _refuse_ended(schedule)
        texts.refresh(schedule)
        # Check against the text read under the lock: it may have changed since the list was sent.
        valid = list(_valid(chunk, compiled(schedule.text), report))
        added = insert(schedule_id, ((recipient.number, recipient.variables) for recipient in valid))
        Schedule.objects.filter(pk=schedule_id).update(recipient_count=F("recipient_count") + added, updated_at=now)
    report.added += added
    report.duplicates += len(valid) - added


def first_of_each_number(recipients: Iterable[Recipient]) -> dict[str, Recipient]:
    """Map each number to its first recipient, in order of first appearance."""
    unique: dict[str, Recipient] = {}
    for recipient in recipients:
        unique.setdefault(recipient.number, recipient)
    return unique
