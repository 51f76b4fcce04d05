"""The list that comes with the schedule's form: read before the form's transaction, and saved after it.

Reading 200,000 rows takes seconds, and meanwhile SQLite takes no other write. A list without a fault is saved at once; any
other one waits on a page of its own (`list_check`), as does one that the user wants to see first.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, cast
from uuid import UUID

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from messaging.console.attached import Attached
from messaging.console.staff import staff_of
from messaging.services.errors import DomainError, InvalidField
from scheduling.admin.recipient_list import show_report, to_csv
from scheduling.list_spool import ListSpool
from scheduling.models import ListImport, Schedule
from scheduling.recipient_numbers import is_country
from scheduling.recipients_csv import InvalidCsv, columns_of
from scheduling.services import list_imports, recipients
from scheduling.services.list_imports import Checked, ListMapping

MAX_FILE_BYTES = 50 * 1024 * 1024
CHECK_FIRST = "check_first"
PASTED = "pasted list"


@dataclass(slots=True)
class SentList:
    """A list in a request. `error` is why it is no list; else `checked` is what was read. `saved_as` is its row."""

    stream: BinaryIO
    file_name: str
    mapping: ListMapping
    row_offset: int
    spool: ListSpool
    error: InvalidField | None = None
    checked: Checked | None = None
    is_sure: bool = True
    saved_as: ListImport | None = None

    @property
    def has_rows(self) -> bool:
        found = self.checked
        return found is not None and bool(
            found.problem or found.report.added or found.report.duplicates or found.report.rejected
        )


SENT = Attached["SentList | None"]("schedule_list")


def read(request: HttpRequest, schedule_id: UUID | None) -> None:
    """Read the list in the request, if there is one, and attach it. What the form refuses anyway is not read."""
    SENT.set(request, _sent(request))
    sent = SENT.of(request)
    if sent is None:
        return
    text = request.POST.get("text", "")
    try:
        sent.checked = list_imports.check(
            sent.stream, mapping=sent.mapping, text=text, schedule_id=schedule_id, spool=sent.spool
        )
        sent.stream.seek(0)
        with suppress(InvalidCsv):
            sent.is_sure = columns_of(sent.stream, recipients.for_text(sent.mapping.format(), text)).is_sure
    except InvalidField as error:
        sent.error = error
    except DomainError as error:  # the schedule has ended
        sent.error = InvalidField("", error.code, error.detail)


def _sent(request: HttpRequest) -> SentList | None:
    upload, pasted = request.FILES.get("file"), request.POST.get("pasted", "")
    country = request.POST.get("country", "").strip().upper()
    if bool(upload) == bool(pasted.strip()) or (country and not is_country(country)):
        return None
    mapping = ListMapping(to_column=request.POST.get("to_column", "")[:200], country=country)
    if not isinstance(upload, UploadedFile):
        stream, row_offset = to_csv(pasted)
        return SentList(stream, PASTED, mapping, row_offset, ListSpool())
    if (upload.size or 0) > MAX_FILE_BYTES:
        return None
    # django-stubs allow a file that is None, which an upload never has.
    return SentList(cast("BinaryIO", upload.file), upload.name or "a file", mapping, 0, ListSpool())


def record(request: HttpRequest, schedule: Schedule, *, is_new: bool) -> None:
    """Record the list with the schedule, in the form's transaction. Raises `InvalidField` for what is no list."""
    sent = SENT.of(request)
    if sent is None:
        return
    if sent.error is not None:
        raise sent.error
    if sent.checked is None or not sent.has_rows:
        raise InvalidField("file", "empty", "Give at least one recipient.")
    sent.saved_as = list_imports.begin(
        schedule=schedule,
        actor=staff_of(request),
        file_name=sent.file_name,
        mapping=sent.mapping,
        row_offset=sent.row_offset,
        checked=sent.checked,
        is_new=is_new,
        now=timezone.now(),
    )


def finish(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """After the form's transaction: save the list, or redirect to its page."""
    sent = SENT.of(request)
    if sent is None or sent.saved_as is None or sent.checked is None:
        return response
    found = sent.saved_as
    sent.stream.seek(0)
    list_imports.store(found.pk, sent.stream)
    if sent.checked.is_clean and sent.is_sure and not request.POST.get(CHECK_FIRST):
        try:
            _, report = list_imports.save_spooled(
                list_id=found.pk, actor=staff_of(request), clock=timezone.now, spool=sent.spool, checked=sent.checked
            )
        except DomainError as error:  # another one has canceled the schedule, or discarded the list
            messages.error(request, error.detail)
            return HttpResponseRedirect(page_of(found))
        show_report(request, report, sent.row_offset)
        return response
    return HttpResponseRedirect(page_of(found))


def close(request: HttpRequest) -> None:
    sent = SENT.of(request)
    if sent is not None:
        sent.spool.close()


def page_of(found: ListImport) -> str:
    return reverse("admin:scheduling_schedule_list", args=[found.schedule_id, found.pk])
