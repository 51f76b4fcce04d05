"""Prefix rules, velocity limits, and alerts of SMS pumping."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from messaging.console.columns import name_of
from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import ModelAdmin, ReadOnlyAdmin
from messaging.console.row_actions import RowAction
from messaging.models import PrefixRule, PumpingAlert, VelocityLimit
from messaging.policy.prefixes import shipped
from messaging.services.limits import pumping, rules

MAY_CHANGE = "messaging.change_pumpingalert"
MAY_BLOCK = "messaging.add_prefixrule"
NUMBERS = ("recipient_per_hour", "recipient_of_all_per_hour", "new_recipients_per_minute", "calling_code_per_hour")
VERDICTS = {"allowed": "success", "blocked": "danger"}
STATES = {"holding": "danger", "going on": "warning", "over": "info"}


class _LimitAdmin(ModelAdmin):
    list_select_related = ["owner"]
    readonly_fields = ("for_owner",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Viewers may not open the owner's page, which a read-only field would link to."""
        fields = tuple(str(name) for name in self.fields or ())
        may_change = self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        return fields if may_change else tuple("for_owner" if name == "owner" else name for name in fields)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        rules.save(obj, now=timezone.now())

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        rules.remove(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            rules.remove(row)

    @display(description="Owner")
    def for_owner(self, row: PrefixRule | VelocityLimit) -> str:
        return row.owner.username if row.owner else "everybody"


class PrefixRuleForm(StyledModelForm):
    class Meta:
        model = PrefixRule
        fields = ["prefix", "country", "is_allowed", "owner", "reason"]
        labels = {"is_allowed": "Texts are allowed"}
        help_texts = {
            "prefix": "A plus sign and digits, such as +881. The longest prefix that matches a number decides.",
            "country": "Two letters, such as FR, instead of a prefix.",
            "is_allowed": "Off: texts are blocked. To allow a country does not allow its premium-rate numbers.",
            "owner": "Empty: for everybody.",
            "reason": "Told to clients whose texts are refused. Do not quote texts or persons here.",
        }


def _shipped_note() -> str:
    found = ", ".join(entry.prefix for entry in shipped().entries)
    kinds = " and ".join(kind.name for kind in shipped().kinds)
    return f"Blocked without a rule: {found}, and {kinds} numbers of all countries."


@admin.register(PrefixRule)
class PrefixRuleAdmin(_LimitAdmin):
    form = PrefixRuleForm
    list_title = "Prefixes"
    list_display = ["target", "verdict", "for_owner", "reason", "changed_at"]
    fields = ("prefix", "country", "is_allowed", "owner", "reason")
    empty_list_note = _shipped_note()
    reason_field = "reason"

    @display(description="Numbers", ordering="prefix")
    def target(self, row: PrefixRule) -> str:
        return row.prefix or row.country

    @display(description="Texts", label=VERDICTS)
    def verdict(self, row: PrefixRule) -> str:
        return "allowed" if row.is_allowed else "blocked"


class VelocityLimitForm(StyledModelForm):
    class Meta:
        model = VelocityLimit
        fields = ["owner", *NUMBERS]
        labels = {
            "recipient_per_hour": "Texts to a recipient in an hour",
            "recipient_of_all_per_hour": "Texts of all owners to a recipient in an hour",
            "new_recipients_per_minute": "Different recipients in a minute",
            "calling_code_per_hour": "Texts to a calling code in an hour",
        }
        help_texts = {
            "owner": "Empty: for each owner that has no limits of its own.",
            "recipient_per_hour": "Of one owner. Empty: as for all owners, or no limit. 0: no limit for this owner.",
            "recipient_of_all_per_hour": "Of all owners together; only without an owner. Empty: no limit.",
            "new_recipients_per_minute": "Of one owner. A recipient counts once within the minute.",
            "calling_code_per_hour": "Of one owner, to numbers that begin alike, such as with +49.",
        }


@admin.register(VelocityLimit)
class VelocityLimitAdmin(_LimitAdmin):
    form = VelocityLimitForm
    list_title = "Velocity limits"
    list_display = ["for_owner", *NUMBERS]
    fields = ("owner", *NUMBERS)
    empty_list_note = "Nothing is limited: add limits for all owners or for one."


def _acknowledge(pk: Any, user: User, _reason: str) -> PumpingAlert:
    return pumping.acknowledge(alert_id=pk, actor=user, now=timezone.now())


def _hold(is_holding: bool, pk: Any, user: User, _reason: str) -> PumpingAlert:
    return pumping.hold(alert_id=pk, is_holding=is_holding, actor=user, now=timezone.now())


def _block(pk: Any, user: User, _reason: str) -> PumpingAlert:
    return pumping.block(alert_id=pk, actor=user, now=timezone.now())


ACTIONS = (
    RowAction(
        name="acknowledge_selected",
        title="Acknowledge",
        done="acknowledged",
        permission=MAY_CHANGE,
        icon="done",
        run=_acknowledge,
        is_available=lambda row: row.acknowledged_at is None,
    ),
    RowAction(
        name="hold_selected",
        title="Hold codes",
        done="held",
        permission=MAY_CHANGE,
        icon="pause_circle",
        run=partial(_hold, True),
        warning="One-time passwords to the prefix wait until they are released, or expire. Other messages are sent.",
        is_available=lambda row: not row.is_holding,
    ),
    RowAction(
        name="release_selected",
        title="Release codes",
        done="released",
        permission=MAY_CHANGE,
        icon="play_circle",
        run=partial(_hold, False),
        warning="Codes that wait and are still valid are sent within a minute.",
        is_available=lambda row: row.is_holding,
    ),
    RowAction(
        name="block_selected",
        title="Block the prefix",
        done="blocked",
        permission=MAY_BLOCK,
        icon="block",
        run=_block,
        warning="All messages to the prefix are refused, and those that wait fail. Undo it under Prefixes.",
        is_danger=True,
    ),
)


@admin.register(PumpingAlert)
class PumpingAlertAdmin(ReadOnlyAdmin):
    list_title = "SMS pumping"
    list_display = ["prefix", "state", "since", "detail", "acknowledged"]
    list_select_related = ["acknowledged_by"]
    sortable_by = ["since"]
    row_actions = ACTIONS
    empty_list_note = "No prefix has had many codes of which few were confirmed."
    acknowledged = name_of("acknowledged_by", "Acknowledged by")
    fields = readonly_fields = (
        *("prefix", "state", "since", "last_seen_at", "ended_at", "detail", "started", "approved", "codes"),
        *("acknowledged_at", "acknowledged"),
    )

    @display(description="State", label=STATES)
    def state(self, row: PumpingAlert) -> str:
        if row.is_holding:
            return "holding"
        return "going on" if row.ended_at is None else "over"
