"""Settles results that a worker received but died before saving. They are found in the result cache."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from messaging.database_faults import may_pass
from messaging.models import DeliveryAttempt
from messaging.services.outbound.dispatch import result_cache
from messaging.services.outbound.dispatch.attempts import Attempt
from messaging.services.outbound.dispatch.result_cache import CachedResult
from messaging.services.outbound.dispatch.rounds import Round
from messaging.services.outbound.dispatch.sending import SendResult
from messaging.services.outbound.dispatch.settle import settle
from messaging.states import Status

logger = logging.getLogger(__name__)

# All of these were accepted, so neither a next round nor another account follows.
NO_JITTER = 0.5
NO_LEASE = timedelta(0)

# How long messages with an open attempt wait for Redis while it is unavailable: it may know that they were accepted.
GRACE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CachedResults:
    """`settled`: number of results saved. `held`: messages whose claims must not be returned now."""

    settled: int
    held: frozenset[UUID]


class GracePeriod:
    """How long this process's sweeps wait for Redis. It begins with the first of a series of sweeps without Redis."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = self._last = -GRACE_SECONDS

    def lasts(self) -> bool:
        """Call it when Redis is unavailable. Returns True while messages have to wait."""
        now = self._clock()
        if now - self._last >= GRACE_SECONDS:
            self._since = now
        self._last = now
        return now - self._since < GRACE_SECONDS

    def reset(self) -> None:
        """Call it when Redis has responded."""
        self._last = -GRACE_SECONDS


_grace = GracePeriod()


def settle_cached(messages: Collection[UUID], *, now: datetime, grace: GracePeriod = _grace) -> CachedResults:
    """Make those of these messages `sent` whose lease has ended and whose result in the cache is an acceptance.

    Messages are held whose results a living worker is about to save, and all with an open attempt while Redis is unavailable
    and `grace` lasts. A result that cannot be written is left to the caller's sweep and does not prevent the others. Raises a
    passing database fault: then the results have to be settled before the claims are returned.
    """
    attempts = {attempt.pk: attempt for attempt in _open_attempts(messages, now)}
    if not attempts:
        return CachedResults(0, frozenset())
    cached = result_cache.get(attempts)
    if cached is None:
        started = frozenset(attempt.message_id for attempt in attempts.values())
        return CachedResults(0, started if grace.lasts() else frozenset())
    grace.reset()
    results = [_result(attempts[attempt_id], accepted) for attempt_id, accepted in cached.accepted.items()]
    settled = _settle_or_split(results, now) if results else 0
    if settled:
        logger.warning("saved %d results of workers that had died", settled)
    return CachedResults(settled, frozenset(attempts[attempt_id].message_id for attempt_id in cached.held))


def settle_late(attempt_id: UUID, *, provider_message_id: str, part_ids: tuple[str, ...], now: datetime) -> bool:
    """Save an acceptance that no worker waits for any more; returns False if the attempt has another result already."""
    unsettled = (DeliveryAttempt.Outcome.CALLING, DeliveryAttempt.Outcome.UNKNOWN)
    rows = DeliveryAttempt.objects.filter(pk=attempt_id, outcome__in=unsettled)
    attempt = rows.select_related("message", "provider").first()
    if attempt is None:
        return False
    latency_ms = int((now - attempt.started_at).total_seconds() * 1000)
    accepted = CachedResult(provider_message_id, now, latency_ms, part_ids if len(part_ids) > 1 else ())
    settle([_result(attempt, accepted)], now=now, lease=NO_LEASE, position=lambda: NO_JITTER)
    return True


def _open_attempts(messages: Collection[UUID], now: datetime) -> Iterable[DeliveryAttempt]:
    return DeliveryAttempt.objects.filter(
        message__in=messages,
        message__status=Status.SENDING,
        message__lease_until__lte=now,
        outcome=DeliveryAttempt.Outcome.CALLING,
    ).select_related("message", "provider")


def _settle_or_split(results: Sequence[SendResult], now: datetime) -> int:
    """The number of results saved."""
    try:
        settle(results, now=now, lease=NO_LEASE, position=lambda: NO_JITTER)
    except Exception as error:
        if may_pass(error):
            raise
        logger.error("%d cached results could not be settled together: %s", len(results), type(error).__name__)
        return sum(_settle_or_split([result], now) for result in results) if len(results) > 1 else 0
    return len(results)


def _result(attempt: DeliveryAttempt, cached: CachedResult) -> SendResult:
    sent = Attempt(attempt.pk, attempt.number, attempt.message, attempt.provider, Round(attempt.claim_id))
    return SendResult(
        sent, cached.provider_message_id, None, cached.latency_ms, sent_at=cached.sent_at, part_ids=cached.part_ids
    )
