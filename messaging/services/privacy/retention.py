"""Texts and rows that have had their time, a chunk at a time, from the oldest on."""

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
from messaging.models import Attachment, Message, ProviderCallback, RetentionPass, RetentionRule
from messaging.services.reporting.rollups import CounterBatch
from messaging.states import NOT_ENDED

logger = logging.getLogger(__name__)

CHUNK = 1_000
# What belongs to no message, and so to no owner and no queue.
LOOSE_DAYS = 30
# A new walk over all that is kept begins so long after the last one began.
PAUSE = timedelta(hours=20)


@dataclass(frozen=True, slots=True)
class Days:
    """Null keeps for ever."""

    text: int | None
    row: int | None

    @property
    def least(self) -> int | None:
        return min((days for days in (self.text, self.row) if days is not None), default=None)


class Rules:
    """All rules, read once for a chunk."""

    def __init__(self) -> None:
        self._everywhere = Days(settings.RETENTION_TEXT_DAYS or None, settings.RETENTION_ROW_DAYS or None)
        rows = RetentionRule.objects.values_list("owner_id", "queue_id", "text_days", "row_days")
        self._special = {(owner, queue): Days(text, row) for owner, queue, text, row in rows}

    def days(self, owner_id: int | None, queue_id: str | None) -> Days:
        keys = ((owner_id, queue_id), (owner_id, None), (None, queue_id))
        return next((self._special[key] for key in keys if key in self._special), self._everywhere)

    @property
    def least(self) -> int | None:
        """After how many days the first thing goes at all; None when nothing ever does."""
        all_days = (self._everywhere, *self._special.values())
        return min((days.least for days in all_days if days.least is not None), default=None)


def loose_callback_retention() -> timedelta:
    """What providers said that belongs to no message goes when the first text of anybody's would go."""
    return timedelta(days=min(LOOSE_DAYS, Rules().least or LOOSE_DAYS))


def walk(*, now: datetime, chunks: int) -> int:
    """Go on with the walk for at most so many chunks; returns how many messages lost their text or their row."""
    total = 0
    for _ in range(chunks):
        changed = step(now=now)
        if changed is None:
            break
        total += changed
    return total


def step(*, now: datetime) -> int | None:
    """One chunk in one transaction; None when there is nothing to do for now. Two workers do not walk at once."""
    rules = Rules()
    if rules.least is None:
        return None
    with transaction.atomic():
        RetentionPass.objects.get_or_create(pk=1)
        state = RetentionPass.objects.select_for_update().get(pk=1)
        if state.finished_at is not None and state.started_at + PAUSE > now:
            return None
        if state.started_at is None or state.finished_at is not None:
            state.started_at, state.finished_at, state.cursor = now, None, None
        rows = list(_next(state.cursor, _id_at(now - timedelta(days=rules.least))))
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


def _id_at(moment: datetime) -> UUID:
    """The smallest UUIDv7 of that moment: ids order by time, so a time is a place among them."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (0x2 << 62))


def _apply(rows: Iterable[Message], rules: Rules, now: datetime) -> int:
    gone, faded = [], []
    for message in rows:
        days = rules.days(message.owner_id, message.queue_id)
        if message.status in NOT_ENDED:
            continue
        if days.row is not None and message.created_at <= now - timedelta(days=days.row):
            gone.append(message)
        elif days.text is not None and not message.erased_at and message.created_at <= now - timedelta(days=days.text):
            faded.append(message.pk)
    erase_texts(faded, now=now)
    _delete(gone, now)
    return len(gone) + len(faded)


def erase_texts(message_ids: Collection[UUID], *, now: datetime) -> None:
    """Texts, files and raw callbacks of these messages; what happened to them stays."""
    if not message_ids:
        return
    _take_files(message_ids)
    ProviderCallback.objects.filter(message__in=message_ids).delete()
    Message.objects.filter(pk__in=message_ids).update(text="", media_count=0, erased_at=now)


def _take_files(message_ids: Collection[UUID]) -> None:
    """An owner's claim ends with the owner's message; who else has the same image keeps it."""
    files = Attachment.objects.filter(message__in=message_ids)
    claims = {
        (file.asset_id, file.message.owner)
        for file in files.filter(asset__isnull=False).select_related("message__owner")
    }
    files.delete()
    for asset_id, owner in claims:
        if owner is None and MediaOwnership.objects.filter(asset=asset_id).exists():
            continue
        try:
            media.delete(asset_id=asset_id, owner=owner)
        except (AssetInUse, MediaAsset.DoesNotExist):
            continue  # another message has it, or it is gone already


def _delete(messages: Collection[Message], now: datetime) -> None:
    if not messages:
        return
    ids = [message.pk for message in messages]
    _take_files(ids)
    ProviderCallback.objects.filter(message__in=ids).delete()
    tally = CounterBatch()
    for message in messages:
        tally.removed(message.owner_id, message.status, count=1, now=now)
    tally.write()
    Message.objects.filter(pk__in=ids).delete()
