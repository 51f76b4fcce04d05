"""Accounts that refuse a message are not asked for it again, in no later round."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from messaging.models import DeliveryAttempt, Message


@dataclass(frozen=True, slots=True)
class Refusals:
    """The slugs of the accounts, and the code and the detail of the latest refusal."""

    slugs: frozenset[str]
    error_code: str
    error_detail: str


def earlier_refusals(messages: Sequence[Message]) -> dict[UUID, Refusals]:
    """The refusals of each message since it was accepted, or since an operator queued it again. At most one query."""
    tried = {message.pk: message for message in messages if message.attempts}
    if not tried:
        return {}
    found: dict[UUID, Refusals] = {}
    refused = DeliveryAttempt.objects.filter(message__in=list(tried), outcome=DeliveryAttempt.Outcome.REJECTED)
    for attempt in refused.order_by("message", "number"):
        if not _is_outdated(attempt, tried[attempt.message_id]):
            before = found.get(attempt.message_id)
            slugs = (before.slugs if before else frozenset()) | {attempt.provider_id}
            found[attempt.message_id] = Refusals(slugs, attempt.error_code, attempt.error_detail)
    return found


def _is_outdated(attempt: DeliveryAttempt, message: Message) -> bool:
    """A validity begins when the message is accepted, and anew when an operator queues it again."""
    if message.expires_at is None or message.valid_for is None:
        return False
    return attempt.started_at < message.expires_at - timedelta(seconds=message.valid_for)
