"""Answers whose worker died before it could write them down: what is remembered of them is settled like any other."""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from messaging.database_faults import may_pass
from messaging.models import DeliveryAttempt
from messaging.services.outbound.dispatch import result_cache
from messaging.services.outbound.dispatch.attempts import Attempt
from messaging.services.outbound.dispatch.result_cache import CachedResult
from messaging.services.outbound.dispatch.sending import SendResult
from messaging.services.outbound.dispatch.settle import settle
from messaging.states import Status

logger = logging.getLogger(__name__)

MIDDLE = 0.5  # of the jitter: no next round follows, all of these were accepted
NO_LEASE = timedelta(0)  # and no next account


# So long begun claims wait for Redis when it cannot be asked: it may know that they were accepted.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CachedResults:
    """`settled`: answers that were written down. `held`: messages whose claims must not be returned now."""

    settled: int
    held: frozenset[UUID]


class Patience:
    """Of one process: how long its sweeps have not been able to ask Redis."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = self._last = -PATIENCE_SECONDS

    def lasts(self) -> bool:
        """Redis could not be asked. The time counts from the first of a series of such sweeps."""
        now = self._clock()
        if now - self._last >= PATIENCE_SECONDS:
            self._since = now
        self._last = now
        return now - self._since < PATIENCE_SECONDS

    def renew(self) -> None:
        """Redis was asked."""
        self._last = -PATIENCE_SECONDS


_patience = Patience()


def settle_cached(messages: Collection[UUID], *, now: datetime, patience: Patience = _patience) -> CachedResults:
    """Make those of these messages `sent` whose lease has ended and whose provider has accepted them.

    Messages whose answers a living worker keeps are held; so are all begun ones if Redis cannot be asked, while `patience`
    lasts. An answer that can never be written is left to the caller's sweep, and takes no other along. Raises a database fault
    that may pass: the answers have to be settled later, before anything is made of their claims.
    """
    attempts = {attempt.pk: attempt for attempt in _open_attempts(messages, now)}
    if not attempts:
        return CachedResults(0, frozenset())
    known = result_cache.get(attempts)
    if known is None:
        begun = frozenset(attempt.message_id for attempt in attempts.values())
        return CachedResults(0, begun if patience.lasts() else frozenset())
    patience.renew()
    answers = [_answer(attempts[attempt_id], sent) for attempt_id, sent in known.sent.items()]
    settled = _settle_or_split(answers, now) if answers else 0
    if settled:
        logger.warning("%d answers of workers that ended were found and written down", settled)
    return CachedResults(settled, frozenset(attempts[attempt_id].message_id for attempt_id in known.held))


def _open_attempts(messages: Collection[UUID], now: datetime) -> Sequence[DeliveryAttempt]:
    return DeliveryAttempt.objects.filter(
        message__in=messages,
        message__status=Status.SENDING,
        message__lease_until__lte=now,
        outcome=DeliveryAttempt.Outcome.CALLING,
    ).select_related("message", "provider")


def _settle_or_split(answers: Sequence[SendResult], now: datetime) -> int:
    """How many could be written."""
    try:
        settle(answers, now=now, lease=NO_LEASE, position=lambda: MIDDLE)
    except Exception as error:
        if may_pass(error):
            raise
        logger.error("%d remembered answers could not be settled together: %s", len(answers), type(error).__name__)
        return sum(_settle_or_split([answer], now) for answer in answers) if len(answers) > 1 else 0
    return len(answers)


def _answer(attempt: DeliveryAttempt, sent: CachedResult) -> SendResult:
    call = Attempt(attempt.pk, attempt.number, attempt.claim_id, attempt.message, attempt.provider, frozenset())
    return SendResult(call, sent.provider_message_id, None, sent.latency_ms, sent_at=sent.sent_at)
