"""What a batch of answers says, told to all processes: once for each batch, however often its settling has to be repeated.

A call that was not made says nothing of its account.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from messaging.database_faults import DATABASE_FAULTS
from messaging.services import sent_ids
from messaging.services.dispatch.calls import Answer
from messaging.services.sent_ids import SentId
from providers import breaker, standing
from providers.errors import NotCalled
from providers.services import note_circuits
from providers.standing import Made

logger = logging.getLogger(__name__)


def observe(answers: Sequence[Answer], *, now: datetime) -> None:
    remember(answers, now=now)
    made = [
        Made(answer.call.account.slug, answer.error, answer.latency_ms, is_probe=answer.call.is_probe)
        for answer in answers
        if not isinstance(answer.error, NotCalled)
    ]
    for answer in answers:
        if isinstance(answer.error, NotCalled):
            standing.forget()  # the account does otherwise than this process believed
            if answer.call.is_probe:
                breaker.give_back(answer.call.account.slug)
    changes = standing.record(made, now=now)
    if not changes:
        return
    try:
        note_circuits(changes, now=now)
    except DATABASE_FAULTS as error:
        logger.warning("a circuit's change could not be written down (%s)", type(error).__name__)


def remember(answers: Sequence[Answer], *, now: datetime) -> None:
    """Keep what was accepted where the sweep finds it if this worker dies before it has settled."""
    accepted = [answer for answer in answers if answer.error is None]
    sent_ids.remember(
        {
            answer.call.attempt_id: SentId(answer.provider_message_id, answer.sent_at or now, answer.latency_ms)
            for answer in accepted
        }
    )


def keep(answers: Sequence[Answer], *, now: datetime) -> None:
    """While the answers cannot be written: remember the accepted ones for longer, and ask the sweep to wait for the others."""
    remember(answers, now=now)
    sent_ids.hold(answer.call.attempt_id for answer in answers if answer.error is not None)
