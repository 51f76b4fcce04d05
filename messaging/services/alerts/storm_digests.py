"""Send the digests of held notices when their minute ends: one text for each channel, in the transaction that releases them."""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from messaging.models import AlertChannel, AlertNotice, Message
from messaging.models.encrypted import fault_of
from messaging.services.alerts import notices, texts
from messaging.services.alerts.notices import AlertTarget
from messaging.services.errors import DomainError

logger = logging.getLogger(__name__)

MOST_CHANNELS, MOST_NOTICES = 100, 5_000
UNREADABLE = "alert"


def due(now: datetime) -> QuerySet[AlertChannel]:
    """The channels whose digest is due."""
    return AlertChannel.objects.filter(digest_due_at__lte=now)


def send_due(*, default_queue: str, now: datetime) -> list[Message]:
    """Send the digests that are due, each in a transaction; return their messages."""
    messages: list[Message] = []
    for _ in range(MOST_CHANNELS):
        sent = _send_next(default_queue, now)
        if sent is None:
            break
        messages += sent
    return messages


def _send_next(default_queue: str, now: datetime) -> Sequence[Message] | None:
    """The digest of one channel; None if none is due, or others are sending them."""
    with transaction.atomic():
        rows = due(now).select_related("owner", "receiver__owner").order_by("digest_due_at")
        channel = rows.select_for_update(skip_locked=True, of=("self",)).first()
        if channel is None:
            return None
        held = list(channel.notices.filter(is_held=True).order_by("pk")[:MOST_NOTICES])
        sent = _send(channel, held, default_queue, now)
        if held:
            channel.notices.filter(is_held=True, pk__lte=held[-1].pk).update(is_held=False, counts={})
        channel.recent = [*notices.still_recent(channel.recent, now), *([now.timestamp()] if sent else [])]
        channel.digest_due_at = now + notices.MINUTE if len(held) == MOST_NOTICES else None
        channel.save(update_fields=["recent", "digest_due_at"])
    return sent


def _send(channel: AlertChannel, held: Sequence[AlertNotice], default_queue: str, now: datetime) -> Sequence[Message]:
    target = _target(channel)
    if not held or not target.recipients:
        return ()
    text = texts.digest_text(_counts(held), max_segments=target.max_segments)
    try:
        return notices.send(target, text, default_queue, now).messages
    except DomainError as refusal:
        logger.error("a digest of %d held alert notices was not sent (%s)", len(held), refusal.code)
        return ()


def _target(channel: AlertChannel) -> AlertTarget:
    if channel.receiver is not None:
        return AlertTarget.of(channel.receiver)
    return AlertTarget(channel.owner, tuple(channel.recipients))


def _counts(held: Sequence[AlertNotice]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for notice in held:
        counts.update({UNREADABLE: 1} if fault_of(notice, "counts") else notice.counts)
    return counts
