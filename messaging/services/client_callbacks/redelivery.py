"""Delivering once more, by hand: one delivery, or what an endpoint missed in a stretch of time."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from messaging.models import ClientEvent, WebhookDelivery, WebhookEndpoint
from messaging.services.errors import EndpointDisabled, NotRedeliverable

State = WebhookDelivery.State
MAX_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Redelivered:
    """How many are due now. `is_complete` is false when there is more: ask again."""

    count: int
    is_complete: bool


def redeliver(*, delivery_id: UUID, now: datetime) -> WebhookDelivery:
    """Due now, with all its tries before it again. Raises `NotRedeliverable` or `EndpointDisabled`."""
    with transaction.atomic():
        row = WebhookDelivery.objects.select_for_update().get(pk=delivery_id)
        if not row.endpoint.is_enabled:
            raise EndpointDisabled("The endpoint is disabled; enable it first.")
        if row.state == State.SENDING:
            raise NotRedeliverable("It is being delivered at this moment.")
        row.state, row.attempts, row.next_attempt_at, row.finished_at = State.PENDING, 0, now, None
        row.save(update_fields=["state", "attempts", "next_attempt_at", "finished_at"])
    return row


def redeliver_range(*, endpoint_id: UUID, since: datetime, until: datetime, now: datetime) -> Redelivered:
    """What happened from `since` to before `until` and did not arrive: deliveries given up, and events of a time when the
    endpoint was disabled or not there. What waits for its next try becomes due now. Raises `EndpointDisabled`.
    """
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
        if not endpoint.is_enabled:
            raise EndpointDisabled("The endpoint is disabled; enable it first.")
        again = list(
            endpoint.deliveries.filter(
                Q(state=State.FAILED) | Q(state=State.PENDING, next_attempt_at__gt=now),
                event__at__gte=since,
                event__at__lt=until,
            ).values_list("pk", flat=True)[:MAX_AT_ONCE]
        )
        due = (
            WebhookDelivery.objects.filter(pk__in=again)
            .exclude(state=State.SENDING)
            .update(state=State.PENDING, attempts=0, next_attempt_at=now, finished_at=None)
        )
        missed = _missed(endpoint, since, until)[: MAX_AT_ONCE - len(again)]
        made = WebhookDelivery.objects.bulk_create(
            [WebhookDelivery(endpoint=endpoint, event=event, next_attempt_at=now, created_at=now) for event in missed],
            ignore_conflicts=True,
        )
    count = due + len(made)
    return Redelivered(count, is_complete=len(again) + len(made) < MAX_AT_ONCE)


def _missed(endpoint: WebhookEndpoint, since: datetime, until: datetime):
    events = ClientEvent.objects.filter(
        ~Exists(WebhookDelivery.objects.filter(endpoint=endpoint, event=OuterRef("pk"))),
        owner=endpoint.owner_id,
        sequence__isnull=False,
        at__gte=since,
        at__lt=until,
    )
    if endpoint.events:
        events = events.filter(type__in=endpoint.events)
    return events.order_by("sequence")
