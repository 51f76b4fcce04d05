"""What a batch of answers says, told to all processes: once for each batch, however often its settling has to be repeated.

A call that was not made says nothing of its account.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from messaging.database_faults import DATABASE_FAULTS
from messaging.services.outbound.dispatch import result_cache
from messaging.services.outbound.dispatch.result_cache import CachedResult
from messaging.services.outbound.dispatch.sending import SendResult
from providers.errors import NotCalled
from providers.services import note_circuits
from providers.state import account_state, circuit_breaker
from providers.state.account_state import CallResult

logger = logging.getLogger(__name__)


def record_results(answers: Sequence[SendResult], *, now: datetime) -> None:
    cache_accepted(answers, now=now)
    made = [
        CallResult(answer.call.account.slug, answer.error, answer.latency_ms, is_probe=answer.call.is_probe)
        for answer in answers
        if not isinstance(answer.error, NotCalled)
    ]
    for answer in answers:
        if isinstance(answer.error, NotCalled):
            account_state.invalidate()  # the account does otherwise than this process believed
            if answer.call.is_probe:
                circuit_breaker.release_probe(answer.call.account.slug)
    changes = account_state.record(made, now=now)
    if not changes:
        return
    try:
        note_circuits(changes, now=now)
    except DATABASE_FAULTS as error:
        logger.warning("a circuit's change could not be written down (%s)", type(error).__name__)


def cache_accepted(answers: Sequence[SendResult], *, now: datetime) -> None:
    """Keep what was accepted where the sweep finds it if this worker dies before it has settled."""
    accepted = [answer for answer in answers if answer.error is None]
    result_cache.put(
        {
            answer.call.attempt_id: CachedResult(answer.provider_message_id, answer.sent_at or now, answer.latency_ms)
            for answer in accepted
        }
    )


def extend_cache(answers: Sequence[SendResult], *, now: datetime) -> None:
    """While the answers cannot be written: remember the accepted ones for longer, and ask the sweep to wait for the others."""
    cache_accepted(answers, now=now)
    result_cache.hold(answer.call.attempt_id for answer in answers if answer.error is not None)
