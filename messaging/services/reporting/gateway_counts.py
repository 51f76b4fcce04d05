"""Submissions by SMPP, counted in Redis by result since it last lost its data. Calls raise `RedisError`."""

from collections.abc import Mapping

from providers.state import redis_client

KEY = "switchboard:smpp:submissions"


def add(counts: Mapping[str, int]) -> None:
    """Count results, such as `ESME_ROK`."""
    with redis_client.exchange() as redis, redis.pipeline() as pipeline:
        for result, count in counts.items():
            pipeline.hincrby(KEY, result, count)
        pipeline.execute()


def totals() -> dict[str, int]:
    with redis_client.exchange() as redis:
        found = redis.hgetall(KEY)
    return {_text(result): int(count) for result, count in found.items() if _text(count).isdigit()}


def _text(value: bytes | str) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value
