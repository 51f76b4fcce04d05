"""Lists that staff send: checked first, then saved or discarded. Nothing of a list is on the schedule before it is saved."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Final, Self
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet

from messaging.services.errors import InvalidField
from scheduling.csv_columns import ChosenColumns
from scheduling.list_spool import ListSpool
from scheduling.models import ListImport, Schedule
from scheduling.recipients_csv import ListFormat
from scheduling.services import list_files, recipients, schedules
from scheduling.services.errors import ListDecided, ListNotSaved
from scheduling.services.recipients import ImportReport

# Extended with each chunk, which takes a second at most.
LEASE = timedelta(seconds=60)
# With these, another choice of the columns helps; any other file that cannot be read is no list.
ABOUT_COLUMNS: Final[Mapping[str, str]] = {
    "missing_to": "No column is known to have the numbers: choose it.",
    "duplicate_column": "Two columns have the name of the numbers, or of a variable that the text needs: choose one.",
}
MAX_NAME = 100
Status = ListImport.Status


@dataclass(frozen=True, slots=True)
class ListMapping:
    """How a list is read: its country, and its columns by name or, where a person chose them on the page, by position."""

    to_column: str = ""
    country: str = ""
    to: int | None = None
    variables: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, found: ListImport) -> Self:
        return cls(**found.mapping)

    def format(self) -> ListFormat:
        chosen = ChosenColumns(self.to, self.variables)
        return ListFormat(to_column=self.to_column, country=self.country, chosen=chosen)

    def stored(self) -> dict[str, Any]:
        return asdict(self) | {"variables": dict(self.variables)}


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of reading a list without storing it. `problem` is why it cannot be read with these columns, or not whole."""

    report: ImportReport
    problem: str = ""

    @property
    def is_clean(self) -> bool:
        return not self.problem and not self.report.rejected


def check(stream: Any, *, mapping: ListMapping, text: str, schedule_id: UUID | None, spool: ListSpool) -> Checked:
    """Read the list. Raises `InvalidField` for a file that no choice of columns makes a list."""
    try:
        report = recipients.examine_csv(
            stream=stream, text=text, schedule_id=schedule_id, spool=spool, form=mapping.format()
        )
    except InvalidField as error:
        if error.field_code not in ABOUT_COLUMNS:
            raise
        return Checked(ImportReport(), ABOUT_COLUMNS[error.field_code])
    return Checked(report, report.stopped)


def begin(
    *,
    schedule: Schedule,
    actor: User,
    file_name: str,
    mapping: ListMapping,
    row_offset: int,
    checked: Checked,
    is_new: bool,
    now: datetime,
) -> ListImport:
    """Record the list, in the caller's transaction. A new schedule is paused until its list is saved."""
    if is_new:
        schedules.pause(schedule_id=schedule.pk, now=schedule.updated_at)
    found = ListImport(
        schedule=schedule,
        actor=actor,
        created_at=now,
        file_name=file_name[:MAX_NAME],
        mapping=mapping.stored(),
        row_offset=row_offset,
        activates=is_new or _still_waits(schedule),
    )
    _set_counts(found, checked.report, checked.problem)
    found.save(force_insert=True)
    return found


def _still_waits(schedule: Schedule) -> bool:
    """Whether the schedule is paused because its first list was discarded, or is not saved."""
    if schedule.status != Schedule.Status.PAUSED or schedule.recipient_count:
        return False
    return schedule.imports.filter(activates=True).exclude(status=Status.SAVED).exists()


def store(list_id: UUID, stream: BinaryIO) -> None:
    """Store the file of a list that was recorded. It does not stay if the list was discarded meanwhile, as an erasure does."""
    list_files.put(list_id, stream)
    if not waiting().filter(pk=list_id).exists():
        list_files.remove(list_id)


def check_again(*, list_id: UUID, mapping: ListMapping, now: datetime) -> ListImport:
    """Read the waiting file with another mapping. Raises `ListDecided`, `ListUnreadable` or `InvalidField`."""
    found = _waiting(list_id, now)
    with list_files.opened(list_id) as stream, ListSpool() as spool:
        checked = check(stream, mapping=mapping, text=found.schedule.text, schedule_id=found.schedule_id, spool=spool)
    _set_counts(found, checked.report, checked.problem)
    found.mapping = mapping.stored()
    fields = ("taken", "duplicates", "refused", "refusals", "problem", "mapping")
    if not _free(list_id, now).update(**{name: getattr(found, name) for name in fields}):
        raise _decided(list_id)
    return found


def save(*, list_id: UUID, actor: User, clock: Callable[[], datetime]) -> tuple[ListImport, ImportReport]:
    """Add the recipients of the waiting list, then start a schedule that waits for it.

    A save that was interrupted can be repeated: what it has stored counts as duplicates then. Raises `ListDecided`,
    `ListUnreadable`, `ScheduleEnded`, or `InvalidField` for a list without a good row.
    """

    def add(found: ListImport) -> ImportReport:
        with list_files.opened(list_id) as stream:
            return recipients.add_csv(
                schedule_id=found.schedule_id,
                stream=stream,
                now=clock(),
                form=ListMapping.of(found).format(),
                after_chunk=lambda: _extend(list_id, clock()),
            )

    return _save(list_id, actor, clock, add)


def save_spooled(
    *, list_id: UUID, actor: User, clock: Callable[[], datetime], spool: ListSpool, checked: Checked
) -> tuple[ListImport, ImportReport]:
    """Like `save`, with what was read a moment ago."""

    def add(found: ListImport) -> ImportReport:
        rows = (recipients.Recipient(0, number, variables) for number, variables in spool.recipients())
        report = recipients.add(
            schedule_id=found.schedule_id, rows=rows, now=clock(), after_chunk=lambda: _extend(list_id, clock())
        )
        # The spool has each number once, also those that were on the schedule's list already.
        report.duplicates = checked.report.added + checked.report.duplicates - report.added - report.rejected
        report.notes = checked.report.notes
        return report

    return _save(list_id, actor, clock, add)


def _save(
    list_id: UUID, actor: User, clock: Callable[[], datetime], add: Callable[[ListImport], ImportReport]
) -> tuple[ListImport, ImportReport]:
    now = clock()
    if not _free(list_id, now).update(saving_until=now + LEASE):
        raise _decided(list_id)
    found = ListImport.objects.select_related("schedule").get(pk=list_id)
    try:
        report = add(found)
        _refuse_empty(report)
        _finish(found, report, actor, clock())
    except BaseException:
        ListImport.objects.filter(pk=list_id).update(saving_until=None)
        raise
    return found, report


def _refuse_empty(report: ImportReport) -> None:
    if not report.added + report.duplicates:
        raise InvalidField("file", "no_recipients", "No row of this list can be taken.")


def _finish(found: ListImport, report: ImportReport, actor: User, now: datetime) -> None:
    _set_counts(found, report, report.stopped)
    found.status, found.decided_at, found.decided_by, found.saving_until = Status.SAVED, now, actor, None
    with transaction.atomic():
        if not waiting().select_for_update().filter(pk=found.pk).exists():
            raise _decided(found.pk)
        found.save()
        if found.activates:
            _activate(found.schedule_id, now)
        # A fault of the storage must not undo this: the sweep removes the file later.
        transaction.on_commit(lambda: list_files.remove(found.pk), robust=True)


def _activate(schedule_id: UUID, now: datetime) -> None:
    """Start a schedule that is paused for its list. It stays paused while another such list waits."""
    # The lock comes after the list is saved: of two lists that are saved at once, the second one starts the schedule.
    if Schedule.objects.select_for_update().filter(pk=schedule_id, status=Schedule.Status.PAUSED).first():
        with suppress(ListNotSaved):
            schedules.resume(schedule_id=schedule_id, now=now)


def discard(*, list_id: UUID, actor: User | None, now: datetime) -> None:
    """Remove the waiting list. Raises `ListDecided`."""
    with transaction.atomic():
        changes = {"status": Status.DISCARDED, "decided_at": now, "decided_by": actor, "saving_until": None}
        if not _free(list_id, now).update(**changes):
            raise _decided(list_id)
        transaction.on_commit(lambda: list_files.remove(list_id), robust=True)


def waiting() -> QuerySet[ListImport]:
    return ListImport.objects.filter(status=Status.CHECKED)


def _waiting(list_id: UUID, now: datetime) -> ListImport:
    found = _free(list_id, now).select_related("schedule").first()
    if found is None:
        raise _decided(list_id)
    return found


def _free(list_id: UUID, now: datetime) -> QuerySet[ListImport]:
    return waiting().filter(Q(saving_until=None) | Q(saving_until__lte=now), pk=list_id)


def _extend(list_id: UUID, now: datetime) -> None:
    if not waiting().filter(pk=list_id).update(saving_until=now + LEASE):
        raise _decided(list_id)  # it took longer than the lease


def _decided(list_id: UUID) -> ListDecided:
    found = ListImport.objects.select_related("decided_by").filter(pk=list_id).first()
    if found is None:
        return ListDecided("This list was deleted with its schedule.")
    if found.status == Status.CHECKED:
        return ListDecided("This list is being saved at the moment.")
    by = f" by {found.decided_by}" if found.decided_by else ""
    return ListDecided(f"This list was {found.status} already{by}.")


def _set_counts(found: ListImport, report: ImportReport, problem: str) -> None:
    found.taken, found.duplicates, found.refused = report.added, report.duplicates, report.rejected
    found.refusals = [
        [max(row - found.row_offset, 1), field, code, detail] for row, field, code, detail in report.errors
    ]
    found.problem = problem
