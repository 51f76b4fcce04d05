"""Taking due deliveries under a lease, a few of each endpoint, so that none holds up another."""

import json
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from uuid_utils.compat import uuid7

from messaging import callback_policy, event_types
from messaging.encryption import CannotBeOpened
from messaging.models import ClientEvent, Message, WebhookDelivery, WebhookEndpoint
from messaging.services import client_events
from messaging.services.client_callbacks import secrets
from messaging.services.representation import moment

logger = logging.getLogger(__name__)

State = WebhookDelivery.State
# Calls at once to one endpoint of one worker process: as long as it takes them, and while its last one failed.
CALLS_AT_ONCE, CALLS_WHILE_FAILING = 4, 1
SWEEP_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Job:
    """One call to make. `webhook_id` is the same at every try, so that a receiver can tell a repeat."""

    delivery_id: UUID
    endpoint_id: UUID
    claim_id: UUID
    webhook_id: str
    url: str = field(repr=False)
    body: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def claim(*, limit: int, in_air: Mapping[UUID, int], now: datetime, lease: timedelta) -> list[Job]:
    """Up to `limit` due deliveries, now ours; `in_air` are the calls that this process is making, by endpoint.

    Two workers at once get different ones. What cannot be told any more (its message was erased) ends here; what cannot be told
    now (its text cannot be opened) is put off like what was not taken.
    """
    if not _due(now).exists():  # mostly; on SQLite even a look inside a transaction keeps all writers waiting
        return []
    claim_id = uuid7()
    with transaction.atomic():
        rows: list[WebhookDelivery] = []
        endpoints = _with_something_due(now)
        for endpoint in endpoints:
            at_once = CALLS_WHILE_FAILING if endpoint.failing_since else CALLS_AT_ONCE
            free = min(at_once - in_air.get(endpoint.pk, 0), limit - len(rows))
            if free > 0:
                rows += (
                    _due(now)
                    .filter(endpoint=endpoint)
                    .order_by("next_attempt_at")
                    .select_for_update(skip_locked=True)[:free]
                )
        if not rows:
            return []
        _take(rows, claim_id, now, lease)
        jobs, unreadable = _jobs(rows, {endpoint.pk: endpoint for endpoint in endpoints}, claim_id, now)
        told = {job.delivery_id for job in jobs} | {row.pk for row in unreadable}
        WebhookDelivery.objects.filter(pk__in=[row.pk for row in rows if row.pk not in told]).update(
            state=State.FAILED, claim_id=None, lease_until=None, finished_at=now, error="The message has been erased."
        )
        _try_again(unreadable, "The message's text cannot be opened.", now)
    return jobs


def _due(now: datetime) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(state=State.PENDING, next_attempt_at__lte=now)


def _with_something_due(now: datetime) -> list[WebhookEndpoint]:
    """In any order, so that with many of them each has its turn."""
    endpoints = list(WebhookEndpoint.objects.filter(Exists(_due(now).filter(endpoint=OuterRef("pk"))), is_enabled=True))
    random.shuffle(endpoints)
    return endpoints


def _take(rows: Sequence[WebhookDelivery], claim_id: UUID, now: datetime, lease: timedelta) -> None:
    """The try counts from here: one that kills its worker must not be made for ever."""
    WebhookDelivery.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=State.SENDING,
        attempts=F("attempts") + 1,
        next_attempt_at=None,
        claim_id=claim_id,
        lease_until=now + lease,
        attempted_at=now,
    )
    for row in rows:
        row.attempts += 1


def _jobs(
    rows: Sequence[WebhookDelivery], endpoints: Mapping[UUID, WebhookEndpoint], claim_id: UUID, now: datetime
) -> tuple[list[Job], list[WebhookDelivery]]:
    """The calls to make, and the deliveries whose message's text cannot be opened."""
    events = ClientEvent.objects.in_bulk({row.event_id for row in rows if row.event_id})
    messages = Message.objects.prefetch_related("attachments").in_bulk(
        {event.message_id for event in events.values() if event.message_id}
    )
    signing = secrets.valid([endpoints[pk] for pk in {row.endpoint_id for row in rows}], now=now)
    jobs, unreadable = [], []
    for row in rows:
        event, endpoint = events.get(row.event_id), endpoints[row.endpoint_id]
        message = messages.get(event.message_id) if event else None
        try:
            body = client_events.body(event, message) if event else _test(now)
        except CannotBeOpened as fault:
            logger.error("a callback about message %s waits: %s", event.message_id, fault)
            unreadable.append(row)
            continue
        if body is not None:
            jobs.append(
                Job(
                    delivery_id=row.pk,
                    endpoint_id=row.endpoint_id,
                    claim_id=claim_id,
                    webhook_id=str(event.public_id if event else row.pk),
                    url=_url(endpoint, message),
                    body=json.dumps(body, separators=(",", ":"), ensure_ascii=False),
                    secrets=signing[row.endpoint_id],
                )
            )
    return jobs, unreadable


def _url(endpoint: WebhookEndpoint, message: Message | None) -> str:
    is_lane = endpoint.kind == WebhookEndpoint.Kind.ORIGIN and message is not None
    return message.callback_url if is_lane else endpoint.url


def _test(now: datetime) -> dict[str, Any]:
    return {"type": event_types.TEST, "timestamp": moment(now), "data": {"message": "This is a test."}}


def return_expired_claims(*, now: datetime) -> int:
    """Deliveries whose worker is gone: nobody knows whether they arrived, so they are made again."""
    expired = WebhookDelivery.objects.filter(state=State.SENDING, lease_until__lte=now)
    if not expired.exists():
        return 0
    with transaction.atomic():
        rows = list(expired.order_by("lease_until").select_for_update(skip_locked=True)[:SWEEP_CHUNK])
        _try_again(rows, "The worker ended during the call.", now)
    return len(rows)


def _try_again(rows: Sequence[WebhookDelivery], error: str, now: datetime) -> None:
    """Claimed ones that came to nothing are due again later, or fail after the last try."""
    for row in rows:
        delay = callback_policy.next_delay(attempts=row.attempts, position=random.random())  # noqa: S311 (jitter)
        row.claim_id = row.lease_until = None
        row.error = error
        row.state = State.PENDING if delay is not None else State.FAILED
        row.next_attempt_at = now + timedelta(seconds=delay) if delay is not None else None
        row.finished_at = None if delay is not None else now
    if rows:
        WebhookDelivery.objects.bulk_update(
            rows, ["claim_id", "lease_until", "error", "state", "next_attempt_at", "finished_at"]
        )
