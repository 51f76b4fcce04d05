"""Row actions: what staff can do to rows. Each needs a reason, calls a service and is recorded in the audit log.

An action is chosen in the list or on a row's page. A page of its own asks for the reason; afterwards a message says how many
rows changed, and how many did not and why.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from messaging.console import audit
from messaging.console.bases import UnfoldModelAdmin
from messaging.console.forms import StyledForm
from messaging.console.staff import staff_of

MAX_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class RowAction:
    """`run(pk, user, reason)` returns the changed row, or raises one of `refusals`, whose `detail` is shown to staff.

    `done` completes the sentence "3 messages …", and may depend on the changed rows. `warning` is shown where the reason is
    asked for. `after` is called once with all changed rows.
    """

    name: str
    title: str
    done: str | Callable[[list[Any]], str]
    permission: str
    icon: str
    run: Callable[[Any, User, str], Model]
    refusals: type[Exception] | tuple[type[Exception], ...] = ()
    warning: str = ""
    is_danger: bool = False
    after: Callable[[list[Any]], None] | None = None
    is_available: Callable[[Any], bool] = lambda _row: True


class ReasonForm(StyledForm):
    reason = forms.CharField(
        max_length=audit.MAX_REASON,
        widget=forms.Textarea(attrs={"rows": 2, "autofocus": True}),
        help_text="Recorded in the audit log. Do not quote message texts here.",
    )


class RowActionsAdmin(UnfoldModelAdmin):
    """A ModelAdmin that offers its `row_actions` to users with their permission."""

    row_actions: ClassVar[tuple[RowAction, ...]] = ()

    def row_actions_for(self, user: User, row: Any = None) -> list[RowAction]:
        """Return the actions the user may take: on this row, or on any row if None."""
        return [
            action
            for action in self.row_actions
            if user.has_perm(action.permission) and (row is None or action.is_available(row))
        ]

    def page_links(self, request: HttpRequest, obj: Any) -> list[dict[str, str]]:
        """Return links to further pages about the row, each with `title`, `icon` and `url`."""
        return []

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add a button to the row's page for each action that is available."""
        obj = kwargs.get("obj")
        more = {
            "page_actions": self.row_actions_for(staff_of(request), obj) if obj is not None else [],
            "page_links": self.page_links(request, obj) if obj is not None else [],
            "row_actions_url": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"),
        }
        return super().render_change_form(request, {**context, **more}, *args, **kwargs)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:  # the stubs' type depends on the Django version
        actions: dict[str, Any] = super().get_actions(request)
        if request.user.is_authenticated:
            for action in self.row_actions_for(request.user):
                actions[action.name] = (_handler(action), action.name, action.title)
        return actions


def _handler(action: RowAction) -> Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse]:
    def handle(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return _ask_or_run(model_admin, request, queryset, action)

    return handle


def _ask_or_run(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any], action: RowAction) -> HttpResponse:
    back = _return_url(request)
    form = ReasonForm(request.POST if "reason" in request.POST else None)
    if form.is_valid():
        _run(model_admin, request, queryset, action, form.cleaned_data["reason"])
        return HttpResponseRedirect(back)
    rows = list(queryset[: MAX_ROWS + 1])
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"{action.title}?",
        "row_action": action,
        "form": form,
        "rows": [(model_admin.title_of(row), row) for row in rows[:10]],
        "more": len(rows[:MAX_ROWS]) - len(rows[:10]),
        "selected": [str(row.pk) for row in rows[:MAX_ROWS]],
        "checkbox_name": ACTION_CHECKBOX_NAME,
        "back": back,
        "action_url": reverse(f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_changelist"),
    }
    return TemplateResponse(request, "console/row_action.html", context)


def _run(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any], action: RowAction, reason: str) -> None:
    user = staff_of(request)
    changed: list[Model] = []
    refused: Counter[str] = Counter()
    for pk in queryset.order_by("pk").values_list("pk", flat=True)[:MAX_ROWS]:
        try:
            changed.append(action.run(pk, user, reason))
        except action.refusals as refusal:
            refused[getattr(refusal, "detail", str(refusal))] += 1
    names = (model_admin.opts.verbose_name, model_admin.opts.verbose_name_plural)
    if changed:
        audit.record(user, changed, action.title, reason=reason)
        if action.after:
            action.after(changed)
        done = action.done if isinstance(action.done, str) else action.done(changed)
        model_admin.message_user(request, f"{_counted(len(changed), names)} {done}.", messages.SUCCESS)
    for detail, count in refused.items():
        model_admin.message_user(request, f"{_counted(count, names)} not changed: {detail}", messages.WARNING)


def _counted(count: int, names: tuple[str, str]) -> str:
    return f"{count} {names[0] if count == 1 else names[1]}"


def _return_url(request: HttpRequest) -> str:
    """Return the page where the action was chosen: a list with its filters, or the page of a row."""
    address = request.POST.get("back", "")
    if url_has_allowed_host_and_scheme(address, allowed_hosts=None) and address.startswith("/admin/"):
        return address
    return request.get_full_path()
