"""Cancels a message before it is sent."""

from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from messaging import states
from messaging.models import Message
from messaging.services import transitions
from messaging.services.errors import NotCancelable
from messaging.services.transitions import Transition
from messaging.states import Source, Status


def cancel(*, message_id: UUID, actor: User, now: datetime, source: Source = Source.API, reason: str = "") -> Message:
    """Cancel a scheduled or queued message. Raises `NotCancelable` once a worker has claimed it."""
    with transaction.atomic():
        message = Message.objects.select_for_update().get(pk=message_id)
        if message.status not in states.CANCELABLE:
            raise NotCancelable(f"The message is {message.status}; only a scheduled or queued one can be canceled.")
        message.next_attempt_at = None
        transitions.apply(
            [Transition(message, Status.CANCELED, source, detail=reason, actor=actor)],
            now=now,
            fields=["next_attempt_at"],
        )
    return message
