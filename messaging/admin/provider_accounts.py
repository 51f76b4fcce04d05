"""Provider accounts, their events, and sender numbers."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display
from unfold.widgets import TEXTAREA_CLASSES

from messaging.admin.callback_addresses import addresses_of, callback_addresses_page
from messaging.admin.test_message import test_message_page
from messaging.console.attached import Attached
from messaging.console.columns import name_of
from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import ModelAdmin, ReadOnlyAdmin, ReadOnlyMixin, TabularInline
from messaging.console.row_actions import RowAction
from messaging.console.staff import staff_of
from providers import health_summary, registry, senders, services, smpp_leases
from providers.errors import ConfigError, Misconfigured, SharedStateUnavailable
from providers.health_summary import REFUSES_MANY, HealthSummary
from providers.models import ProviderAccount, ProviderEvent, SenderNumber
from providers.numbers import MAX_INPUT
from providers.services import check_account_config
from providers.state import exchange_log

TONES = {
    "enabled": "success",
    "disabled": "",
    "circuit open": "danger",
    "circuit half open": "warning",
    "paused": "warning",
    REFUSES_MANY: "warning",
}
HEALTH = Attached[HealthSummary]("health")
SENDER_HELP = (
    "A number with + and the country code, a short code (3 to 8 digits), or a name (at most 11 GSM characters)."
)
MAY_CHANGE = "providers.change_provideraccount"
MAY_SEE_CALLBACKS = "messaging.view_providercallback"
MAY_SEE_MESSAGES = "messaging.view_message"


class IndentedJSONField(forms.JSONField):
    """JSON, indented with one field per line."""

    widget = forms.Textarea(
        attrs={"rows": 12, "class": " ".join([*TEXTAREA_CLASSES, "sb-mono"]), "spellcheck": "false"}
    )

    def prepare_value(self, value: Any) -> str:
        return value if isinstance(value, InvalidJSONInput) else json.dumps(value, indent=2, ensure_ascii=False)


class ProviderAccountForm(StyledModelForm):
    backend = forms.ChoiceField(choices=[(name, name) for name in sorted(registry.BACKENDS)])

    class Meta:
        model = ProviderAccount
        fields = ["slug", "backend", "weight", "is_enabled", "config"]
        field_classes = {"config": IndentedJSONField}
        help_texts = {
            "weight": "Share of the traffic, 0 to 1000. With 0 nothing is sent through this account.",
            "config": 'Backend configuration, see docs/providers.md. Write {"env": "NAME"} for a secret.',
        }

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "backend" in cleaned and "config" in cleaned:
            try:
                check_account_config(backend=cleaned["backend"], config=cleaned["config"])
            except ConfigError as error:
                self.add_error("config", str(error))
        return cleaned


def _enable(pk: Any, user: User, reason: str) -> ProviderAccount:
    return services.set_enabled(slug=pk, is_enabled=True, reason=reason, actor=user, now=timezone.now())


def _disable(pk: Any, user: User, reason: str) -> ProviderAccount:
    return services.set_enabled(slug=pk, is_enabled=False, reason=reason, actor=user, now=timezone.now())


def _hold_open(pk: Any, user: User, reason: str) -> ProviderAccount:
    return services.hold_open(slug=pk, reason=reason, actor=user, now=timezone.now())


def _reset(pk: Any, user: User, reason: str) -> ProviderAccount:
    return services.reset(slug=pk, reason=reason, actor=user, now=timezone.now())


ACTIONS = (
    RowAction(
        name="enable_selected",
        title="Enable",
        done="enabled",
        permission=MAY_CHANGE,
        icon="toggle_on",
        run=_enable,
        is_available=lambda row: not row.is_enabled,
    ),
    RowAction(
        name="disable_selected",
        title="Disable",
        done="disabled",
        permission=MAY_CHANGE,
        icon="toggle_off",
        run=_disable,
        is_danger=True,
        warning="Messages that only this account can carry wait until it is enabled again.",
        is_available=lambda row: row.is_enabled,
    ),
    RowAction(
        name="hold_open_selected",
        title="Hold the circuit open",
        done="held open",
        permission=MAY_CHANGE,
        icon="electrical_services",
        run=_hold_open,
        refusals=SharedStateUnavailable,
        is_danger=True,
        warning="No message is sent through the account until its circuit is reset.",
    ),
    RowAction(
        name="reset_selected",
        title="Reset the circuit",
        done="reset",
        permission=MAY_CHANGE,
        icon="restart_alt",
        run=_reset,
        refusals=SharedStateUnavailable,
        warning="Closes the circuit, ends a pause, and clears the error counts.",
    ),
)


class EventInline(ReadOnlyMixin, TabularInline):
    """The account's newest events. The list of provider events has all of them."""

    model = ProviderEvent
    fields = readonly_fields = ("at", "kind", "detail", "actor_name")
    actor_name = name_of("actor", "Actor")
    per_page = 20

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderEvent]:
        return super().get_queryset(request).select_related("actor")


@admin.register(ProviderEvent)
class ProviderEventAdmin(ReadOnlyAdmin):
    list_display = ["at", "account", "kind", "detail", "actor"]
    list_filter = ["kind", "account"]
    list_select_related = ["account", "actor"]
    fields = readonly_fields = ("at", "account", "kind", "detail", "actor_name")
    actor_name = name_of("actor", "Actor")


@admin.register(ProviderAccount)
class ProviderAccountAdmin(ModelAdmin):
    form = ProviderAccountForm
    list_title = "Providers"
    list_display = ["slug", "state", "backend", "weight", "effective", "errors", "refusals", "latency", "updated_at"]
    list_filter = ["backend", "is_enabled"]
    sortable_by = ["slug", "backend"]
    custom_urls = (
        ("<path:slug>/test/", "providers_provideraccount_test", test_message_page),
        ("<path:slug>/callback-addresses/", "providers_provideraccount_addresses", callback_addresses_page),
    )
    search_fields = ["slug"]
    row_actions = ACTIONS

    def prepare(self, request: HttpRequest, rows: list[ProviderAccount]) -> None:
        for row, health in zip(rows, health_summary.read(rows, now=timezone.now()), strict=True):
            HEALTH.set(row, health)

    def page_links(self, request: HttpRequest, obj: ProviderAccount) -> list[dict[str, str]]:
        links = []
        if self.has_change_permission(request, obj):
            url = reverse("admin:providers_provideraccount_test", args=[obj.pk])
            links.append({"title": "Send a test message", "icon": "send", "url": url})
        if staff_of(request).has_perm(MAY_SEE_CALLBACKS):
            url = f"{reverse('admin:messaging_providercallback_changelist')}?provider__slug__exact={obj.pk}"
            links.append({"title": "Callbacks received", "icon": "call_received", "url": url})
        return links

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add what the account sent and received lately, and for staff who may change it the addresses of its callbacks."""
        account = kwargs.get("obj")
        if account is not None:
            context = {**context, **self._connection(request, account)}
        return super().render_change_form(request, context, *args, **kwargs)

    def _connection(self, request: HttpRequest, account: ProviderAccount) -> dict[str, Any]:
        return {
            "fault": _fault_of(account),
            "addresses": addresses_of(account) if self.has_change_permission(request, account) else None,
            "binds": _binds_of(account),
            "exchanges": exchange_log.recent(account.pk, since=account.created_at),
            "links_to_messages": staff_of(request).has_perm(MAY_SEE_MESSAGES),
        }

    @display(description="State", label=TONES)
    def state(self, row: ProviderAccount) -> str:
        return HEALTH.of(row).state

    @display(description="Effective weight")
    def effective(self, row: ProviderAccount) -> str:
        return HEALTH.of(row).effective_weight

    @display(description="Errors, 15 min")
    def errors(self, row: ProviderAccount) -> str:
        return HEALTH.of(row).error_rate

    @display(description="Refused, 15 min")
    def refusals(self, row: ProviderAccount) -> str:
        return HEALTH.of(row).refusal_rate

    @display(description="Latency")
    def latency(self, row: ProviderAccount) -> str:
        return HEALTH.of(row).latency

    def get_inlines(self, request: HttpRequest, obj: ProviderAccount | None) -> tuple[type[TabularInline], ...]:
        return (EventInline,) if obj and obj.events.exists() else ()

    def get_fields(self, request: HttpRequest, obj: ProviderAccount | None = None) -> tuple[str, ...]:
        """An existing account is enabled and disabled by row actions, which ask for a reason."""
        if obj is None:
            return ("slug", "backend", "weight", "is_enabled", "config")
        config = "config" if self.has_change_permission(request, obj) else "config_shown"
        return ("slug", "state", "backend", "weight", config, "created_at", "updated_at")

    def get_readonly_fields(self, request: HttpRequest, obj: ProviderAccount | None = None) -> tuple[str, ...]:
        """The slug cannot change: it is the key, and part of the callback URLs that the provider knows."""
        return ("slug", "state", "config_shown", "created_at", "updated_at") if obj else ()

    @display(description="Config")
    def config_shown(self, row: ProviderAccount) -> str:
        """Return the config as in the form. unfold would add inline styles, which the Content-Security-Policy blocks."""
        return format_html('<pre class="sb-mono">{}</pre>', json.dumps(row.config, indent=2, ensure_ascii=False))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> ProviderAccount | None:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            self.prepare(request, [found])
        return found


def _binds_of(account: ProviderAccount) -> list[dict[str, Any]]:
    """The binds of an SMPP account, for the template."""
    now = timezone.now()
    return [
        {"row": bind, "state": smpp_leases.state_of(bind, now=now), "is_live": smpp_leases.is_live(bind, now=now)}
        for bind in smpp_leases.binds_of([account])[account.slug]
    ]


def _fault_of(account: ProviderAccount) -> str:
    """What makes the account unusable in this environment; "" if nothing does."""
    try:
        registry.check_account(account)
    except ConfigError as error:
        return str(error)
    except Misconfigured as error:
        return error.detail
    return ""


class SenderNumberForm(StyledModelForm):
    number = forms.CharField(
        label="Number, short code or name",
        max_length=MAX_INPUT,
        help_text=SENDER_HELP,
    )

    class Meta:
        model = SenderNumber
        fields = ["number", "owner", "account", "is_default"]
        help_texts = {
            "owner": "The only user who may send from it. Empty: every user.",
            "account": "The only account that carries it. Empty: every account.",
            "is_default": "The sender of messages that name none.",
        }

    def clean_number(self) -> str:
        try:
            return senders.normalise(self.cleaned_data["number"])
        except senders.InvalidSender as error:
            raise forms.ValidationError(str(error)) from None


@admin.register(SenderNumber)
class SenderNumberAdmin(ModelAdmin):
    form = SenderNumberForm
    list_display = ["number", "owner", "account", "is_default"]
    list_filter = ["is_default", "account"]
    list_select_related = ["owner", "account"]
    search_fields = ["number"]
    autocomplete_fields = ["owner"]
    readonly_fields = ("owner_name",)
    owner_name = name_of("owner", "Owner")

    def get_fields(self, request: HttpRequest, obj: SenderNumber | None = None) -> tuple[str, ...]:
        may_change = obj is None or self.has_change_permission(request, obj)
        return ("number", "owner" if may_change else "owner_name", "account", "is_default")
