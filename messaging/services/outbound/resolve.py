"""Resolves an `unknown` message: an operator states whether it was delivered."""

from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from messaging.models import Message
from messaging.services import transitions
from messaging.services.errors import NotResolvable
from messaging.services.transitions import Transition
from messaging.states import Source, Status


def resolve(*, message_id: UUID, outcome: Status, reason: str, actor: User, now: datetime) -> Message:
    """Set an `unknown` message to `delivered` or `failed`, for good: later receipts do not change it.

    Raises `NotResolvable` for any other message.
    """
    with transaction.atomic():
        message = Message.objects.select_for_update().get(pk=message_id)
        if message.status != Status.UNKNOWN:
            raise NotResolvable(f"The message is {message.status}; only an unknown one can be resolved.")
        if outcome is Status.DELIVERED:
            message.delivered_at = message.delivered_at or now
            message.sent_at = message.sent_at or now
            message.error_code = message.error_detail = ""
        else:
            message.error_code, message.error_detail = "resolved_as_failed", reason[:300]
        transitions.apply(
            [Transition(message, outcome, Source.OPERATOR, detail=reason, actor=actor, by_operator=True)],
            now=now,
            fields=["delivered_at", "sent_at", "error_code", "error_detail"],
        )
    return message
