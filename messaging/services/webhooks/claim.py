"""Claim due deliveries under a lease: a few of each endpoint, so that a slow one does not delay the others."""

import logging
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from uuid_utils.compat import uuid7

from messaging import callback_policy
from messaging.encryption import CannotBeOpened
from messaging.models import ClientEvent, Message, WebhookDelivery, WebhookEndpoint
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.transitions import save_together
from messaging.services.webhooks import dialects
from messaging.services.webhooks.concurrency import EndpointConcurrency, WebhookJob
from messaging.services.webhooks.dialects import Occasion, SigningCredential

logger = logging.getLogger(__name__)

State = WebhookDelivery.State
SWEEP_CHUNK = 500


def claim(*, limit: int, in_flight: Collection[WebhookJob], now: datetime, lease: timedelta) -> list[WebhookJob]:
    """Claim up to `limit` due deliveries; `in_flight` are the calls that this process is making.

    Concurrent workers claim different deliveries. A delivery whose message was erased fails here; one whose text cannot be
    decrypted is tried again later, like a failed call.
    """
    if not due(now).exists():  # the usual case; on SQLite, even a read inside a transaction blocks all writers
        return []
    claim_id = uuid7()
    with transaction.atomic():
        rows: list[WebhookDelivery] = []
        endpoints = _endpoints_with_due(now)
        concurrency = EndpointConcurrency(limit=limit, in_flight=in_flight, endpoints=endpoints)
        for endpoint in endpoints:
            if free := concurrency.available(endpoint):
                its_due = due(now).filter(endpoint=endpoint).order_by("next_attempt_at")
                claimed = list(its_due.select_for_update(skip_locked=True)[:free])
                concurrency.acquire(endpoint, len(claimed))
                rows += claimed
        if not rows:
            return []
        _write_claim(rows, claim_id, now, lease)
        jobs, unreadable = _jobs(rows, {endpoint.pk: endpoint for endpoint in endpoints}, claim_id, now)
        sendable = {job.delivery_id for job in jobs} | {row.pk for row in unreadable}
        _fail([row for row in rows if row.pk not in sendable], "The message has been erased.", now)
        _retry(unreadable, "The message's text cannot be opened.", now)
    return jobs


def due(now: datetime) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(state=State.PENDING, next_attempt_at__lte=now)


def _endpoints_with_due(now: datetime) -> list[WebhookEndpoint]:
    """In random order, for fairness; failing endpoints come last."""
    endpoints = list(WebhookEndpoint.objects.filter(Exists(due(now).filter(endpoint=OuterRef("pk"))), is_enabled=True))
    random.shuffle(endpoints)
    return sorted(endpoints, key=lambda endpoint: endpoint.failing_since is not None)


def _write_claim(rows: Sequence[WebhookDelivery], claim_id: UUID, now: datetime, lease: timedelta) -> None:
    """Count the attempt now, so that a call that kills its worker is not repeated for ever."""
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
) -> tuple[list[WebhookJob], list[WebhookDelivery]]:
    """The calls to make, and the deliveries whose message's text cannot be decrypted."""
    event_by_id = ClientEvent.objects.in_bulk({row.event_id for row in rows if row.event_id})
    messages = Message.objects.prefetch_related("attachments__asset").in_bulk(
        {event.message_id for event in event_by_id.values() if event.message_id}
    )
    occasions = [
        _occasion(row, endpoints[row.endpoint_id], event_by_id.get(row.event_id), messages, now) for row in rows
    ]
    credentials = _credentials(occasions, now)
    jobs, unreadable = [], []
    for row, (dialect, occasion) in zip(rows, occasions, strict=True):
        credential = credentials.get((dialect, occasion.endpoint.pk), SigningCredential())
        try:
            request = dialects.named(dialect).request(replace(occasion, account=credential.account))
        except CannotBeOpened as fault:
            logger.error("webhook about message %s deferred: %s", occasion.message and occasion.message.pk, fault)
            unreadable.append(row)
            continue
        if request is not None:
            endpoint = occasion.endpoint
            jobs.append(
                WebhookJob(
                    delivery_id=row.pk,
                    endpoint_id=endpoint.pk,
                    owner_id=endpoint.owner_id,
                    claim_id=claim_id,
                    webhook_id=occasion.webhook_id,
                    dialect=dialect,
                    request=request,
                    secrets=credential.secrets,
                    message_id=occasion.message.pk if occasion.message is not None else None,
                    is_failing=endpoint.failing_since is not None,
                )
            )
    return jobs, unreadable


_Dialected = tuple[str, Occasion]


def _occasion(
    row: WebhookDelivery,
    endpoint: WebhookEndpoint,
    event: ClientEvent | None,
    messages: Mapping[UUID, Message],
    now: datetime,
) -> _Dialected:
    """The name of the dialect, and what it is to tell. A `callback_url` has the dialect of its message."""
    message = messages.get(event.message_id) if event is not None and event.message_id else None
    url, dialect = endpoint.url, endpoint.dialect
    if endpoint.kind == WebhookEndpoint.Kind.ORIGIN and message is not None:
        url, dialect = message.callback_url, message.callback_dialect
    return dialect, Occasion(
        endpoint=endpoint,
        webhook_id=str(event.public_id if event else row.pk),
        url=url,
        now=now,
        event=event,
        message=message,
        options=dialects.options_of(dialect),
    )


def _credentials(occasions: Sequence[_Dialected], now: datetime) -> dict[tuple[str, UUID], SigningCredential]:
    """The credentials by dialect and endpoint."""
    by_dialect: dict[str, dict[UUID, WebhookEndpoint]] = {}
    for name, occasion in occasions:
        by_dialect.setdefault(name, {})[occasion.endpoint.pk] = occasion.endpoint
    return {
        (name, pk): found
        for name, endpoints in by_dialect.items()
        for pk, found in dialects.named(name).credentials(endpoints.values(), now=now).items()
    }


def expired(now: datetime) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(state=State.SENDING, lease_until__lte=now)


def return_expired_claims(*, now: datetime) -> int:
    """Retry deliveries whose worker died. They may have arrived; receivers recognise a repeat by its `webhook-id`."""
    if not expired(now).exists():
        return 0
    with transaction.atomic():
        rows = list(expired(now).order_by("lease_until").select_for_update(skip_locked=True)[:SWEEP_CHUNK])
        _retry(rows, "The worker ended during the call.", now)
    return len(rows)


def _retry(rows: Sequence[WebhookDelivery], error: str, now: datetime) -> None:
    """Schedule the next attempt, or fail after the last one."""
    for row in rows:
        delay = callback_policy.next_delay(attempts=row.attempts, position=random.random())  # noqa: S311 (jitter)
        row.state = State.PENDING if delay is not None else State.FAILED
        row.next_attempt_at = now + timedelta(seconds=delay) if delay is not None else None
    _write(rows, error, now)


def _fail(rows: Sequence[WebhookDelivery], error: str, now: datetime) -> None:
    for row in rows:
        row.state, row.next_attempt_at = State.FAILED, None
    _write(rows, error, now)


def _write(rows: Sequence[WebhookDelivery], error: str, now: datetime) -> None:
    """Write the new state and release the claim. Each counts like a call that got a response."""
    if not rows:
        return
    counters = CounterBatch()
    for row in rows:
        row.claim_id = row.lease_until = None
        row.error = error
        row.finished_at = now if row.state == State.FAILED else None
        counters.notified("failed" if row.state == State.FAILED else "retried", now=now)
    save_together(rows, ["claim_id", "lease_until", "error", "state", "next_attempt_at", "finished_at"])
    counters.write()
