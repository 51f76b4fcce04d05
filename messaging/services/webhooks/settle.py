"""Save the results of a batch of calls, and update the health of their endpoints."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from uuid import UUID

from django.db import transaction

from messaging import callback_policy
from messaging.models import WebhookDelivery, WebhookEndpoint
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.transitions import save_together
from messaging.services.webhooks.concurrency import WebhookJob

State = WebhookDelivery.State
FIELDS = ("state", "next_attempt_at", "claim_id", "lease_until", "response_status", "error", "finished_at")
MAX_ERROR = 200
GONE = "The endpoint answered 410 Gone."
FAILED_FOR_DAYS = "Every delivery has failed for five days."


@dataclass(frozen=True, slots=True)
class ResponseBody:
    """The body of one response, and the address that it came from."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one call: the receiver's HTTP status, or the error, or both if the response does not confirm the event.

    `answers` has the bodies in the order in which they came, where the dialect reads them: more than one if they led on.
    `assets` has the stored files that they name, by address.
    """

    job: WebhookJob
    status: int | None = None
    error: str = ""
    retry_after: float | None = None
    answers: tuple[ResponseBody, ...] = ()
    assets: Mapping[str, UUID] = field(default_factory=dict, repr=False)

    @property
    def succeeded(self) -> bool:
        return not self.error and self.status is not None and HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


# Does what the answers to some deliveries ask for, and returns what the owner is to be told of some, by delivery.
Obey = Callable[[Sequence[Result]], Mapping[UUID, str]]


def ignore_answers(_answered: Sequence[Result]) -> Mapping[UUID, str]:
    return {}


def settle(
    results: Sequence[Result], *, now: datetime, positions: Sequence[float], obey: Obey = ignore_answers
) -> None:
    """Save the results of deliveries that this worker still holds, in a constant number of queries beside those of `obey`.

    `positions` in [0, 1) spread the next attempts. `obey` is called in the same transaction, once for each success of a
    delivery. What it returns is shown as the delivery's error, though it has succeeded: the client has the event.
    """
    with transaction.atomic():
        by_id = {result.job.delivery_id: result for result in results}
        held = {
            row.pk: row
            for row in WebhookDelivery.objects.select_for_update().filter(pk__in=list(by_id)).order_by("pk")
            if row.claim_id == by_id[row.pk].job.claim_id
        }
        for (pk, result), position in zip(by_id.items(), positions, strict=True):
            if pk in held:
                _write(held[pk], result, now, position)
        if answered := [by_id[pk] for pk in held if by_id[pk].succeeded and by_id[pk].answers]:
            for pk, note in obey(answered).items():
                held[pk].error = note[:MAX_ERROR]
        if held:
            save_together(list(held.values()), FIELDS)
            _count(held.values(), now)
        _update_endpoints([by_id[pk] for pk in held], now)


def _write(row: WebhookDelivery, result: Result, now: datetime, position: float) -> None:
    row.claim_id = row.lease_until = None
    row.response_status = result.status
    row.error = "" if result.succeeded else (result.error or f"The endpoint answered {result.status}.")[:MAX_ERROR]
    delay = callback_policy.next_delay(attempts=row.attempts, position=position, retry_after=result.retry_after)
    if result.succeeded:
        row.state, row.finished_at = State.SUCCEEDED, now
    elif delay is None or result.status == HTTPStatus.GONE or row.event_id is None:
        row.state, row.finished_at = State.FAILED, now
    else:
        row.state, row.next_attempt_at = State.PENDING, now + timedelta(seconds=delay)


def _count(rows: Iterable[WebhookDelivery], now: datetime) -> None:
    counters = CounterBatch()
    for row in rows:
        counters.notified("retried" if row.state == State.PENDING else row.state, now=now)
    counters.write()


def _update_endpoints(results: Sequence[Result], now: datetime) -> None:
    """A success ends a series of failures. Failures for `DISABLED_AFTER`, or a 410, disable the endpoint."""
    succeeded = {result.job.endpoint_id for result in results if result.succeeded}
    failed = {result.job.endpoint_id for result in results} - succeeded
    endpoints = WebhookEndpoint.objects.all()
    if succeeded:
        endpoints.filter(pk__in=succeeded, failing_since__isnull=False).update(failing_since=None)
    if failed:
        endpoints.filter(pk__in=failed, failing_since__isnull=True).update(failing_since=now)
        failing = endpoints.filter(pk__in=failed, failing_since__lte=now - callback_policy.DISABLED_AFTER)
        _disable(list(failing.values_list("pk", flat=True)), FAILED_FOR_DAYS, now)
    gone = [result.job.endpoint_id for result in results if result.status == HTTPStatus.GONE]
    _disable(gone, GONE, now)


def _disable(endpoint_ids: Sequence[UUID], reason: str, now: datetime) -> None:
    if endpoint_ids:
        WebhookEndpoint.objects.filter(pk__in=endpoint_ids, kind=WebhookEndpoint.Kind.ENDPOINT, is_enabled=True).update(
            is_enabled=False, disabled_reason=reason, updated_at=now
        )
