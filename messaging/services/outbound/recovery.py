"""The work of ticks and sweeps: due messages, lost claims, expired messages, old rows. Every step is safe to repeat."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from knox.models import get_token_model

from messaging.models import DeliveryAttempt, IdempotencyRecord, InboundPart, Message, ProviderCallback
from messaging.policy.hours import HOURS_HAVE_BEGUN, OUTSIDE_HOURS
from messaging.services import transitions
from messaging.services.costs import budget_changes
from messaging.services.outbound import eligibility, idempotency
from messaging.services.outbound.dispatch import settle_cached
from messaging.services.outbound.eligibility import Batch, Moment
from messaging.services.privacy import retention
from messaging.services.reporting import rollups
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.transitions import Transition
from messaging.services.webhooks import event_log
from messaging.states import DEFERRABLE, Source, Status

logger = logging.getLogger(__name__)

CHUNK = 500
MAX_CHUNKS = 20
ORPHANED_AFTER = timedelta(minutes=10)


def _in_chunks(step: Callable[[], int]) -> int:
    """Repeat a step of at most `CHUNK` rows, each in its own transaction, up to `MAX_CHUNKS` times; return the row count."""
    total = 0
    for _ in range(MAX_CHUNKS):
        done = step()
        total += done
        if done < CHUNK:
            break
    return total


def due(now: datetime) -> QuerySet[Message]:
    """The messages that `release_due` makes ready."""
    return Message.objects.filter(status__in=DEFERRABLE, next_attempt_at__lte=now)


def release_due(*, now: datetime) -> int:
    """Make due deferred messages ready again, and queue due scheduled ones.

    Those that were held by hours come last: in the morning a million of them are due at once, and others must not wait.
    """
    others, held = due(now).exclude(error_code=OUTSIDE_HOURS), due(now).filter(error_code=OUTSIDE_HOURS)
    return sum(_in_chunks(partial(_release_chunk, messages, now)) for messages in (others, held))


def _release_chunk(messages: QuerySet[Message], now: datetime) -> int:
    with transaction.atomic():
        rows = list(messages.defer("text").order_by("next_attempt_at").select_for_update(skip_locked=True)[:CHUNK])
        deferred = [row.pk for row in rows if row.status == Status.QUEUED]
        if deferred:
            Message.objects.filter(pk__in=deferred).update(next_attempt_at=None, updated_at=now)
        # The code stays, as it tells statistics that the message was not due before; of one that ends now, also the reason.
        begun = [row.pk for row in rows if row.error_code == OUTSIDE_HOURS and (row.expires_at or now) > now]
        if begun:
            Message.objects.filter(pk__in=begun).update(error_detail=HOURS_HAVE_BEGUN)
        scheduled = [row for row in rows if row.status == Status.SCHEDULED]
        for row in scheduled:
            row.next_attempt_at = None
        transitions.apply(
            [Transition(row, Status.QUEUED, Source.SWEEP, detail="due") for row in scheduled],
            now=now,
            fields=["next_attempt_at"],
        )
    return len(rows)


def expire(*, now: datetime) -> int:
    """Fail queued messages whose validity has ended, also in paused queues."""
    return _in_chunks(lambda: _expire_chunk(now))


def _expire_chunk(now: datetime) -> int:
    with transaction.atomic():
        rows = list(
            Message.objects.filter(status=Status.QUEUED, expires_at__lte=now)
            .defer("text")
            .order_by("expires_at")
            .select_for_update(skip_locked=True)[:CHUNK]
        )
        refused = Batch(rows, now=now).refusals(Moment.SWEEP)
        eligibility.end(refused.values(), now=now, source=Source.SWEEP)
    return len(rows)


def return_expired_claims(*, now: datetime) -> int:
    """End the claims whose lease has ended; return how many.

    Call not started → `queued`, unless `eligibility` ends the message. Started → `sent` if the acceptance is cached, else
    `unknown` and never sent again. Each chunk settles the cached results of its own claims before it returns any of them, so no
    other sweep can return a claim whose result is known. Claims that `settle_cached` holds are left alone. A transient database
    fault is raised before the chunk is changed.
    """
    total, last = 0, None
    for _ in range(MAX_CHUNKS):
        chunk = _expired(now, last)
        if chunk:
            total += _end_claims([pk for pk, _ in chunk], now)
        if len(chunk) < CHUNK:
            break
        last = chunk[-1]
    return total


def _expired(now: datetime, last: tuple[UUID, datetime] | None) -> list[tuple[UUID, datetime]]:
    """Messages after `last` whose lease has ended, with that time. One sweep visits each of them once."""
    expired = Message.objects.filter(status=Status.SENDING, lease_until__lte=now)
    if last is not None:
        pk, lease_until = last
        expired = expired.filter(Q(lease_until__gt=lease_until) | Q(lease_until=lease_until, pk__gt=pk))
    rows = expired.order_by("lease_until", "pk").values_list("pk", "lease_until")[:CHUNK]
    return [(pk, lease_until) for pk, lease_until in rows if lease_until is not None]


def _end_claims(ids: Sequence[UUID], now: datetime) -> int:
    cached = settle_cached(ids, now=now)
    with transaction.atomic():
        rows = list(
            Message.objects.filter(pk__in=ids, status=Status.SENDING, lease_until__lte=now)
            .exclude(pk__in=cached.held)
            .defer("text")
            .order_by("lease_until")
            .select_for_update(skip_locked=True)
        )
        open_attempts = DeliveryAttempt.objects.filter(
            message__in=[row.pk for row in rows], outcome=DeliveryAttempt.Outcome.CALLING
        )
        lost = list(open_attempts.values_list("pk", "message_id", "provider_id"))
        started = {message_id for _, message_id, _ in lost}
        tally = _lose([(pk, slug) for pk, _, slug in lost], now)
        refused = Batch((row for row in rows if row.pk not in started), now=now).refusals(Moment.SWEEP)
        eligibility.end(refused.values(), now=now, source=Source.SWEEP)
        moves = [_returned(row, started=row.pk in started) for row in rows if row.pk not in refused]
        transitions.apply(moves, now=now, fields=["error_code", "error_detail"], tally=tally)
    if rows:
        logger.error("%d claims expired without a result; %d of them had started a call", len(rows), len(started))
    return len(rows) + cached.settled


def _lose(attempts: Sequence[tuple[UUID, str]], now: datetime) -> CounterBatch:
    """Close attempts (id, account) that no worker will settle, in the caller's transaction; return their counts."""
    tally = CounterBatch()
    for _, slug in attempts:
        tally.attempted(slug, DeliveryAttempt.Outcome.UNKNOWN, now=now)
    DeliveryAttempt.objects.filter(pk__in=[pk for pk, _ in attempts]).update(
        outcome=DeliveryAttempt.Outcome.UNKNOWN,
        error_code="worker_lost",
        error_detail="The worker ended before the provider's response was saved.",
        finished_at=now,
    )
    return tally


def _returned(row: Message, *, started: bool) -> Transition:
    if not started:
        return Transition(row, Status.QUEUED, Source.SWEEP, detail="the worker ended before the call")
    row.error_code = "worker_lost"
    row.error_detail = "The worker ended during the call; the provider may have sent the message."
    return Transition(row, Status.UNKNOWN, Source.SWEEP, row.provider_id or "", "the worker ended during the call")


def close_orphaned_attempts(*, now: datetime) -> int:
    """Close attempts left open: a receipt ended the message while its call was in flight, then the worker died."""
    orphans = DeliveryAttempt.objects.filter(
        outcome=DeliveryAttempt.Outcome.CALLING, started_at__lt=now - ORPHANED_AFTER
    ).exclude(message__status=Status.SENDING)
    with transaction.atomic():
        lost = list(orphans.select_for_update(skip_locked=True).values_list("pk", "provider_id")[:CHUNK])
        _lose(lost, now).write()
    return len(lost)


def purge(*, now: datetime) -> None:
    """Close orphaned attempts; delete old idempotency keys, callbacks, events, tokens, counts and charges."""
    close_orphaned_attempts(now=now)
    IdempotencyRecord.objects.filter(created_at__lt=now - idempotency.KEPT_FOR).delete()
    ProviderCallback.objects.filter(
        state__in=ProviderCallback.LOOSE, received_at__lt=now - retention.loose_callback_retention()
    ).delete()
    InboundPart.objects.filter(message=None, received_at__lt=now - retention.loose_callback_retention()).delete()
    event_log.purge(now=now)
    get_token_model().objects.filter(expiry__lt=now).delete()
    rollups.purge(now=now)
    budget_changes.purge(now=now)
