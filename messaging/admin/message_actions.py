"""Row actions on messages. Each calls the service that the API calls."""

from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from messaging import notifier, states
from messaging.console.row_actions import RowAction
from messaging.models import Message
from messaging.services.errors import DomainError
from messaging.services.outbound.cancel import cancel
from messaging.services.outbound.resolve import resolve
from messaging.services.outbound.retry import retry
from messaging.states import Source, Status


def _retry(pk: Any, user: User, reason: str) -> Message:
    return retry(message_id=pk, reason=reason, actor=user, now=timezone.now())


def _cancel(pk: Any, user: User, reason: str) -> Message:
    return cancel(message_id=pk, reason=reason, actor=user, now=timezone.now(), source=Source.ADMIN)


def _resolve(outcome: Status, pk: Any, user: User, reason: str) -> Message:
    return resolve(message_id=pk, outcome=outcome, reason=reason, actor=user, now=timezone.now())


def _notify_queues(rows: list[Message]) -> None:
    for queue in sorted({row.queue_id for row in rows if row.queue_id}):
        notifier.notify_queue(queue)


ACTIONS = (
    RowAction(
        name="retry_selected",
        title="Retry",
        done="queued again",
        permission="messaging.retry_message",
        icon="replay",
        run=_retry,
        refusals=DomainError,
        warning="An unknown message may already have been delivered. Retrying it may send it twice.",
        after=_notify_queues,
        is_available=lambda row: row.status in states.RETRYABLE and row.erased_at is None,
    ),
    RowAction(
        name="cancel_selected",
        title="Cancel",
        done="canceled",
        permission="messaging.change_message",
        icon="cancel",
        run=_cancel,
        refusals=DomainError,
        is_danger=True,
        is_available=lambda row: row.status in states.CANCELABLE,
    ),
    RowAction(
        name="mark_delivered_selected",
        title="Mark as delivered",
        done="marked as delivered",
        permission="messaging.resolve_message",
        icon="task_alt",
        run=partial(_resolve, Status.DELIVERED),
        refusals=DomainError,
        warning="Only for unknown messages whose outcome you have checked. This is final: a later receipt does not change it.",
        is_available=lambda row: row.status == Status.UNKNOWN,
    ),
    RowAction(
        name="mark_failed_selected",
        title="Mark as failed",
        done="marked as failed",
        permission="messaging.resolve_message",
        icon="error",
        run=partial(_resolve, Status.FAILED),
        refusals=DomainError,
        warning="Only for unknown messages whose outcome you have checked. This is final: a later receipt does not change it.",
        is_danger=True,
        is_available=lambda row: row.status == Status.UNKNOWN,
    ),
)
