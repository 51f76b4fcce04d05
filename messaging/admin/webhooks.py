"""Webhook endpoints and deliveries: staff can view them, enable and disable endpoints, and redeliver events."""

from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, ChoicesRadioFilter
from unfold.decorators import display

from messaging import notifier
from messaging.console.columns import name_of
from messaging.console.keyset import KeysetAdmin
from messaging.console.model_admin import ReadOnlyAdmin
from messaging.console.row_actions import RowAction
from messaging.models import WebhookDelivery, WebhookEndpoint
from messaging.services.errors import EndpointDisabled, NotRedeliverable
from messaging.services.webhooks import endpoints, redelivery
from providers.http.public_addresses import Guard

MAY_CHANGE = "messaging.change_webhookendpoint"
ENDPOINT_TONES = {"enabled": "success", "failing": "warning", "disabled": "danger"}
DELIVERY_TONES = {"pending": "info", "sending": "info", "succeeded": "success", "failed": "danger"}
Kind = WebhookEndpoint.Kind


def _set_enabled(is_enabled: bool, pk: Any, _user: User, _reason: str) -> WebhookEndpoint:
    guard = Guard.allowing(settings.CALLBACK_ALLOWED_NETWORKS)
    return endpoints.change(endpoint_id=pk, changes={"is_enabled": is_enabled}, guard=guard, now=timezone.now())


def _redeliver(pk: Any, _user: User, _reason: str) -> WebhookDelivery:
    return redelivery.redeliver(delivery_id=pk, now=timezone.now())


ENDPOINT_ACTIONS = (
    RowAction(
        name="enable_selected",
        title="Enable",
        done="enabled",
        permission=MAY_CHANGE,
        icon="play_arrow",
        run=partial(_set_enabled, True),
        is_available=lambda row: not row.is_enabled,
    ),
    RowAction(
        name="disable_selected",
        title="Disable",
        done="disabled",
        permission=MAY_CHANGE,
        icon="pause",
        run=partial(_set_enabled, False),
        is_danger=True,
        warning="Events that happen while it is disabled are not delivered. The owner can redeliver them afterwards.",
        is_available=lambda row: row.is_enabled and row.kind == Kind.ENDPOINT,
    ),
)
DELIVERY_ACTIONS = (
    RowAction(
        name="redeliver_selected",
        title="Redeliver",
        done="queued for redelivery",
        permission=MAY_CHANGE,
        icon="replay",
        run=_redeliver,
        refusals=(EndpointDisabled, NotRedeliverable),
        after=lambda _rows: notifier.notify_webhooks(),
        is_available=lambda row: row.state in {"succeeded", "failed", "pending"},
    ),
)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(KeysetAdmin, ReadOnlyAdmin):
    """Secrets are never shown here. The owner saw them once, when they were created."""

    list_display = ["url", "owner", "state", "event_types", "failing_since", "disabled_reason"]
    list_filter = [("kind", ChoicesRadioFilter), "is_enabled"]
    list_select_related = ["owner"]
    search_fields = ["owner__username", "url__startswith"]
    search_help_text = "A user name, or the start of a URL"
    fields = (
        *("url", "kind", "owner_name", "state", "event_types", "dialect", "our_number", "description"),
        *("failing_since", "disabled_reason", "created_at", "updated_at"),
    )
    readonly_fields = fields
    owner_name = name_of("owner", "Owner")
    row_actions = ENDPOINT_ACTIONS

    def title_of(self, obj: WebhookEndpoint) -> str:
        return obj.url

    @display(description="State", label=ENDPOINT_TONES)
    def state(self, row: WebhookEndpoint) -> str:
        if not row.is_enabled:
            return "disabled"
        return "failing" if row.failing_since else "enabled"

    @display(description="Events")
    def event_types(self, row: WebhookEndpoint) -> str:
        return ", ".join(row.events) or "all"

    @display(description="Number")
    def our_number(self, row: WebhookEndpoint) -> str:
        return row.number or "all"


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(KeysetAdmin, ReadOnlyAdmin):
    list_display = [
        "created_at",
        "endpoint_url",
        "event_type",
        "result",
        "attempts",
        "response",
        "next_attempt_at",
    ]
    list_filter = [("state", ChoicesCheckboxFilter)]
    list_select_related = ["endpoint", "event"]
    fields = (
        *("id", "endpoint_url", "event_type", "message", "result", "attempts", "response_status", "error"),
        *("next_attempt_at", "attempted_at", "finished_at", "created_at"),
    )
    readonly_fields = fields
    row_actions = DELIVERY_ACTIONS

    def title_of(self, obj: WebhookDelivery) -> str:
        return f"{self.event_type(obj)} to {obj.endpoint.url}"

    @display(description="Endpoint")
    def endpoint_url(self, row: WebhookDelivery) -> str:
        return row.endpoint.url

    @display(description="Event")
    def event_type(self, row: WebhookDelivery) -> str:
        return row.event.type if row.event else "test"

    @display(description="Message")
    def message(self, row: WebhookDelivery) -> str:
        if row.event is None or row.event.message_id is None:
            return "-"
        return format_html(
            '<a class="sb-link" href="/admin/messaging/message/{0}/change/">{0}</a>', row.event.message_id
        )

    @display(description="Response")
    def response(self, row: WebhookDelivery) -> int | None:
        return row.response_status

    @display(description="State", label=DELIVERY_TONES)
    def result(self, row: WebhookDelivery) -> str:
        return row.state
