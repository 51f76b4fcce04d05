"""Manual redelivery: one delivery, or every event of a time range."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from messaging.event_types import EventType
from messaging.models import ClientEvent, Message, WebhookDelivery, WebhookEndpoint
from messaging.services.errors import EndpointDisabled, NotRedeliverable
from messaging.services.webhooks import dialects
from messaging.states import Direction

State = WebhookDelivery.State
MAX_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Redelivered:
    """The number of deliveries now due. `after` is the sequence to continue from, or None when all are done."""

    count: int
    after: int | None


def redeliver(*, delivery_id: UUID, now: datetime) -> WebhookDelivery:
    """Make the delivery due now, with all its attempts again. Raises `NotRedeliverable` or `EndpointDisabled`."""
    with transaction.atomic():
        row = WebhookDelivery.objects.select_for_update().get(pk=delivery_id)
        if not row.endpoint.is_enabled:
            raise EndpointDisabled("The endpoint is disabled; enable it first.")
        if row.state == State.SENDING:
            raise NotRedeliverable("The delivery is in progress.")
        row.state, row.attempts, row.next_attempt_at, row.finished_at = State.PENDING, 0, now, None
        row.save(update_fields=["state", "attempts", "next_attempt_at", "finished_at"])
    return row


def redeliver_range(
    *, endpoint_id: UUID, since: datetime, until: datetime, now: datetime, after: int = 0
) -> Redelivered:
    """Deliver the events from `since` to before `until` again, in order: delivered, failed, and those missed while the endpoint
    was disabled or did not exist. Waiting deliveries become due now; deliveries in progress are left alone.

    At most `MAX_AT_ONCE` events, beginning after the sequence `after`. Raises `EndpointDisabled`.
    """
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
        if not endpoint.is_enabled:
            raise EndpointDisabled("The endpoint is disabled; enable it first.")
        rows = _events(endpoint, since, until, after)
        events, is_more = rows[:MAX_AT_ONCE], len(rows) > MAX_AT_ONCE
        again = endpoint.deliveries.filter(event__in=[pk for pk, _, is_known in events if is_known])
        due = again.exclude(state=State.SENDING).update(
            state=State.PENDING, attempts=0, next_attempt_at=now, finished_at=None
        )
        made = WebhookDelivery.objects.bulk_create(
            WebhookDelivery(endpoint=endpoint, event_id=pk, next_attempt_at=now, created_at=now)
            for pk, _, is_known in events
            if not is_known
        )
    return Redelivered(due + len(made), after=events[-1][1] if is_more else None)


def _events(
    endpoint: WebhookEndpoint, since: datetime, until: datetime, after: int
) -> list[tuple[int, int | None, bool]]:
    """Id, sequence and "has a delivery" of the owner's events that the endpoint subscribes to or has received."""
    known = Exists(WebhookDelivery.objects.filter(endpoint=endpoint, event=OuterRef("pk")))
    dialect = dialects.named(endpoint.dialect)
    events = ClientEvent.objects.filter(
        owner=endpoint.owner_id,
        sequence__gt=after,
        at__gte=since,
        at__lt=until,
        type__in=[name for name in EventType if dialect.wants(name, "")],
    ).annotate(is_known=known)
    if endpoint.events:
        events = events.filter(Q(is_known=True) | Q(type__in=endpoint.events))
    if endpoint.number:
        events = events.filter(Q(is_known=True) | Q(_is_at(endpoint.number)))
    return list(events.order_by("sequence").values_list("pk", "sequence", "is_known")[: MAX_AT_ONCE + 1])


def _is_at(number: str) -> Exists:
    """Whether an event's message was sent from, or received at, this number of ours."""
    ours = Q(direction=Direction.INBOUND, to_number=number) | Q(direction=Direction.OUTBOUND, from_number=number)
    return Exists(Message.objects.filter(ours, pk=OuterRef("message_id")))
