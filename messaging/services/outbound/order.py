"""Order per recipient: a message waits for older ones of its queue to the same number."""

from datetime import datetime

from django.db.models import OuterRef, QuerySet

from messaging.models import Message
from messaging.states import IN_DISPATCH


def older_unsent(*, now: datetime) -> QuerySet[Message]:
    """The messages that the outer query's message waits for when its queue preserves the order.

    A single message does not wait for a bulk one to the same number: bulk sending never delays it.
    """
    return Message.objects.filter(
        queue=OuterRef("queue"),
        to_number=OuterRef("to_number"),
        status__in=IN_DISPATCH,
        pk__lt=OuterRef("pk"),
        is_bulk__lte=OuterRef("is_bulk"),
        expires_at__gt=now,
    )
