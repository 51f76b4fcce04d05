"""Everything about one message, as its page shows it: in one order of time, with what was done and what came back."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from messaging import segments
from messaging.admin import text_privacy
from messaging.admin.status_styles import ICONS
from messaging.models import Attachment, DeliveryAttempt, Message, MessageEvent, ProviderCallback
from messaging.models.encrypted import fault_of
from messaging.services.outbound import waiting
from messaging.services.outbound.dispatch.router import WAITING_FOR_PROVIDER, WAITING_FOR_RATE
from messaging.states import Direction
from providers.models import ProviderAccount

CONVERSATION = 20
ACCOUNT_CODES = {WAITING_FOR_PROVIDER, WAITING_FOR_RATE}


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of the timeline."""

    at: datetime
    icon: str
    title: str
    tone: str = ""
    detail: str = ""
    who: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)
    raw: list[tuple[str, str]] | None = None

    @property
    def clock(self) -> str:
        return f"{self.at:%d %b %Y %H:%M:%S}.{self.at.microsecond // 1000:03} UTC"


@dataclass(frozen=True, slots=True)
class WaitNotice:
    """What a message waits for; `links` are titles and addresses."""

    code: str
    reason: str
    until_label: str
    until: datetime | None
    links: list[tuple[str, str]]


def message_page(message: Message, *, user: User) -> dict[str, Any]:
    readable = text_privacy.may_read(user)
    measured = segments.measure("" if fault_of(message, "text") else message.text)
    return {
        "message": message,
        "text": text_privacy.shown_text(message, readable=readable),
        "readable": readable,
        "units": measured.units,
        "files": files(message),
        "may_see_files": readable and user.has_perm("media_store.view_mediaasset"),
        "timeline": timeline(message, readable=readable),
        "conversation": conversation(message, readable=readable),
        "other_number": other_number(message),
        "waiting": wait_of(message, now=timezone.now()),
    }


def wait_of(message: Message, *, now: datetime) -> WaitNotice | None:
    """What the message waits for, with links there; None where it waits for nothing."""
    found = waiting.find([message], now=now, sees_all=True).get(message.pk)
    if found is None:
        return None
    links = []
    if found.message_id:
        links.append(("Open the older message", reverse("admin:messaging_message_change", args=[found.message_id])))
    if found.queue:
        links.append(
            (f"Open the queue {found.queue}", reverse("admin:messaging_outboundqueue_change", args=[found.queue]))
        )
    if found.code in ACCOUNT_CODES:
        links += [
            (f"Open the account {slug}", reverse("admin:providers_provideraccount_change", args=[slug]))
            for slug in _accounts_in(found.reason)
        ] or [("Open the provider accounts", reverse("admin:providers_provideraccount_changelist"))]
    return WaitNotice(found.code, found.reason, found.until_label, found.until, links)


def _accounts_in(sentence: str) -> list[str]:
    """The accounts that the sentence names: it was written for people, and is all that is stored."""
    slugs = ProviderAccount.objects.order_by("slug").values_list("slug", flat=True)
    return [slug for slug in slugs if re.search(rf"(?<![\w-]){re.escape(slug)}(?![\w-])", sentence)]


def files(message: Message) -> list[Attachment]:
    """In their order; what was not fetched says why."""
    return list(message.attachments.select_related("asset")) if message.media_count else []


def timeline(message: Message, *, readable: bool) -> list[HistoryEntry]:
    """In the order of time. What happened at the same moment: a callback, then what it changed, then the call to a provider."""
    entries = [
        *_callbacks(message.callbacks.order_by("pk"), readable=readable),
        *_never_back(_events(message.events.select_related("actor"))),
        *_attempts(message.delivery_attempts.all()),
    ]
    return sorted(entries, key=lambda entry: entry.at)


def _never_back(entries: Iterable[HistoryEntry]) -> Iterable[HistoryEntry]:
    """Changes of status follow one another as they were written, also where the clocks of two hosts differ."""
    latest: datetime | None = None
    for entry in entries:
        latest = entry.at if latest is None else max(latest, entry.at)
        yield entry if entry.at == latest else replace(entry, at=latest)


def _events(rows: Iterable[MessageEvent]) -> Iterable[HistoryEntry]:
    for row in rows:
        yield HistoryEntry(
            at=row.at,
            icon=ICONS.get(row.to_status, "circle"),
            title=f"{row.from_status} → {row.to_status}" if row.from_status else row.to_status,
            tone=row.to_status,
            detail=row.detail,
            who=" · ".join(filter(None, [row.source, row.provider_slug, str(row.actor or "")])),
        )


def _attempts(rows: Iterable[DeliveryAttempt]) -> Iterable[HistoryEntry]:
    for row in rows:
        facts = [
            ("answer", row.outcome),
            ("took", f"{row.latency_ms} ms" if row.latency_ms is not None else ""),
            ("provider's id", row.provider_message_id),
            ("error", " · ".join(filter(None, [row.error_code, row.error_detail]))),
        ]
        yield HistoryEntry(
            at=row.started_at,
            icon="upload",
            title=f"Attempt {row.number} with {row.provider_id}",
            tone="attempt",
            facts=[fact for fact in facts if fact[1]],
        )


def _callbacks(rows: Iterable[ProviderCallback], *, readable: bool) -> Iterable[HistoryEntry]:
    for row in rows:
        fields = text_privacy.shown_callback(row, readable=readable)
        yield HistoryEntry(
            at=row.received_at,
            icon="download",
            title=f"Callback from {row.provider_id}: {row.word or 'no word'}",
            tone="callback",
            detail=row.note,
            facts=[("became", row.state), *([("error", row.error_code)] if row.error_code else [])],
            raw=[("body", fields[:2_000])] if isinstance(fields, str) else fields,
        )


def other_number(message: Message) -> str:
    return message.to_number if message.direction == Direction.OUTBOUND else message.from_number


def conversation(message: Message, *, readable: bool) -> list[dict[str, Any]]:
    """The last texts to and from the same person, oldest first. Two look-ups by index."""
    number = other_number(message)
    to_them = Message.objects.filter(to_number=number, direction=Direction.OUTBOUND).order_by("-pk")[:CONVERSATION]
    from_them = Message.objects.filter(Q(from_number=number), direction=Direction.INBOUND).order_by("-pk")[
        :CONVERSATION
    ]
    rows = sorted([*to_them, *from_them], key=lambda row: row.pk)[-CONVERSATION:]
    return [
        {
            "pk": row.pk,
            "text": text_privacy.shown_text(row, readable=readable),
            "is_ours": row.direction == Direction.OUTBOUND,
            "status": row.status,
            "at": row.created_at,
            "is_this": row.pk == message.pk,
            "is_erased": row.erased_at is not None,
        }
        for row in rows
    ]
