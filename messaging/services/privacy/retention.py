"""Delete texts and rows whose retention period has ended, in chunks, oldest first."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from media_store import services as media
from media_store.errors import AssetInUse
from media_store.models import MediaAsset, MediaOwnership
from messaging.models import Attachment, GatewayText, Message, ProviderCallback, RetentionPass, RetentionRule
from messaging.services.reporting.rollups import CounterBatch
from messaging.states import NOT_ENDED

logger = logging.getLogger(__name__)

CHUNK = 1_000
# For callbacks that belong to no message, and so to no owner and no queue.
LOOSE_DAYS = 30
# Time between the starts of two passes over all messages.
PASS_INTERVAL = timedelta(hours=20)


@dataclass(frozen=True, slots=True)
class Days:
    """Retention periods of text and row, in days; None keeps for ever."""

    text: int | None
    row: int | None

    @property
    def shortest(self) -> int | None:
        return min((days for days in (self.text, self.row) if days is not None), default=None)


class Rules:
    """All retention rules, read once for each chunk."""

    def __init__(self) -> None:
        self._everywhere = Days(settings.RETENTION_TEXT_DAYS or None, settings.RETENTION_ROW_DAYS or None)
        rows = RetentionRule.objects.values_list("owner_id", "queue_id", "text_days", "row_days")
        self._special = {(owner, queue): Days(text, row) for owner, queue, text, row in rows}

    def days(self, owner_id: int | None, queue_id: str | None) -> Days:
        keys = ((owner_id, queue_id), (owner_id, None), (None, queue_id))
        return next((self._special[key] for key in keys if key in self._special), self._everywhere)

    @property
    def shortest(self) -> int | None:
        """The shortest period of all rules, in days; None when everything is kept for ever."""
        all_days = (self._everywhere, *self._special.values())
        return min((days.shortest for days in all_days if days.shortest is not None), default=None)


def loose_callback_retention() -> timedelta:
    """How long to keep callbacks that belong to no message: never longer than the shortest period of any rule."""
    return timedelta(days=min(LOOSE_DAYS, Rules().shortest or LOOSE_DAYS))


def walk(*, now: datetime, chunks: int) -> int:
    """Continue the pass for at most `chunks` chunks; return the number of messages that lost their text or row."""
    total = 0
    for _ in range(chunks):
        changed = step(now=now)
        if changed is None:
            break
        total += changed
    return total


def step(*, now: datetime) -> int | None:
    """Process one chunk in one transaction; None when the pass is over for now. Concurrent workers wait for each other."""
    rules = Rules()
    if rules.shortest is None:
        return None
    with transaction.atomic():
        RetentionPass.objects.get_or_create(pk=1)
        state = RetentionPass.objects.select_for_update().get(pk=1)
        is_finished = state.finished_at is not None
        if is_finished and state.started_at is not None and state.started_at + PASS_INTERVAL > now:
            return None
        if state.started_at is None or is_finished:
            state.started_at, state.finished_at, state.cursor = now, None, None
        rows = list(_next(state.cursor, id_at(now - timedelta(days=rules.shortest))))
        changed = _apply(rows, rules, now)
        if len(rows) < CHUNK:
            state.finished_at = now
        else:
            state.cursor = rows[-1].pk
        state.save()
    return changed


def _next(cursor: UUID | None, end: UUID) -> Iterable[Message]:
    rows = Message.objects.filter(pk__lt=end)
    if cursor is not None:
        rows = rows.filter(pk__gt=cursor)
    fields = ("status", "owner_id", "queue_id", "direction", "created_at", "erased_at")
    return rows.select_for_update(of=("self",)).order_by("pk").only(*fields)[:CHUNK]


def id_at(time: datetime) -> UUID:
    """The smallest UUIDv7 of that millisecond: ids order by time."""
    milliseconds = int(time.timestamp() * 1000)
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (0x2 << 62))


def _apply(rows: Iterable[Message], rules: Rules, now: datetime) -> int:
    expired_rows: list[Message] = []
    expired_texts: list[UUID] = []
    for message in rows:
        days = rules.days(message.owner_id, message.queue_id)
        if message.status in NOT_ENDED:
            continue
        if days.row is not None and message.created_at <= now - timedelta(days=days.row):
            expired_rows.append(message)
        elif days.text is not None and not message.erased_at and message.created_at <= now - timedelta(days=days.text):
            expired_texts.append(message.pk)
    erase_texts(expired_texts, now=now)
    delete_messages(expired_rows, now=now)
    return len(expired_rows) + len(expired_texts)


def erase_texts(message_ids: Collection[UUID], *, now: datetime) -> None:
    """Erase texts, files and raw callbacks of these messages, which no client gets any more; their history stays."""
    if not message_ids:
        return
    _delete_files(message_ids)
    ProviderCallback.objects.filter(message__in=message_ids).delete()
    GatewayText.objects.filter(message__in=message_ids).delete()
    Message.objects.filter(pk__in=message_ids).update(text="", parameters=None, media_count=0, erased_at=now)


def _delete_files(message_ids: Collection[UUID]) -> None:
    """Remove the attachments, and each owner's hold on their images; other owners of the same image keep it."""
    files = Attachment.objects.filter(message__in=message_ids)
    held = {
        (file.asset_id, file.message.owner)
        for file in files.filter(asset__isnull=False).select_related("message__owner")
        if file.asset_id is not None
    }
    files.delete()
    for asset_id, owner in held:
        if owner is None and MediaOwnership.objects.filter(asset=asset_id).exists():
            continue
        try:
            media.delete(asset_id=asset_id, owner=owner)
        except (AssetInUse, MediaAsset.DoesNotExist):
            continue  # another message has it, or it is already deleted


def delete_messages(messages: Collection[Message], *, now: datetime) -> None:
    """Delete the rows, with their files and raw callbacks. The counts of the statistics stay."""
    if not messages:
        return
    ids = [message.pk for message in messages]
    _delete_files(ids)
    ProviderCallback.objects.filter(message__in=ids).delete()
    counters = CounterBatch()
    for message in messages:
        counters.removed(message.owner_id, message.status, count=1, now=now)
    counters.write()
    Message.objects.filter(pk__in=ids).delete()
