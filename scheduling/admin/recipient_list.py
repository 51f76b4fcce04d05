"""The recipients of a schedule in the console: pasted lists, what became of a list, and the first recipients."""

import io
import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from messaging.console import csv_export
from messaging.console.staff import staff_of
from messaging.services.representation import HIDDEN
from providers.numbers import plain
from scheduling.models import ListImport, Schedule
from scheduling.recipients_csv import RowError, RowNote
from scheduling.services.recipients import ImportReport

SHOWN = 20
NAMED_ROWS = 20
COLUMNS: dict[str, Callable[[Any], Any]] = {name: itemgetter(index) for index, name in enumerate(RowError._fields)}
_NUMBER = re.compile(r"\+?\d{5,}")


def to_csv(pasted: str) -> tuple[io.BytesIO, int]:
    """Convert a pasted list to a CSV file; returns it and how many rows were added: 1 if the header was missing, else 0."""
    pieces = [piece.strip() for piece in re.split(r"[\n,;]", pasted)]
    numbers = [piece for piece in pieces if piece]
    if numbers and all(_is_number(number) for number in numbers):
        return io.BytesIO("\n".join(["to", *numbers]).encode()), 1
    text = pasted.lstrip()
    first_line, _, _ = text.partition("\n")
    has_header = not any(_is_number(cell) for cell in re.split(r"[,;\t]", first_line))
    return io.BytesIO((text if has_header else f"to\n{text}").encode()), 0 if has_header else 1


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(plain(text).replace("/", "")) is not None


def _line(error: RowError | RowNote) -> str:
    return f"Row {error.row}, {error.field}: {error.detail}" if error.field else f"Row {error.row}: {error.detail}"


def show_report(request: HttpRequest, report: ImportReport, row_offset: int) -> None:
    """Show how many recipients were added, and what was decided for the user."""
    counts = [f"{report.added:,} added to the list"]
    if report.duplicates:
        counts.append(f"{report.duplicates:,} already on it")
    if report.rejected:
        counts.append(f"{report.rejected:,} invalid {'row' if report.rejected == 1 else 'rows'} not added")
    if report.notes:
        messages.info(request, format_html("Decided for you:{}", note_lines(report.notes, row_offset)))
    messages.success(request, f"{', '.join(counts)}.")


def note_lines(notes: Sequence[RowNote], row_offset: int = 0) -> SafeString:
    """One line for each of the first notes. `row_offset` is how many rows were put before a pasted list."""
    shown = (note._replace(row=note.row - row_offset) for note in notes[:NAMED_ROWS])
    return format_html_join("", "<br>{}", ((_line(note),) for note in shown))


def may_decide(request: HttpRequest, found: ListImport) -> bool:
    """Staff that may change schedules decide, and staff that may add them about their own lists."""
    user = staff_of(request)
    is_own = found.actor_id == user.pk and user.has_perm("scheduling.add_schedule")
    return is_own or user.has_perm("scheduling.change_schedule")


def bad_rows(request: HttpRequest, object_id: UUID, list_id: UUID, model_admin: Any) -> StreamingHttpResponse:
    """Download the refused rows of a list: the first 10,000, without what the rows have."""
    found = ListImport.objects.select_related("schedule").filter(pk=list_id, schedule=object_id).first()
    if found is None:
        raise Http404
    if not (may_decide(request, found) or model_admin.has_view_permission(request, found.schedule)):
        raise PermissionDenied
    return csv_export.stream(found.refusals, COLUMNS, filename="bad-rows.csv")


def first_recipients(schedule: Schedule, *, readable: bool) -> SafeString:
    """Show the number of recipients and the first of them. Variables are parts of texts, hidden unless `readable`."""
    rows = schedule.recipients.order_by("pk").values_list("number", "variables")[:SHOWN]
    lines = [(number, _variables(variables, readable=readable)) for number, variables in rows]
    if schedule.recipient_count > len(lines):
        lines.append((f"and {schedule.recipient_count - len(lines):,} more", ""))
    head = f"{schedule.recipient_count:,} {'recipient' if schedule.recipient_count == 1 else 'recipients'}"
    return format_html("{}{}", head, format_html_join("", '<br>{} <span class="sb-muted">{}</span>', lines))


def _variables(variables: dict[str, str], *, readable: bool) -> str:
    return ", ".join(f"{name}: {value if readable else HIDDEN}" for name, value in variables.items())
