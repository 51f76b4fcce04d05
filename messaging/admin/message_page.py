"""Data of a message's page: text, files, wait reason, timeline and conversation."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from media_store.content_types import LABELS, is_image
from messaging import segments
from messaging.admin import text_privacy
from messaging.admin.images import file_link
from messaging.admin.status_styles import ICONS
from messaging.file_errors import code_and_detail
from messaging.models import (
    Attachment,
    DeliveryAttempt,
    Message,
    MessageEvent,
    MessageTemplate,
    OptOutCase,
    ProviderCallback,
)
from messaging.models.encrypted import fault_of
from messaging.retry_policy import WAITING_FOR_PROVIDER
from messaging.services import transitions
from messaging.services.outbound import waiting
from messaging.services.outbound.dispatch.router import WAITING_FOR_RATE
from messaging.services.recipients import opt_out_cases
from messaging.states import Direction
from providers.models import ProviderAccount

CONVERSATION = 20
ACCOUNT_CODES = {WAITING_FOR_PROVIDER, WAITING_FOR_RATE}


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An entry of the timeline."""

    at: datetime
    icon: str
    title: str
    tone: str = ""
    detail: str = ""
    actor: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)
    raw: list[tuple[str, str]] | None = None

    @property
    def time_label(self) -> str:
        return f"{self.at:%d %b %Y %H:%M:%S}.{self.at.microsecond // 1000:03} UTC"


@dataclass(frozen=True, slots=True)
class WaitNotice:
    """What a message waits for. `links` are (title, URL) pairs."""

    code: str
    reason: str
    until_label: str
    until: datetime | None
    links: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the message: an image, another file with a `link` to save it, one that is being fetched, or a lost one."""

    label: str
    asset_id: UUID | None = None
    link: SafeString | None = None
    is_awaited: bool = False
    code: str = ""
    detail: str = ""


def message_page(message: Message, *, user: User) -> dict[str, Any]:
    readable = text_privacy.may_read(user)
    counted = segments.measure("" if fault_of(message, "text") else message.text)
    return {
        "message": message,
        "text": text_privacy.shown_text(message, readable=readable),
        "readable": readable,
        "template_name": _template_name(message),
        "units": counted.units,
        "files": files(message),
        "may_see_files": readable and user.has_perm("media_store.view_mediaasset"),
        "timeline": timeline(message, readable=readable),
        "conversation": conversation(message, readable=readable),
        "other_number": other_number(message),
        "may_reply": other_number(message).startswith("+"),
        "opt_out_case": opt_out_case_of(message) if user.has_perm(opt_out_cases.VIEW) else None,
        "waiting": wait_of(message, now=timezone.now()),
    }


def _template_name(message: Message) -> str | None:
    if message.template_id is None:
        return None
    return MessageTemplate.objects.filter(pk=message.template_id).values_list("name", flat=True).first()


def wait_of(message: Message, *, now: datetime) -> WaitNotice | None:
    """Return what the message waits for, with links to it, or None if it does not wait."""
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


def opt_out_case_of(message: Message) -> OptOutCase | None:
    """The case of this text, or else an open one of the same person."""
    if message.direction == Direction.INBOUND:
        own = OptOutCase.objects.filter(message=message).first()
        if own is not None:
            return own
    return OptOutCase.objects.filter(number=other_number(message), decision=OptOutCase.Decision.OPEN).first()


def _accounts_in(sentence: str) -> list[str]:
    """Return the accounts named in a wait reason. Only the sentence is stored, so their names are searched for in it."""
    slugs = ProviderAccount.objects.order_by("slug").values_list("slug", flat=True)
    return [slug for slug in slugs if re.search(rf"(?<![\w-]){re.escape(slug)}(?![\w-])", sentence)]


def files(message: Message) -> list[FileEntry]:
    """Return the files in order."""
    rows = message.attachments.select_related("asset") if message.media_count else ()
    return [_file(row) for row in rows]


def _file(row: Attachment) -> FileEntry:
    if row.asset is not None:
        is_shown = is_image(row.asset.content_type)
        label = "Image" if is_shown else LABELS.get(row.asset.content_type, row.asset.content_type)
        return FileEntry(label, asset_id=row.asset.pk, link=None if is_shown else file_link(row.asset))
    if row.next_attempt_at is not None:
        return FileEntry("File", is_awaited=True, detail=row.error)
    code, detail = code_and_detail(row.error_code, row.error)
    return FileEntry("File", code=code, detail=detail)


def timeline(message: Message, *, readable: bool) -> list[HistoryEntry]:
    """Return the history by time. At equal times: the callback, then the status change, then the provider call."""
    entries = [
        *_callbacks(message.callbacks.order_by("pk"), readable=readable),
        *_monotonic(_events(transitions.history(message))),
        *_attempts(message.delivery_attempts.all()),
    ]
    return sorted(entries, key=lambda entry: entry.at)


def _monotonic(entries: Iterable[HistoryEntry]) -> Iterable[HistoryEntry]:
    """Keep status changes in the order in which they were written, even if the clocks of two hosts differ."""
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
            actor=" · ".join(filter(None, [row.source, row.provider_slug, str(row.actor or "")])),
        )


def _attempts(rows: Iterable[DeliveryAttempt]) -> Iterable[HistoryEntry]:
    for row in rows:
        facts = [
            ("outcome", row.outcome),
            ("latency", f"{row.latency_ms} ms" if row.latency_ms is not None else ""),
            ("price", f"{row.price.normalize():f} {row.currency}".strip() if row.price is not None else ""),
            ("provider's message id", row.provider_message_id),
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
            title=f"Callback from {row.provider_id}: {row.word or 'no status'}",
            tone="callback",
            detail=row.note,
            facts=[("state", row.state), *([("error", row.error_code)] if row.error_code else [])],
            raw=[("body", fields[:2_000])] if isinstance(fields, str) else fields,
        )


def other_number(message: Message) -> str:
    return message.to_number if message.direction == Direction.OUTBOUND else message.from_number


def conversation(message: Message, *, readable: bool) -> list[dict[str, Any]]:
    """Return the last texts to and from the same person, oldest first. Two indexed queries."""
    number = other_number(message)
    sent = Message.objects.filter(to_number=number, direction=Direction.OUTBOUND).order_by("-pk")[:CONVERSATION]
    received = Message.objects.filter(Q(from_number=number), direction=Direction.INBOUND).order_by("-pk")[:CONVERSATION]
    rows = sorted([*sent, *received], key=lambda row: row.pk)[-CONVERSATION:]
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
