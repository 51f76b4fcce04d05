"""What a batch of answers says about the accounts: once for each batch, however often its settling has to be repeated."""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import DatabaseError

from messaging.services.dispatch.calls import Answer
from providers import standing
from providers.services import note_circuits
from providers.standing import Made

logger = logging.getLogger(__name__)


def observe(answers: Sequence[Answer], *, now: datetime) -> None:
    made = [
        Made(answer.call.account.slug, answer.error, answer.latency_ms, is_probe=answer.call.is_probe)
        for answer in answers
    ]
    changes = standing.record(made, now=now)
    if not changes:
        return
    try:
        note_circuits(changes, now=now)
    except DatabaseError as error:
        logger.warning("a circuit's change could not be written down (%s)", type(error).__name__)
