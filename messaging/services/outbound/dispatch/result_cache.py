"""What a provider answered to an accepted message, at hand in Redis before the database knows: its message id and the time.

A worker that dies between the two leaves its answer here, and the sweep finds it. A worker that lives and cannot write its
answers, because the database is unavailable, marks them as held: the sweep waits for it. Losing the cache loses no fact that is
in the database; nothing but ids and times lies in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import redis

from providers.state import shared_state

KEY = "switchboard:sent:"
KEPT_SECONDS = 3600
# A held answer is marked again at each try to write it, and a try may take as long as a pool's time-out and a pause.
HELD, HELD_SECONDS = "held", 60


@dataclass(frozen=True, slots=True)
class CachedResult:
    """`provider_message_id` may be empty; `sent_at` is when the answer was there, `latency_ms` what the call took."""

    provider_message_id: str
    sent_at: datetime
    latency_ms: int


@dataclass(frozen=True, slots=True)
class Lookup:
    """`sent`: accepting answers. `held`: attempts whose answers a living worker is about to write."""

    sent: Mapping[UUID, CachedResult]
    held: frozenset[UUID]


def put(sent: Mapping[UUID, CachedResult]) -> None:
    """By attempt. One round trip, and none for nothing; while Redis is away nothing is remembered.

    An id that cannot be written is a backend's broken contract, which must not take the other answers along: settling
    sorts it out.
    """
    sent = {attempt_id: known for attempt_id, known in sent.items() if known.provider_message_id.isprintable()}
    if not sent:
        return

    def write(client: redis.Redis) -> None:
        pipeline = client.pipeline(transaction=False)
        for attempt_id, known in sent.items():
            value = f"{known.sent_at.isoformat()} {known.latency_ms} {known.provider_message_id}"
            pipeline.set(f"{KEY}{attempt_id}", value, ex=KEPT_SECONDS)
        pipeline.execute()

    shared_state.ask(write, otherwise=None)


def hold(attempts: Iterable[UUID]) -> None:
    """Mark attempts whose answers, other than acceptances, this worker keeps until it can write them."""
    held = list(attempts)
    if not held:
        return

    def write(client: redis.Redis) -> None:
        pipeline = client.pipeline(transaction=False)
        for attempt_id in held:
            pipeline.set(f"{KEY}{attempt_id}", HELD, ex=HELD_SECONDS)
        pipeline.execute()

    shared_state.ask(write, otherwise=None)


def get(attempts: Iterable[UUID]) -> Lookup | None:
    """What is known of these attempts; None when Redis cannot be asked."""
    wanted = list(attempts)
    if not wanted:
        return Lookup({}, frozenset())

    def read(client: redis.Redis) -> Sequence[str | None]:
        return client.mget([f"{KEY}{attempt_id}" for attempt_id in wanted])

    values = shared_state.ask(read, otherwise=None)
    if values is None:
        return None
    found = {attempt_id: value for attempt_id, value in zip(wanted, values, strict=True) if value}
    return Lookup(
        sent={attempt_id: _parsed(value) for attempt_id, value in found.items() if value != HELD},
        held=frozenset(attempt_id for attempt_id, value in found.items() if value == HELD),
    )


def _parsed(value: str) -> CachedResult:
    sent_at, latency_ms, provider_message_id = value.split(" ", 2)
    return CachedResult(provider_message_id, datetime.fromisoformat(sent_at), int(latency_ms))
