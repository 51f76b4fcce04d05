"""The sidebar: links to lists and pages, grouped by topic. Users see only the links they have permission for."""

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A link to the list of a model, or to another page of it. `also` is a further permission that the page requires."""

    title: str
    icon: str
    model: str
    page: str = ""
    also: str = ""


DASHBOARD = {"title": "Dashboard", "icon": "monitoring"}
GROUPS: dict[str, tuple[MenuEntry, ...]] = {
    "Messages": (
        MenuEntry("Messages", "sms", "messaging.message"),
        MenuEntry(
            "Send a message",
            "send",
            "messaging.message",
            page="admin:messaging_message_send",
            also="messaging.add_message",
        ),
        MenuEntry("Verifications", "password", "messaging.verification"),
        MenuEntry(
            "Conversion",
            "percent",
            "messaging.verification",
            page="admin:messaging_verification_conversion",
            also="messaging.view_verificationcount",
        ),
        MenuEntry("Callbacks received", "call_received", "messaging.providercallback"),
        MenuEntry("Costs", "payments", "messaging.message", page="admin:messaging_message_costs"),
        MenuEntry("Schedules", "event_repeat", "scheduling.schedule"),
    ),
    "Delivery": (
        MenuEntry("Message templates", "article", "messaging.messagetemplate"),
        MenuEntry("Queues", "stacks", "messaging.outboundqueue"),
        MenuEntry("Hours", "schedule", "messaging.hoursrule"),
        MenuEntry(
            "Held by hours",
            "hourglass_top",
            "messaging.hoursrule",
            page="admin:messaging_hoursrule_held",
            also="messaging.view_message",
        ),
        MenuEntry("Prefixes", "public_off", "messaging.prefixrule"),
        MenuEntry("Velocity limits", "speed", "messaging.velocitylimit"),
        MenuEntry("SMS pumping", "crisis_alert", "messaging.pumpingalert"),
        MenuEntry("Owner policies", "bedtime", "messaging.ownerpolicy"),
        MenuEntry("Senders by country", "public", "messaging.countrysenders"),
        MenuEntry("Budgets", "savings", "messaging.budget"),
        MenuEntry("Providers", "cell_tower", "providers.provideraccount"),
        MenuEntry("Provider events", "history", "providers.providerevent"),
        MenuEntry("Sender numbers", "badge", "providers.sendernumber"),
    ),
    "Recipients": (
        MenuEntry("Phone numbers", "contact_phone", "messaging.phonenumber"),
        MenuEntry("Suppressions", "do_not_disturb_on", "messaging.suppression"),
        MenuEntry("Opt-out cases", "rule", "messaging.optoutcase"),
        MenuEntry("Keywords", "record_voice_over", "messaging.keywordrule"),
    ),
    "Media": (MenuEntry("Images", "image", "media_store.mediaasset"),),
    "Access": (
        MenuEntry("Users", "person", "auth.user"),
        MenuEntry("Groups", "group", "auth.group"),
        MenuEntry("API tokens", "key", "messaging.apitoken"),
        MenuEntry("Gateway credentials", "vpn_key", "messaging.gatewaycredential"),
        MenuEntry("Twilio credentials", "passkey", "messaging.twilioaccount"),
        MenuEntry("Twilio API keys", "key_vertical", "messaging.twilioapikey"),
    ),
    "Clients": (
        MenuEntry("Webhook endpoints", "webhook", "messaging.webhookendpoint"),
        MenuEntry("Webhook deliveries", "outbox", "messaging.webhookdelivery"),
        MenuEntry("Alert receivers", "notifications", "messaging.alertreceiver"),
    ),
    "System": (
        MenuEntry("Audit log", "history", "admin.logentry"),
        MenuEntry("Retention rules", "auto_delete", "messaging.retentionrule"),
        MenuEntry("Erasures", "person_off", "messaging.erasure"),
        MenuEntry("Periodic tasks", "schedule", "django_celery_beat.periodictask"),
    ),
}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    index = reverse("admin:index")
    first = {"title": "", "items": [{**DASHBOARD, "link": index, "active": request.path == index}]}
    groups = [{"title": title, "items": _items(entries, request)} for title, entries in GROUPS.items()]
    return [first, *(group for group in groups if group["items"])]


def _items(entries: tuple[MenuEntry, ...], request: HttpRequest) -> list[dict[str, Any]]:
    items = [
        {"title": entry.title, "icon": entry.icon, "link": link}
        for entry in entries
        if (link := _link(entry, request)) is not None
    ]
    # Only the longest matching URL is active: a page below a list has its own entry.
    matching = [item["link"] for item in items if request.path.startswith(item["link"])]
    return [{**item, "active": item["link"] == max(matching, key=len, default=None)} for item in items]


def _link(entry: MenuEntry, request: HttpRequest) -> str | None:
    try:
        model_admin = admin.site.get_model_admin(apps.get_model(entry.model))
        link = reverse(entry.page or f"admin:{entry.model.replace('.', '_')}_changelist")
    except (LookupError, NotRegistered, NoReverseMatch):
        return None
    allowed = model_admin.has_view_or_change_permission(request) and (
        not entry.also or request.user.has_perm(entry.also)
    )
    return link if allowed else None
