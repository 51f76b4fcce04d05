"""Delivering once more, by hand: one delivery, or all of a stretch of time."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from messaging.models import ClientEvent, WebhookDelivery, WebhookEndpoint
from messaging.services.errors import EndpointDisabled, NotRedeliverable

State = WebhookDelivery.State
MAX_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Redelivered:
    """How many are due now. `after` is the `sequence` to go on from when there is more, else None."""

    count: int
    after: int | None


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


def redeliver_range(
    *, endpoint_id: UUID, since: datetime, until: datetime, now: datetime, after: int = 0
) -> Redelivered:
    """All that happened from `since` to before `until`, in its order: what was delivered, what was given up, and what happened
    while the endpoint was disabled or not there. What waits for its next try becomes due now; what is being delivered is left.

    At most `MAX_AT_ONCE` events, those beyond the `sequence` `after`. Raises `EndpointDisabled`.
    """
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
        if not endpoint.is_enabled:
            raise EndpointDisabled("The endpoint is disabled; enable it first.")
        happened = _events(endpoint).filter(at__gte=since, at__lt=until, sequence__gt=after).order_by("sequence")
        rows = list(happened.values_list("pk", "sequence", "is_known")[: MAX_AT_ONCE + 1])
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


def _events(endpoint: WebhookEndpoint) -> QuerySet[ClientEvent]:
    """The owner's numbered events that the endpoint wants, or has had. `is_known`: there is a delivery of it."""
    known = Exists(WebhookDelivery.objects.filter(endpoint=endpoint, event=OuterRef("pk")))
    events = ClientEvent.objects.filter(owner=endpoint.owner_id, sequence__isnull=False).annotate(is_known=known)
    return events.filter(Q(is_known=True) | Q(type__in=endpoint.events)) if endpoint.events else events
