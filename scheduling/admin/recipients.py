"""Who is on a schedule's list: how it is pasted, what became of each row, and the first of them on the page."""

import io
import re
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
from scheduling.models import Schedule
from scheduling.recipients_csv import RowError
from scheduling.services.recipients import ImportReport

SHOWN = 20
NAMED_ROWS = 20
KEPT_SECONDS = 3_600
COLUMNS = {name: lambda row, place=place: row[place] for place, name in enumerate(RowError._fields)}
_PIECE = re.compile(r"\+?\d[\d ().\-/]{4,}")


def as_csv(pasted: str) -> tuple[io.BytesIO, int]:
    """A pasted list as a file, and how many rows of that were not pasted: numbers alone get the header that they lack."""
    pieces = [piece.strip() for piece in re.split(r"[\n,;]", pasted)]
    numbers = [piece for piece in pieces if piece]
    if numbers and all(_PIECE.fullmatch(number) for number in numbers):
        return io.BytesIO("\n".join(["to", *numbers]).encode()), 1
    text = pasted.lstrip()
    has_header = not text.startswith("+")
    return io.BytesIO((text if has_header else f"to\n{text}").encode()), 0 if has_header else 1


def in_words(error: RowError) -> str:
    return f"Row {error.row}, {error.field}: {error.detail}" if error.field else f"Row {error.row}: {error.detail}"


def named(report: ImportReport) -> list[str]:
    """The first bad rows, and how many there are beside them."""
    rows = [in_words(error) for error in report.errors[:NAMED_ROWS]]
    return rows if report.rejected <= len(rows) else [*rows, f"and {report.rejected - len(rows):,} more rows"]


def tell(request: HttpRequest, schedule: Schedule, report: ImportReport) -> None:
    """What became of a list that was given."""
    said = [f"{report.added:,} added to the list"]
    if report.duplicates:
        said.append(f"{report.duplicates:,} on it already")
    if not report.rejected:
        messages.success(request, f"{', '.join(said)}.")
        return
    said.append(f"{report.rejected:,} bad {'row' if report.rejected == 1 else 'rows'} left out")
    lines = format_html_join("", "<br>{}", ((line,) for line in named(report)))
    link = _link(request, schedule, report)
    messages.warning(request, format_html("{}:{}{}", ", ".join(said), lines, link))


def _link(request: HttpRequest, schedule: Schedule, report: ImportReport) -> SafeString:
    cache.set(_key(request, schedule.pk), [tuple(error) for error in report.errors], KEPT_SECONDS)
    url = reverse("admin:scheduling_schedule_bad_rows", args=[schedule.pk])
    return format_html('<br><a class="sb-link" href="{}" download>All bad rows as CSV</a>', url)


def bad_rows(request: HttpRequest, object_id: UUID, model_admin: Any) -> StreamingHttpResponse:
    """For an hour, and for whoever has given the list."""
    if not model_admin.has_view_or_change_permission(request):
        raise PermissionDenied
    rows = cache.get(_key(request, object_id))
    if rows is None:
        raise Http404
    return csv_export.stream(rows, COLUMNS, filename="bad-rows.csv")


def _key(request: HttpRequest, schedule_id: UUID) -> str:
    return f"console:bad-rows:{request.user.pk}:{schedule_id}"


def first_of(schedule: Schedule, *, readable: bool) -> SafeString | str:
    """How many there are and the first of them; their variables are parts of texts."""
    rows = schedule.recipients.order_by("pk").values_list("number", "variables")[:SHOWN]
    lines = [(number, _variables(variables, readable=readable)) for number, variables in rows]
    if schedule.recipient_count > len(lines):
        lines.append((f"and {schedule.recipient_count - len(lines):,} more", ""))
    head = f"{schedule.recipient_count:,} {'person' if schedule.recipient_count == 1 else 'people'}"
    return format_html("{}{}", head, format_html_join("", '<br>{} <span class="sb-muted">{}</span>', lines))


def _variables(variables: dict[str, str], *, readable: bool) -> str:
    return ", ".join(f"{name}: {value if readable else HIDDEN}" for name, value in variables.items())
