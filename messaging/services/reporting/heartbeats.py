"""Heartbeats in Redis: beat's ticks, and each worker process by name. Calls raise `RedisError`."""

import math
import os
import socket
import time
from dataclasses import dataclass
from typing import cast

from providers.state import redis_client

TICK_KEY = "switchboard:heartbeat:tick"
TICKS_KEY = "switchboard:heartbeat:ticks"
# A sorted set: worker names by the time of their last heartbeat. Silent members are removed; the key expires when all are.
WORKERS_KEY = "switchboard:heartbeat:workers"
WORKER_INTERVAL_SECONDS = 5.0
WORKER_SILENT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process, named `host:pid`."""

    name: str
    seconds_ago: float


def this_worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def tick() -> None:
    """Record a tick: beat requested it, and a worker ran it."""
    with redis_client.exchange() as redis, redis.pipeline() as pipeline:
        pipeline.set(TICK_KEY, time.time())
        pipeline.incr(TICKS_KEY)
        pipeline.execute()


def ticks() -> int:
    """The number of ticks since Redis last lost its data."""
    with redis_client.exchange() as redis:
        return int(_number(redis.get(TICKS_KEY)) or 0)


def seconds_since_tick() -> float | None:
    """None before the first tick."""
    with redis_client.exchange() as redis:
        last = _number(redis.get(TICK_KEY))
    return None if last is None else max(0.0, time.time() - last)


def _number(text: bytes | str | None) -> float | None:
    """None also for any other text: another program may have written the key."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def record_worker(name: str) -> None:
    """Write the worker's heartbeat. Call it every `WORKER_INTERVAL_SECONDS`."""
    now = time.time()
    with redis_client.exchange() as redis, redis.pipeline() as pipeline:
        pipeline.zadd(WORKERS_KEY, {name: now})
        pipeline.zremrangebyscore(WORKERS_KEY, "-inf", now - WORKER_SILENT_SECONDS)
        pipeline.expire(WORKERS_KEY, WORKER_SILENT_SECONDS)
        pipeline.execute()


def remove_worker(name: str) -> None:
    with redis_client.exchange() as redis:
        redis.zrem(WORKERS_KEY, name)


def workers() -> list[Worker]:
    """The workers with a heartbeat in the last `WORKER_SILENT_SECONDS`, by name."""
    now = time.time()
    with redis_client.exchange() as redis:
        reply = redis.zrangebyscore(WORKERS_KEY, now - WORKER_SILENT_SECONDS, "+inf", withscores=True)
    found = cast("list[tuple[str, float]]", reply)  # redis-py types the replies of all options together
    return sorted((Worker(name, max(0.0, now - at)) for name, at in found), key=lambda worker: worker.name)
