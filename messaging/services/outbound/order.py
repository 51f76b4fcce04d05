"""Order per recipient: a text waits for an older one of its queue to the same number."""

from datetime import datetime

from django.db.models import OuterRef, QuerySet

from messaging.models import Message
from messaging.states import IN_DISPATCH


def older_unsent(*, now: datetime) -> QuerySet[Message]:
    """The messages that the outer query's message waits for, where its queue keeps the order.

    A single message does not wait for a bulk one to the same number: bulk never delays what a person waits for.
    """
    return Message.objects.filter(
        queue=OuterRef("queue"),
        to_number=OuterRef("to_number"),
        status__in=IN_DISPATCH,
        pk__lt=OuterRef("pk"),
        is_bulk__lte=OuterRef("is_bulk"),
        expires_at__gt=now,
    )
