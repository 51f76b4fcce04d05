"""Signs of life, in Redis: beat's ticks, and each worker process under its own name."""

import math
import os
import socket
import time
from dataclasses import dataclass

from providers.state import redis_client

TICK_KEY = "switchboard:heartbeat:tick"
TICKS_KEY = "switchboard:heartbeat:ticks"
# A sorted set: who, by the time of the last sign. Members that are silent are dropped, and the whole once all are.
WORKERS_KEY = "switchboard:heartbeat:workers"
WORKER_INTERVAL_SECONDS = 5.0
WORKER_SILENT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Worker:
    """One process; its name is its host's and its number there."""

    name: str
    seconds_ago: float


def this_worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def tick() -> None:
    """Beat has asked for a tick and a worker has carried it out. Raises `RedisError`, as all here."""
    with redis_client.exchange() as redis, redis.pipeline() as pipeline:
        pipeline.set(TICK_KEY, time.time())
        pipeline.incr(TICKS_KEY)
        pipeline.execute()


def ticks() -> int:
    """How many there were, as long as Redis has kept its data."""
    with redis_client.exchange() as redis:
        return int(_number(redis.get(TICKS_KEY)) or 0)


def seconds_since_tick() -> float | None:
    """None before the first tick."""
    with redis_client.exchange() as redis:
        last = _number(redis.get(TICK_KEY))
    return None if last is None else max(0.0, time.time() - last)


def _number(text: str | None) -> float | None:
    """None also for what is no number: another program may have written it."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def record_worker(name: str) -> None:
    """Call it every `WORKER_INTERVAL_SECONDS`."""
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
    """Those that have given a sign of life lately, by name."""
    now = time.time()
    with redis_client.exchange() as redis:
        found = redis.zrangebyscore(WORKERS_KEY, now - WORKER_SILENT_SECONDS, "+inf", withscores=True)
    return sorted((Worker(name, max(0.0, now - at)) for name, at in found), key=lambda worker: worker.name)
