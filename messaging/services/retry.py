"""An operator sends a message once more that has ended badly or unknown."""

from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from messaging import states
from messaging.models import DeliveryAttempt, Message, PhoneNumber
from messaging.services import transitions
from messaging.services.errors import NotRetryable, RecipientInactive
from messaging.services.transitions import Move
from messaging.states import Source, Status
from providers.models import SenderNumber

RESET_FIELDS = (
    "rounds_failed", "next_attempt_at", "expires_at", "error_code", "error_detail", "from_number",
    "provider", "provider_message_id", "sent_at", "cancel_requested",
)  # fmt: skip


def retry(*, message_id: UUID, reason: str, actor: AbstractBaseUser, now: datetime) -> Message:
    """Back into its queue, valid for as long as it once was. Raises `NotRetryable` or `RecipientInactive`.

    The operator answers for what the product never does on its own: an `unknown` message may reach the person twice.
    """
    with transaction.atomic():
        message = Message.objects.select_for_update().get(pk=message_id)
        if message.status not in states.RETRYABLE:
            raise NotRetryable(
                f"The message is {message.status}; only a failed, undelivered or unknown one can be retried."
            )
        if PhoneNumber.objects.filter(number=message.to_number, status=PhoneNumber.Status.INACTIVE).exists():
            raise RecipientInactive("This number is inactive; activate it first.")
        _close_open_attempt(message, now)
        _reset(message, now)
        transitions.apply(
            [Move(message, Status.QUEUED, Source.OPERATOR, detail=reason, actor=actor, by_operator=True)],
            now=now,
            fields=RESET_FIELDS,
        )
    return message


def _close_open_attempt(message: Message, now: datetime) -> None:
    """A receipt may have ended the message before the answer came, and its worker may be gone: make room for the next call."""
    message.delivery_attempts.filter(outcome=DeliveryAttempt.Outcome.CALLING).update(
        outcome=DeliveryAttempt.Outcome.UNKNOWN,
        error_code="superseded",
        error_detail="The message was queued again before the provider's answer was written down.",
        finished_at=now,
    )


def _reset(message: Message, now: datetime) -> None:
    message.expires_at = now + timedelta(seconds=message.valid_for)
    message.rounds_failed = 0
    message.next_attempt_at = None
    message.error_code = message.error_detail = ""
    message.provider_id = None
    message.provider_message_id = ""
    message.sent_at = None
    message.cancel_requested = False
    if not SenderNumber.objects.filter(number=message.from_number).exists():
        # It was the own number of the account that carried it: the next account has its own.
        message.from_number = ""
