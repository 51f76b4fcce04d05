"""Messages whose text cannot be sent: it has been erased, or none of this process's keys opens it."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from messaging.encryption import CannotBeOpened
from messaging.models import Message
from messaging.models.encrypted import fault_of
from messaging.services import transitions
from messaging.services.transitions import Move
from messaging.states import Source, Status

logger = logging.getLogger(__name__)

ERASED = ("erased", "The text has been erased.")
UNREADABLE = CannotBeOpened.code
PUT_OFF = timedelta(minutes=1)
FIELDS = ("error_code", "error_detail", "next_attempt_at")


def put_off(messages: Iterable[Message], now: datetime) -> list[Message]:
    """Those whose text cannot be opened, with a time to look again: their key may be brought, or their validity ends.

    Sets the attributes only, those of `FIELDS`. Said once for each message.
    """
    unreadable = []
    for message in messages:
        fault = fault_of(message, "text")
        if fault is None:
            continue
        if message.error_code != UNREADABLE:
            logger.error("message %s waits, its text cannot be opened: %s", message.pk, fault)
        message.error_code, message.error_detail = UNREADABLE, f"The text cannot be opened: {fault}."
        message.next_attempt_at = min(now + PUT_OFF, message.expires_at)
        unreadable.append(message)
    return unreadable


def without_lost_texts(held: dict[UUID, Message], now: datetime) -> dict[UUID, Message]:
    """Claimed ones whose text is lost end or wait here. Before each call, like `without_opted_out`."""
    erased = [message for message in held.values() if message.erased_at is not None]
    for message in erased:
        message.error_code, message.error_detail = ERASED
    unreadable = put_off([message for message in held.values() if message.erased_at is None], now)
    moves = [Move(message, Status.FAILED, Source.DISPATCH, detail=ERASED[0]) for message in erased]
    moves += [Move(message, Status.QUEUED, Source.DISPATCH, detail=UNREADABLE) for message in unreadable]
    transitions.apply(moves, now=now, fields=FIELDS)
    lost = {move.message.pk for move in moves}
    return {pk: message for pk, message in held.items() if pk not in lost}
