"""The recipients of a schedule in the console: pasted lists, the report of an import, and the first recipients."""

import io
import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from messaging.console import csv_export
from messaging.services.representation import HIDDEN
from providers.numbers import plain
from scheduling.models import Schedule
from scheduling.recipients_csv import RowError, RowNote
from scheduling.services.recipients import ImportReport

SHOWN = 20
NAMED_ROWS = 20
KEPT_SECONDS = 3_600
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


def rejected_rows(report: ImportReport) -> list[str]:
    """Return a line for each of the first rejected rows, and one with the number of the others."""
    lines = [_line(error) for error in report.errors[:NAMED_ROWS]]
    return lines if report.rejected <= len(lines) else [*lines, f"and {report.rejected - len(lines):,} more rows"]


def show_report(request: HttpRequest, schedule: Schedule, report: ImportReport) -> None:
    """Show how many recipients were added, and the rejected rows."""
    counts = [f"{report.added:,} added to the list"]
    if report.duplicates:
        counts.append(f"{report.duplicates:,} already on it")
    if report.notes:
        notes = format_html_join("", "<br>{}", ((_line(note),) for note in report.notes[:NAMED_ROWS]))
        messages.info(request, format_html("Decided for you:{}", notes))
    if not report.rejected:
        messages.success(request, f"{', '.join(counts)}.")
        return
    counts.append(f"{report.rejected:,} invalid {'row' if report.rejected == 1 else 'rows'} not added")
    lines = format_html_join("", "<br>{}", ((line,) for line in rejected_rows(report)))
    link = _link(request, schedule, report)
    messages.warning(request, format_html("{}:{}{}", ", ".join(counts), lines, link))


def _link(request: HttpRequest, schedule: Schedule, report: ImportReport) -> SafeString:
    cache.set(_key(request, schedule.pk), [tuple(error) for error in report.errors], KEPT_SECONDS)
    url = reverse("admin:scheduling_schedule_bad_rows", args=[schedule.pk])
    return format_html('<br><a class="sb-link" href="{}" download>All invalid rows as CSV</a>', url)


def bad_rows(request: HttpRequest, object_id: UUID, model_admin: Any) -> StreamingHttpResponse:
    """Download the rejected rows. They are kept for an hour and only for the user who imported the list."""
    if not model_admin.has_view_or_change_permission(request):
        raise PermissionDenied
    rows = cache.get(_key(request, object_id))
    if rows is None:
        raise Http404
    return csv_export.stream(rows, COLUMNS, filename="bad-rows.csv")


def _key(request: HttpRequest, schedule_id: UUID) -> str:
    return f"console:bad-rows:{request.user.pk}:{schedule_id}"


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
