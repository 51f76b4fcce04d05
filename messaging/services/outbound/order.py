"""Order per recipient: a message waits for older ones of its queue to the same number, but not for long.

It waits for one that is ready or in flight, or that is tried again within `ORDER_WAIT_SECONDS`. One that waits for an account,
for its hour or for a later round delays no other message. None waits for one of a lower priority: bulk sending delays no
single message, and neither delays a one-time password.

The two conditions are two queries, because each has an index of its own. One query would search all messages to a number that
wait for something else, which may be thousands, for each message behind them.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from messaging.models import Message
from messaging.policy.hours import OUTSIDE_HOURS
from messaging.retry_policy import WAITING_FOR_PROVIDER
from messaging.states import IN_DISPATCH, Status


def older_active(*, now: datetime) -> QuerySet[Message]:
    """The older messages, ready or in flight, that the outer query's message waits for."""
    return _older(now).filter(status__in=IN_DISPATCH, next_attempt_at__isnull=True)


def older_retried_soon(*, now: datetime) -> QuerySet[Message]:
    """The older messages that are tried again soon, and that the outer query's message waits for."""
    soon = now + timedelta(seconds=settings.ORDER_WAIT_SECONDS)
    queued = _older(now).filter(status=Status.QUEUED, next_attempt_at__isnull=False, next_attempt_at__lte=soon)
    return queued.exclude(error_code=WAITING_FOR_PROVIDER).exclude(error_code=OUTSIDE_HOURS, next_attempt_at__gt=now)


def waits(*, now: datetime, only_in_flight: bool = False) -> Q:
    """Whether a message of a queue that preserves the order waits for an older one.

    As one condition, it is checked for each message by these indexes. PostgreSQL makes joins of two conditions, and with old
    statistics it joins everything with everything. With `only_in_flight`, older messages that are ready do not count.
    """
    active = older_active(now=now)
    if only_in_flight:
        active = active.filter(status=Status.SENDING)
    return Q(Exists(active)) | Q(Exists(older_retried_soon(now=now)))


def _older(now: datetime) -> QuerySet[Message]:
    return Message.objects.filter(
        queue=OuterRef("queue"),
        to_number=OuterRef("to_number"),
        pk__lt=OuterRef("pk"),
        priority__lte=OuterRef("priority"),
        expires_at__gt=now,
    )
