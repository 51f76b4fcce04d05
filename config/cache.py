"""Django's cache: JSON in Redis, and the memory of this process while Redis does not answer."""

import contextlib
import dataclasses
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

import redis
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from django.core.serializers.json import DjangoJSONEncoder

from providers.state import redis_client

logger = logging.getLogger(__name__)

# In memory; one counter of log-ins takes about 300 bytes. Beyond that the entries that were used longest ago are dropped.
MAX_ENTRIES = 10_000
OPERATIONS = ("add", "get", "set", "touch", "delete", "get_many", "has_key", "incr", "set_many", "delete_many")


class _Encoder(DjangoJSONEncoder):
    """The console's search keeps its results as dataclasses, and its template reads dictionaries as well."""

    def default(self, value: Any) -> Any:
        return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else super().default(value)


class JsonSerializer:
    """Values come back as JSON has them: tuples as lists, dataclasses as dictionaries."""

    def dumps(self, value: Any) -> int | str:
        return value if type(value) is int else json.dumps(value, cls=_Encoder)  # Redis increments integers

    def loads(self, data: str) -> Any:
        """Raises `ValueError`, also for JSON that is nested too deeply."""
        try:
            return json.loads(data)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class _Client(RedisCacheClient):
    """Uses the connections of the process. What is not JSON, such as a value of an older version, is not there."""

    def __init__(self, servers: list[str]) -> None:
        super().__init__(servers, serializer=JsonSerializer)

    def get_client(self, key: str | None = None, *, write: bool = False) -> redis.Redis:
        return redis_client.client()

    def get(self, key: str, default: Any) -> Any:
        return self.get_many([key]).get(key, default)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        keys = list(keys)
        for key, data in zip(keys, self.get_client().mget(keys), strict=True):
            if data is not None:
                with contextlib.suppress(ValueError):
                    found[key] = self._serializer.loads(data)
        return found


class Cache(RedisCache):
    """Raises nothing on account of Redis. What is in memory is for the time of an outage: it is not copied to Redis."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _Client
        self._in_memory = LocMemCache("switchboard", {**params, "OPTIONS": {"MAX_ENTRIES": MAX_ENTRIES}})

    def clear(self) -> bool:
        self._in_memory.clear()
        with contextlib.suppress(redis.RedisError, OSError), redis_client.exchange():
            super().clear()
        return True


def _operation(name: str) -> Callable[..., Any]:
    in_redis = getattr(RedisCache, name)

    def operation(cache: Cache, *args: Any, **options: Any) -> Any:
        try:
            with redis_client.exchange():
                return in_redis(cache, *args, **options)
        except redis_client.UNREACHABLE:
            pass
        except redis.RedisError as error:  # it answers, and refuses: out of memory, or a value of another type
            logger.warning("Redis refused a command of the cache (%s)", type(error).__name__)
        return getattr(cache._in_memory, name)(*args, **options)  # noqa: SLF001

    return operation


for _name in OPERATIONS:
    setattr(Cache, _name, _operation(_name))
