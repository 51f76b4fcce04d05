"""Django's cache: JSON in Redis, or in this process's memory while Redis is unavailable."""

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

# In memory. A counter of log-ins takes about 300 bytes. The least recently used entries are dropped.
MAX_ENTRIES = 10_000
OPERATIONS = ("add", "get", "set", "touch", "delete", "get_many", "has_key", "incr", "set_many", "delete_many")

# A pipeline of two commands would do, but costs redis-py twice as much.
COUNT = """
local count = redis.call('INCRBY', KEYS[1], ARGV[2])
if count == tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return count
"""

Key = str | bytes | memoryview


class _Encoder(DjangoJSONEncoder):
    """Encodes dataclasses as objects. The console's search caches dataclasses, and its template also accepts dictionaries."""

    def default(self, value: Any) -> Any:
        is_instance = dataclasses.is_dataclass(value) and not isinstance(value, type)
        return dataclasses.asdict(value) if is_instance else super().default(value)


class JsonSerializer:
    """Values are returned as JSON types: tuples as lists, dataclasses as dictionaries."""

    def dumps(self, value: Any) -> int | str:
        return value if type(value) is int else json.dumps(value, cls=_Encoder)  # Redis increments integers

    def loads(self, data: str | bytes) -> Any:
        """Raises `ValueError`, also for JSON that is nested too deeply."""
        try:
            return json.loads(data)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class _Client(RedisCacheClient):
    """Uses the process's Redis client. A value that is not JSON, for example of an older version, counts as missing."""

    def __init__(self, servers: list[str]) -> None:
        self._json = JsonSerializer()
        # Django takes any value that redis-py can encode; django-stubs want bytes.
        super().__init__(servers, serializer=lambda: self._json)  # type: ignore[arg-type, return-value]

    def get_client(self, key: Key | None = None, *, write: bool = False) -> redis.Redis:
        return redis_client.client()

    def get(self, key: Key, default: Any) -> Any:
        return self.get_many([key]).get(key, default)

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Any]:
        found: dict[Key, Any] = {}
        keys = list(keys)
        for key, data in zip(keys, self.get_client().mget(keys), strict=True):
            if data is not None:
                with contextlib.suppress(ValueError):
                    found[key] = self._json.loads(data)
        return found


class Cache(RedisCache):
    """Never raises Redis errors. Values stored in memory during an outage are not copied to Redis."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _Client
        self._in_memory = LocMemCache("switchboard", {**params, "OPTIONS": {"MAX_ENTRIES": MAX_ENTRIES}})

    def clear(self) -> bool:  # type: ignore[override]  # Django's caches return True; django-stubs say None
        self._in_memory.clear()
        with contextlib.suppress(redis.RedisError, OSError), redis_client.exchange():
            super().clear()
        return True

    def count(self, key: str, seconds: int, *, by: int = 1) -> int:
        """Add to a counter and return it, in one round trip. The counter ends `seconds` after its first count."""
        try:
            with redis_client.exchange() as client:
                name = self.make_and_validate_key(key)
                return int(client.register_script(COUNT)(keys=[name], args=[seconds, by]))
        except redis_client.UNREACHABLE:
            pass
        except redis.RedisError as error:
            _log_refusal(error)
        with contextlib.suppress(ValueError):  # it ended between the two
            return by if self._in_memory.add(key, by, seconds) else self._in_memory.incr(key, by)
        return by


def _log_refusal(error: redis.RedisError) -> None:
    logger.warning("Redis refused a command of the cache (%s)", type(error).__name__)


def _operation(name: str) -> Callable[..., Any]:
    in_redis = getattr(RedisCache, name)

    def operation(cache: Cache, *args: Any, **options: Any) -> Any:
        try:
            with redis_client.exchange():
                return in_redis(cache, *args, **options)
        except redis_client.UNREACHABLE:
            pass
        except redis.RedisError as error:  # Redis refused: out of memory, or a value of another type
            _log_refusal(error)
        return getattr(cache._in_memory, name)(*args, **options)  # noqa: SLF001

    return operation


for _name in OPERATIONS:
    setattr(Cache, _name, _operation(_name))
