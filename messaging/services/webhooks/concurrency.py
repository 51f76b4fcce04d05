"""How many more calls each endpoint may have in flight in one worker process, so that a slow one delays no other."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from messaging.models import WebhookEndpoint
from messaging.services.webhooks.dialects import ClientCall

CALLS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class WebhookJob:
    """One call to make. `webhook_id` is the same in every attempt, so that receivers recognise repeats."""

    delivery_id: UUID
    endpoint_id: UUID
    owner_id: int
    claim_id: UUID
    webhook_id: str
    dialect: str
    request: ClientCall
    secrets: tuple[str, ...] = field(repr=False)
    # The message that the event is about.
    message_id: UUID | None = None
    # The endpoint's last call failed, so this one may take until the time-out.
    is_failing: bool = False


class EndpointConcurrency:
    """Shares `limit` free slots, besides the calls `in_flight`, among the `endpoints` that have deliveries due.

    An endpoint gets at most `CALLS_AT_ONCE` slots. All failing endpoints together get half of the slots, in equal shares: each
    keeps to its schedule, and receivers that hang never occupy the other half. While several owners wait, each gets at most
    half.
    """

    def __init__(self, *, limit: int, in_flight: Collection[WebhookJob], endpoints: Sequence[WebhookEndpoint]) -> None:
        self.left = limit
        self._half = max(1, (limit + len(in_flight)) // 2)
        self._of_endpoint = Counter(job.endpoint_id for job in in_flight)
        self._of_owner = Counter(job.owner_id for job in in_flight)
        self._failing = sum(job.is_failing for job in in_flight)
        failing = sum(endpoint.failing_since is not None for endpoint in endpoints)
        self._share = min(CALLS_AT_ONCE, max(1, self._half // max(1, failing)))
        self._others_wait = len({endpoint.owner_id for endpoint in endpoints}) > 1

    def available(self, endpoint: WebhookEndpoint) -> int:
        allowed = CALLS_AT_ONCE if endpoint.failing_since is None else self._share
        bounds = [self.left, allowed - self._of_endpoint[endpoint.pk]]
        if endpoint.failing_since is not None:
            bounds.append(self._half - self._failing)
        if self._others_wait:
            bounds.append(self._half - self._of_owner[endpoint.owner_id])
        return max(0, min(bounds))

    def acquire(self, endpoint: WebhookEndpoint, count: int) -> None:
        self.left -= count
        self._of_endpoint[endpoint.pk] += count
        self._of_owner[endpoint.owner_id] += count
        self._failing += count if endpoint.failing_since is not None else 0
