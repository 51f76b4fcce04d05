"""Shares a batch of results with all processes: once, however often settling has to be repeated.

A call that was not made says nothing about its account.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from messaging.database_faults import DATABASE_FAULTS
from messaging.services.outbound.dispatch import result_cache
from messaging.services.outbound.dispatch.result_cache import CachedResult
from messaging.services.outbound.dispatch.sending import SendResult
from providers.errors import MediaRefused, NotCalled
from providers.services import note_changes
from providers.state import account_state, circuit_breaker
from providers.state.account_state import CallResult

logger = logging.getLogger(__name__)

NOT_MADE = (NotCalled, MediaRefused)


def record_results(results: Sequence[SendResult], *, now: datetime) -> None:
    cache_accepted(results, now=now)
    made = [
        CallResult(
            result.attempt.account.slug,
            result.error,
            result.latency_ms,
            is_probe=result.attempt.is_probe,
            recipient=result.attempt.message.to_number,
        )
        for result in results
        if not isinstance(result.error, NOT_MADE)
    ]
    for result in results:
        if isinstance(result.error, NotCalled):
            account_state.invalidate()  # this process's copy of the account's state was out of date
        if isinstance(result.error, NOT_MADE) and result.attempt.is_probe:
            circuit_breaker.release_probe(result.attempt.account.slug)
    changes = account_state.record(made, now=now)
    if not changes:
        return
    try:
        note_changes(changes, now=now)
    except DATABASE_FAULTS as error:
        logger.warning("event of an account not saved (%s)", type(error).__name__)


def cache_accepted(results: Sequence[SendResult], *, now: datetime) -> None:
    """Keep acceptances where the sweep finds them if this worker dies before it has settled them."""
    result_cache.put(
        {
            result.attempt.attempt_id: CachedResult(
                result.provider_message_id, result.sent_at or now, result.latency_ms, result.part_ids
            )
            for result in results
            if result.error is None
        }
    )


def extend_cache(results: Sequence[SendResult], *, now: datetime) -> None:
    """While the database is unavailable: keep acceptances for longer, and make the sweep wait for the other results."""
    cache_accepted(results, now=now)
    result_cache.hold(result.attempt.attempt_id for result in results if result.error is not None)
