"""The page of a list of recipients: what would be saved, with which columns, and the decision."""

from typing import Any
from uuid import UUID

import phonenumbers
from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from messaging.admin import text_privacy
from messaging.console import audit
from messaging.console.forms import StyledForm, set_choices, style
from messaging.console.staff import staff_of
from messaging.models.encrypted import fault_of
from messaging.services.errors import DomainError
from messaging.services.representation import HIDDEN
from providers.numbers import COUNTRIES
from scheduling.admin.list_upload import page_of
from scheduling.admin.recipient_list import may_decide, note_lines
from scheduling.models import ListImport, Schedule
from scheduling.services import list_imports, recipients, texts
from scheduling.services.dates import ENDED
from scheduling.services.list_imports import ListMapping
from scheduling.services.list_preview import ListPreview, preview

SHOWN_IMPORTS = 20
SHOWN_REFUSALS = 20
MAX_LABEL = 60
VARIABLE = "variable_"
FOUND = "by its name"
MISSING = "no such column"
TONES = {"checked": "warn", "saved": "good", "discarded": "info"}


class MappingForm(StyledForm):
    """Which columns the list has. Positions are those of the header; an empty choice lets the name decide."""

    to = forms.ChoiceField(required=False, label="Column with the numbers")
    country = forms.ChoiceField(required=False, label="Country of numbers without +")

    def __init__(self, *args: Any, shown: ListPreview, needed: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        columns = [(str(place), _label(place, name)) for place, name in enumerate(shown.header)]
        set_choices(self.fields["to"], [("", "choose …"), *columns] if shown.to is None else columns)
        codes = ((code, phonenumbers.country_code_for_region(code)) for code in sorted(COUNTRIES))
        set_choices(self.fields["country"], [("", "none: refuse them"), *((c, f"{c} (+{n})") for c, n in codes)])
        for name in needed:
            empty = FOUND if name in shown.variables else MISSING
            field = forms.ChoiceField(required=False, label=f"{{{name}}}", choices=[("", empty), *columns])
            self.fields[VARIABLE + name] = field
            style(field)

    def variables(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(VARIABLE)]

    def mapping(self, stored: ListMapping) -> ListMapping:
        """The mapping as chosen. Call after `is_valid()`."""
        cleaned = self.cleaned_data
        chosen = {
            name.removeprefix(VARIABLE): int(value)
            for name, value in cleaned.items()
            if name.startswith(VARIABLE) and value
        }
        to = int(cleaned["to"]) if cleaned["to"] else None
        # A column that is found by its name stays found so, unless another one is chosen.
        to = stored.to if str(to) == self.initial["to"] else to
        return ListMapping(stored.to_column, cleaned["country"], to, chosen)


def _label(place: int, name: str) -> str:
    return f"{place + 1}: {name.strip()[:MAX_LABEL] or '(no name)'}"


def list_page(request: HttpRequest, object_id: UUID, list_id: UUID, model_admin: Any) -> HttpResponse:
    rows = ListImport.objects.select_related("schedule", "actor", "decided_by")
    found = rows.filter(pk=list_id, schedule=object_id).first()
    if found is None:
        raise Http404
    is_decider = may_decide(request, found)
    if not (is_decider or model_admin.has_view_permission(request, found.schedule)):
        raise PermissionDenied
    if request.method == "POST":
        if not is_decider:
            raise PermissionDenied
        return _act(request, found)
    return _shown(request, found, model_admin, is_decider=is_decider)


def _act(request: HttpRequest, found: ListImport) -> HttpResponse:
    try:
        if "discard" in request.POST:
            return _discard(request, found)
        return _check_or_save(request, found)
    except DomainError as error:
        messages.error(request, error.detail)
        return HttpResponseRedirect(page_of(found))


# The audit log names lists by their ids: names of files may be those of people, and are forgotten after a time.
def _discard(request: HttpRequest, found: ListImport) -> HttpResponse:
    list_imports.discard(list_id=found.pk, actor=staff_of(request), now=timezone.now())
    audit.record(staff_of(request), [found.schedule], f"List {found.pk} discarded")
    messages.info(request, _after_discard(found))
    return HttpResponseRedirect(_next_page(request, found))


def _after_discard(found: ListImport) -> str:
    if not found.activates:
        return "The list is discarded. The schedule keeps the recipients that it has."
    if _others_wait(found):
        return "The list is discarded. The schedule is paused until its other list is saved or discarded."
    if found.schedule.recipient_count:
        return "The list is discarded. The schedule is paused: resume it, or add another list."
    return "The list is discarded. The schedule is paused and has no recipients: add another list, or delete it."


def _others_wait(found: ListImport) -> bool:
    return list_imports.waiting().filter(schedule=found.schedule_id, activates=True).exclude(pk=found.pk).exists()


def _check_or_save(request: HttpRequest, found: ListImport) -> HttpResponse:
    stored = ListMapping.of(found)
    if found.status == ListImport.Status.CHECKED:
        form = _form(found, preview(found.pk, mapping=stored, text=found.schedule.text), request.POST)
        if not form.is_valid():
            messages.error(request, "This choice does not fit the list. Nothing has changed.")
            return HttpResponseRedirect(page_of(found))
        if (mapping := form.mapping(stored)) != stored or "save" not in request.POST:
            list_imports.check_again(list_id=found.pk, mapping=mapping, now=timezone.now())
            if "save" in request.POST:
                messages.warning(request, "The columns have changed: look at the list again, then save it.")
            return HttpResponseRedirect(page_of(found))
    return _save(request, found)


def _save(request: HttpRequest, found: ListImport) -> HttpResponse:
    was_due = found.activates and _is_due(found.schedule)
    saved, report = list_imports.save(list_id=found.pk, actor=staff_of(request), clock=timezone.now)
    audit.record(staff_of(request), [found.schedule], f"List {saved.pk} saved: {report.added:,} added")
    if report.notes:
        messages.info(request, format_html("Decided for you:{}", note_lines(report.notes, found.row_offset)))
    already = f", {report.duplicates:,} already on it" if report.duplicates else ""
    others_wait = found.activates and _others_wait(found)
    active = " The schedule is active." if found.activates else ""
    waits = " The schedule is paused until its other list is saved or discarded."
    messages.success(request, f"{report.added:,} added to the list{already}.{waits if others_wait else active}")
    if report.rejected > found.refused:
        more = report.rejected - found.refused
        messages.warning(request, f"The text has changed since the list was checked: {more:,} more refused.")
    if was_due and not others_wait:
        messages.warning(request, _late(found.schedule))
    return HttpResponseRedirect(_next_page(request, found))


def _is_due(schedule: Schedule) -> bool:
    return schedule.next_run_at is not None and schedule.next_run_at <= timezone.now()


def _late(schedule: Schedule) -> str:
    return (
        f"The run of {schedule.next_run_at:%d %b %Y %H:%M} UTC came due while the list waited. It starts late, or is recorded"
        f" as missed if it is more than {settings.SCHEDULE_MAX_LATENESS // 60} minutes late or the schedule makes up for no"
        " missed runs."
    )


def _next_page(request: HttpRequest, found: ListImport) -> str:
    return _page_of_schedule(request, found) or page_of(found)


def _page_of_schedule(request: HttpRequest, found: ListImport) -> str:
    """Empty for staff that may only add schedules."""
    user = staff_of(request)
    if not (user.has_perm("scheduling.view_schedule") or user.has_perm("scheduling.change_schedule")):
        return ""
    return reverse("admin:scheduling_schedule_change", args=[found.schedule_id])


def _form(found: ListImport, shown: ListPreview, data: Any = None) -> MappingForm:
    mapping = ListMapping.of(found)
    initial = {
        "to": "" if shown.to is None else str(shown.to),
        "country": mapping.country,
        **{VARIABLE + name: str(place) for name, place in mapping.variables.items()},
    }
    texts.refresh(found.schedule)
    needed = sorted(recipients.compiled(found.schedule.text).variables)
    return MappingForm(data, initial=initial, shown=shown, needed=needed)


def _shown(request: HttpRequest, found: ListImport, model_admin: Any, *, is_decider: bool) -> HttpResponse:
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "model_admin": model_admin,
        "content_title": "List of recipients",
        "title": "List of recipients",
        "schedule": found.schedule,
        "schedule_url": _page_of_schedule(request, found),
        "list": found,
        "tone": TONES[found.status],
        "may_decide": is_decider and found.status == ListImport.Status.CHECKED,
        "refusals": found.refusals[:SHOWN_REFUSALS],
        "more_refusals": max(found.refused - SHOWN_REFUSALS, 0),
        "late": _late(found.schedule) if found.activates and _is_due(found.schedule) else "",
    }
    if found.status == ListImport.Status.CHECKED and found.schedule.status in ENDED:
        context["unreadable"] = f"The schedule is {found.schedule.status}; no recipients can be added to it."
    elif found.status == ListImport.Status.CHECKED and fault_of(found.schedule, "text") is None:
        try:
            shown = preview(found.pk, mapping=ListMapping.of(found), text=found.schedule.text)
            context |= {"form": _form(found, shown), **_table(shown, found.row_offset, readable=_may_read(request))}
        except DomainError as error:
            context["unreadable"] = error.detail
    return TemplateResponse(request, "admin/scheduling/schedule/list.html", context)


def _may_read(request: HttpRequest) -> bool:
    return text_privacy.may_read(staff_of(request))


def _table(shown: ListPreview, row_offset: int, *, readable: bool) -> dict[str, Any]:
    """What the page shows of the first rows, numbered as they were pasted. Values of variables are parts of texts."""
    rows = [
        {
            "row": row._replace(row=row.row - row_offset),
            "variables": [(name, each if readable else HIDDEN) for name, each in row.variables.items()],
            "text": row.text if readable or row.text is None else HIDDEN,
        }
        for row in shown.rows
    ]
    raw = [shown.header, *shown.cells] if not shown.rows and readable else []
    return {"rows": rows, "raw": raw}


def imports_of(schedule: Schedule) -> dict[str, Any]:
    """The newest lists of a schedule, for its page."""
    newest = list(
        schedule.imports.select_related("actor", "decided_by").defer("refusals").order_by("-pk")[:SHOWN_IMPORTS]
    )
    lists = [{"list": each, "tone": TONES[each.status], "url": page_of(each)} for each in newest]
    waits = schedule.status == Schedule.Status.PAUSED and any(
        each.status == ListImport.Status.CHECKED and each.activates for each in newest
    )
    return {"lists": lists, "waits_for_list": waits}
