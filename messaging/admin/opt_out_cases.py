"""Opt-out cases: texts that probably ask for no more messages, by their deadline."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import display

from messaging.admin import text_privacy
from messaging.console.attached import Attached
from messaging.console.columns import name_of
from messaging.console.model_admin import ModelAdmin, ReadOnlyMixin
from messaging.console.row_actions import RowAction
from messaging.console.staff import staff_of
from messaging.models import OptOutCase
from messaging.models.encrypted import fault_of
from messaging.services.errors import CaseDecided
from messaging.services.recipients import opt_out_cases
from messaging.services.representation import may_read_texts

MAY_CHANGE = "messaging.change_optoutcase"
OPEN, OVERDUE = "open", "overdue"
TONES = {OPEN: "warning", OVERDUE: "danger", "suppressed": "success", "not an opt-out": "info"}
SHOWN_WORDS = Attached[str]("shown_words")
Decision = OptOutCase.Decision


def _suppress(pk: Any, user: User, reason: str) -> OptOutCase:
    return opt_out_cases.suppress(case_id=pk, actor=user, is_staff=True, note=reason, now=timezone.now())


def _dismiss(pk: Any, user: User, reason: str) -> OptOutCase:
    return opt_out_cases.dismiss(case_id=pk, actor=user, note=reason, now=timezone.now())


ACTIONS = (
    RowAction(
        name="suppress_selected",
        title="Suppress",
        done="decided: the numbers get nothing more",
        permission=MAY_CHANGE,
        icon="do_not_disturb_on",
        run=_suppress,
        refusals=(CaseDecided, OptOutCase.DoesNotExist),
        warning="The numbers get no more messages from the senders that the texts were for.",
        is_available=lambda row: row.decision == Decision.OPEN,
    ),
    RowAction(
        name="dismiss_selected",
        title="Not an opt-out",
        done="decided: not an opt-out",
        permission=MAY_CHANGE,
        icon="undo",
        run=_dismiss,
        refusals=(CaseDecided, OptOutCase.DoesNotExist),
        warning="The persons get messages as before.",
        is_available=lambda row: row.decision == Decision.OPEN,
    ),
)


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(OVERDUE, "overdue"), ("suppressed", "suppressed"), ("dismissed", "not an opt-out"), ("all", "all")]

    def choices(self, changelist: Any) -> Any:
        """Name the choice of no value: the cases that are open."""
        first, *others = super().choices(changelist)
        yield {**first, "display": OPEN}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[OptOutCase]) -> QuerySet[OptOutCase]:
        state = self.value()
        if state == OVERDUE:
            return queryset.filter(decision=Decision.OPEN, due_at__lt=timezone.now())
        if state in {Decision.SUPPRESSED, Decision.DISMISSED}:
            return queryset.filter(decision=state)
        is_open_only = state != "all" and _is_list(request)
        return queryset.filter(decision=Decision.OPEN) if is_open_only else queryset


def _is_list(request: HttpRequest) -> bool:
    """False for an action, which may be taken on the page of a row that is in no list any more."""
    return request.method != "POST"


@admin.register(OptOutCase)
class OptOutCaseAdmin(ReadOnlyMixin, ModelAdmin):
    list_title = "Opt-out cases"
    empty_list_note = "No text of this kind waits for a decision."
    list_display = ["number", "state", "words_start", "due_at", "opened_at", "sender_label"]
    list_filter = [StateFilter]
    list_select_related = ["owner"]
    search_fields = ["number"]
    search_help_text = "The start of a number"
    fields = (
        *("number", "sender_label", "state", "words", "opened_at", "due_at", "owner_name"),
        *("decided_at", "decided_by_name", "note"),
    )
    readonly_fields = fields
    row_actions = ACTIONS
    sortable_by = ["due_at"]
    owner_name, decided_by_name = name_of("owner", "Owner"), name_of("decided_by", "Decided by")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OptOutCase], search_term: str
    ) -> tuple[QuerySet[OptOutCase], bool]:
        digits = "".join(character for character in search_term if character.isdecimal())
        return (queryset.filter(number__startswith=f"+{digits.removeprefix('00')}") if digits else queryset), False

    def prepare(self, request: HttpRequest, rows: list[OptOutCase]) -> None:
        for row in rows:
            SHOWN_WORDS.set(row, _words(row, staff_of(request)))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        case: OptOutCase | None = kwargs.get("obj")
        if case is not None:
            SHOWN_WORDS.set(case, _words(case, staff_of(request)))
        return super().render_change_form(request, context, *args, **kwargs)

    def page_links(self, request: HttpRequest, obj: OptOutCase) -> list[dict[str, str]]:
        if obj.message_id is None or not request.user.has_perm("messaging.view_message"):
            return []
        url = reverse("admin:messaging_message_change", args=[obj.message_id])
        return [{"title": "Open the conversation", "icon": "forum", "url": url}]

    @display(description="State", label=TONES)
    def state(self, row: OptOutCase) -> str:
        if row.decision != Decision.OPEN:
            return row.get_decision_display()
        return OVERDUE if row.due_at < timezone.now() else OPEN

    @display(description="Words")
    def words_start(self, row: OptOutCase) -> str:
        return truncatechars(SHOWN_WORDS.of(row), 80)

    @display(description="Words")
    def words(self, row: OptOutCase) -> str:
        return SHOWN_WORDS.of(row)

    @display(description="Sender")
    def sender_label(self, row: OptOutCase) -> str:
        return ", ".join(sender or "all sender numbers" for sender in row.senders)


def _words(case: OptOutCase, user: User) -> str:
    if fault_of(case, "text"):
        return text_privacy.UNREADABLE
    return text_privacy.shown(case.text, readable=may_read_texts(user, case.owner_id))
