"""Answers whose worker died before it could write them down: what is remembered of them is settled like any other."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import DataError, IntegrityError

from messaging.models import DeliveryAttempt
from messaging.services import sent_ids
from messaging.services.dispatch.begin import Call
from messaging.services.dispatch.calls import Answer
from messaging.services.dispatch.settle import settle
from messaging.services.sent_ids import SentId
from messaging.states import Status

logger = logging.getLogger(__name__)

CHUNK = 500
MIDDLE = 0.5  # nobody waits for a next round: all of these were accepted


def settle_remembered(*, now: datetime, lease: timedelta) -> int:
    """Accepted messages whose lease is over become `sent`; returns how many. Before the sweep that calls them `unknown`.

    An answer that cannot be written at all is left to that sweep, and takes no other along.
    """
    lost = (
        DeliveryAttempt.objects.filter(
            message__status=Status.SENDING, message__lease_until__lte=now, outcome=DeliveryAttempt.Outcome.CALLING
        )
        .select_related("message", "provider")
        .order_by("message__lease_until")[:CHUNK]
    )
    attempts = {attempt.pk: attempt for attempt in lost}
    known = sent_ids.recall(attempts)
    if not known:
        return 0
    answers = [_answer(attempts[attempt_id], sent) for attempt_id, sent in known.items()]
    written = _settle_or_split(answers, now, lease)
    logger.warning("%d answers of workers that ended were found and written down", written)
    return written


def _settle_or_split(answers: Sequence[Answer], now: datetime, lease: timedelta) -> int:
    """How many could be written."""
    try:
        settle(answers, now=now, lease=lease, position=lambda: MIDDLE)
    except (IntegrityError, DataError) as error:
        logger.error("%d remembered answers could not be settled together: %s", len(answers), type(error).__name__)
        return sum(_settle_or_split([answer], now, lease) for answer in answers) if len(answers) > 1 else 0
    return len(answers)


def _answer(attempt: DeliveryAttempt, sent: SentId) -> Answer:
    call = Call(attempt.pk, attempt.number, attempt.claim_id, attempt.message, attempt.provider, frozenset())
    return Answer(call, sent.provider_message_id, None, sent.latency_ms, sent_at=sent.sent_at)
