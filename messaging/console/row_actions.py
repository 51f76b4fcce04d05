"""What staff do to rows: each act needs a reason, goes through a service, and stands in the audit log.

An act is chosen in the list or on a row's page; a page of its own asks for the reason; afterwards staff are told how many
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
from messaging.console.forms import StyledForm

MAX_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class RowAction:
    """`run(pk, user, reason)` returns the changed row, or raises one of `refusals` with a `detail` for people.

    `done` completes the sentence "3 messages …", if need be from what has changed. `warning` is said on the page that asks for
    the reason.
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
    after: Callable[[list[Model]], None] | None = None
    is_available: Callable[[Any], bool] = lambda _row: True


class ReasonForm(StyledForm):
    reason = forms.CharField(
        max_length=audit.MAX_REASON,
        widget=forms.Textarea(attrs={"rows": 2, "autofocus": True}),
        help_text="Stands in the audit log. Write no text of a message here.",
    )


class RowActionsMixin:
    """For a ModelAdmin: `acts` are offered to whoever has their permission."""

    row_actions: ClassVar[tuple[RowAction, ...]] = ()

    def row_actions_for(self, user: User, row: Model | None = None) -> list[RowAction]:
        """What this user may do, to this row if one is given."""
        return [
            act for act in self.row_actions if user.has_perm(act.permission) and (row is None or act.is_available(row))
        ]

    def page_links(self, request: HttpRequest, obj: Model) -> list[dict[str, str]]:
        """Further pages about the row: each has `title`, `icon` and `url`."""
        return []

    def render_change_form(
        self, request: HttpRequest, context: dict, *args: Any, obj: Model | None = None, **kwargs: Any
    ):
        """The page of a row has a button for each act that may be done to it."""
        more = {
            "page_actions": self.row_actions_for(request.user, obj) if obj is not None else [],
            "page_links": self.page_links(request, obj) if obj is not None else [],
            "acts_target": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"),
        }
        return super().render_change_form(request, {**context, **more}, *args, obj=obj, **kwargs)

    def get_actions(self, request: HttpRequest) -> dict[str, tuple]:
        actions = super().get_actions(request)
        if request.user.is_authenticated:
            for act in self.row_actions_for(request.user):
                actions[act.name] = (_handler(act), act.name, act.title)
        return actions


def _handler(act: RowAction) -> Callable[[Any, HttpRequest, QuerySet], HttpResponse]:
    def handle(model_admin: Any, request: HttpRequest, queryset: QuerySet) -> HttpResponse:
        return _ask_or_do(model_admin, request, queryset, act)

    return handle


def _ask_or_do(model_admin: Any, request: HttpRequest, queryset: QuerySet, act: RowAction) -> HttpResponse:
    back = _back(request)
    form = ReasonForm(request.POST if "reason" in request.POST else None)
    if form.is_valid():
        _do(model_admin, request, queryset, act, form.cleaned_data["reason"])
        return HttpResponseRedirect(back)
    rows = list(queryset[: MAX_ROWS + 1])
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"{act.title}?",
        "act": act,
        "form": form,
        "rows": [(model_admin.title_of(row), row) for row in rows[:10]],
        "more": len(rows[:MAX_ROWS]) - len(rows[:10]),
        "selected": [str(row.pk) for row in rows[:MAX_ROWS]],
        "checkbox_name": ACTION_CHECKBOX_NAME,
        "back": back,
        "target": reverse(f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_changelist"),
    }
    return TemplateResponse(request, "console/row_action.html", context)


def _do(model_admin: Any, request: HttpRequest, queryset: QuerySet, act: RowAction, reason: str) -> None:
    changed: list[Model] = []
    refused: Counter[str] = Counter()
    for pk in queryset.order_by("pk").values_list("pk", flat=True)[:MAX_ROWS]:
        try:
            changed.append(act.run(pk, request.user, reason))
        except act.refusals as refusal:
            refused[refusal.detail] += 1
    names = (model_admin.opts.verbose_name, model_admin.opts.verbose_name_plural)
    if changed:
        audit.record(request.user, changed, act.title, reason=reason)
        if act.after:
            act.after(changed)
        done = act.done if isinstance(act.done, str) else act.done(changed)
        model_admin.message_user(request, f"{_counted(len(changed), names)} {done}.", messages.SUCCESS)
    for detail, count in refused.items():
        model_admin.message_user(request, f"{_counted(count, names)} not: {detail}", messages.WARNING)


def _counted(count: int, names: tuple[str, str]) -> str:
    return f"{count} {names[0] if count == 1 else names[1]}"


def _back(request: HttpRequest) -> str:
    """Where the act was chosen: a list with its filters, or the page of a row."""
    address = request.POST.get("back", "")
    if url_has_allowed_host_and_scheme(address, allowed_hosts=None) and address.startswith("/admin/"):
        return address
    return request.get_full_path()
