"""Taking ready messages under a lease."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, Q, QuerySet
from uuid_utils.compat import uuid7

from messaging.models import Message, OutboundQueue
from messaging.services import transitions
from messaging.services.outbound import eligibility, order
from messaging.services.outbound.eligibility import Batch, Moment
from messaging.services.transitions import Transition
from messaging.states import Source, Status


def claim(
    *, queue_name: str, limit: int, now: datetime, lease: timedelta, created_by: datetime | None = None
) -> list[Message]:
    """Up to `limit` messages of the queue, the oldest first, now `sending` and ours until the lease ends.

    Two workers at once get different ones: PostgreSQL passes over locked rows, on SQLite the transaction is the only writer.
    `created_by` is for a paced queue's tick: it leaves younger messages for the next one, and ends before the second message
    to the same number, which is next as soon as the first is sent: the oldest go first, whoever they are for. Messages that
    `eligibility` refuses end or wait; they are not returned, and those behind them take their places.
    """
    claimed: list[Message] = []
    while len(claimed) < limit:
        taken, refused = _claim_once(queue_name, limit - len(claimed), now, lease, created_by)
        claimed += taken
        if not refused:
            break
    return claimed


def _claim_once(
    queue_name: str, limit: int, now: datetime, lease: timedelta, created_by: datetime | None
) -> tuple[list[Message], int]:
    """The messages taken, and how many were refused."""
    with transaction.atomic():
        queue = OutboundQueue.objects.filter(pk=queue_name, is_paused=False).first()
        if queue is None:
            return [], 0
        rows = list(_ready(queue, now, created_by).select_for_update(skip_locked=True)[:limit])
        if created_by is not None and queue.preserve_order:
            rows = _until_a_number_repeats(rows)
        if not rows:
            return [], 0
        refused = Batch(rows, now=now).refusals(Moment.CLAIM)
        eligibility.end(refused.values(), now=now, source=Source.DISPATCH)
        claimed = [row for row in rows if row.pk not in refused]
        for row in claimed:
            row.queue = queue  # its strategy decides about the account; nobody has to fetch it again
        _take(claimed, now, lease)
    return claimed, len(refused)


def _ready(queue: OutboundQueue, now: datetime, created_by: datetime | None) -> QuerySet[Message]:
    ready = Message.objects.filter(queue=queue, status=Status.QUEUED, next_attempt_at__isnull=True)
    if created_by is not None:
        ready = ready.filter(created_at__lte=created_by)
    if queue.preserve_order:
        older = order.older_unsent(now=now)
        if created_by is not None:
            older = older.filter(Q(status=Status.SENDING) | Q(next_attempt_at__isnull=False))
        ready = ready.filter(~Exists(older))
    return ready.order_by("is_bulk", "pk")


def _until_a_number_repeats(rows: list[Message]) -> list[Message]:
    seen: set[str] = set()
    for position, row in enumerate(rows):
        if row.to_number in seen:
            return rows[:position]
        seen.add(row.to_number)
    return rows


def _take(claimed: list[Message], now: datetime, lease: timedelta) -> None:
    claim_id = uuid7()
    for row in claimed:
        row.claim_id, row.lease_until = claim_id, now + lease
    transitions.apply([Transition(row, Status.SENDING, Source.DISPATCH) for row in claimed], now=now)
