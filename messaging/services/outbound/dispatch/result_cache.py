"""Redis copy of a provider's acceptance, written before the database has it: the provider message id and the time.

If a worker dies between the two writes, the sweep finds the acceptance here. A living worker that cannot save its results,
because the database is unavailable, marks them as held, and the sweep waits for it. Nothing depends on the cache once the
database has the result. Only ids and times are stored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

import redis

from providers.state import shared_state

KEY = "switchboard:sent:"
KEPT_SECONDS = 3600
# The mark is renewed at each try to save, and a try may take as long as the time-out of the pool and a pause.
HELD, HELD_SECONDS = "held", 60


@dataclass(frozen=True, slots=True)
class CachedResult:
    """An acceptance. `provider_message_id` may be empty; `latency_ms` is the duration of the call."""

    provider_message_id: str
    sent_at: datetime
    latency_ms: int
    part_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """By attempt id. `held`: a living worker is about to save these results."""

    accepted: Mapping[UUID, CachedResult]
    held: frozenset[UUID]


def put(accepted: Mapping[UUID, CachedResult]) -> None:
    """Store acceptances by attempt id: one round trip, or none for an empty mapping. A no-op while Redis is unavailable.

    An id that cannot be encoded breaks the backend's contract; it is skipped, for `settle` to report.
    """
    accepted = {pk: result for pk, result in accepted.items() if result.provider_message_id.isprintable()}
    _set({pk: _written(result) for pk, result in accepted.items()}, KEPT_SECONDS)


def hold(attempts: Iterable[UUID]) -> None:
    """Mark attempts whose results, other than acceptances, this worker keeps until it can save them."""
    _set(dict.fromkeys(attempts, HELD), HELD_SECONDS)


def _set(values: Mapping[UUID, str], seconds: int) -> None:
    if not values:
        return

    def write(client: redis.Redis) -> None:
        pipeline = client.pipeline(transaction=False)
        for attempt_id, value in values.items():
            pipeline.set(f"{KEY}{attempt_id}", value, ex=seconds)
        pipeline.execute()

    shared_state.ask(write, otherwise=None)


def get(attempts: Iterable[UUID]) -> CacheLookup | None:
    """Results of these attempts; None while Redis is unavailable."""
    wanted = list(attempts)
    if not wanted:
        return CacheLookup({}, frozenset())

    def read(client: redis.Redis) -> Sequence[str | None]:
        # cast: the stubs do not know that our clients decode responses
        return cast("list[str | None]", client.mget([f"{KEY}{attempt_id}" for attempt_id in wanted]))

    values = shared_state.ask(read, otherwise=None)
    if values is None:
        return None
    found = {attempt_id: value for attempt_id, value in zip(wanted, values, strict=True) if value}
    return CacheLookup(
        accepted={attempt_id: _parsed(value) for attempt_id, value in found.items() if value != HELD},
        held=frozenset(attempt_id for attempt_id, value in found.items() if value == HELD),
    )


def _written(result: CachedResult) -> str:
    """Ids are printable, so that a line break ends each."""
    ids = "\n".join([result.provider_message_id, *result.part_ids])
    return f"{result.sent_at.isoformat()} {result.latency_ms} {ids}"


def _parsed(value: str) -> CachedResult:
    sent_at, latency_ms, ids = value.split(" ", 2)
    provider_message_id, *part_ids = ids.split("\n")
    return CachedResult(provider_message_id, datetime.fromisoformat(sent_at), int(latency_ms), tuple(part_ids))
