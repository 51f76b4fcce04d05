"""The number of connections one user may have open, over all processes: a Redis sorted set of slots, scored by lease end.

A process that dies renews nothing, so its slots are free once their leases have ended.
"""

from collections.abc import Collection

from redis.asyncio import Redis

LEASE_SECONDS = 15.0
END = b"end "

# KEYS: the user's slots. ARGV: limit, lease, slot, 1 to replace the oldest slot when all are taken, channel.
ACQUIRE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then
  if ARGV[4] ~= '1' then return 0 end
  local all = redis.call('ZRANGE', KEYS[1], 0, -1)
  table.sort(all)
  redis.call('ZREM', KEYS[1], all[1])
  redis.call('PUBLISH', ARGV[5], 'end ' .. all[1])
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[2]))
return 1
"""

# KEYS: the user's slots. ARGV: lease, slots.
RENEW = """
local time = redis.call('TIME')
local ends = time[1] + time[2] / 1000000 + ARGV[1]
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], ends, ARGV[i]) end
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[1]))
return 1
"""


class ConnectionLimiter:
    """Slot names sort by the time at which they were created. All methods raise `RedisError` while Redis is unavailable."""

    def __init__(self, redis: Redis, *, limit: int, channel: str) -> None:
        self._redis = redis
        self._limit = limit
        self._channel = channel
        self._acquire = redis.register_script(ACQUIRE)
        self._renew = redis.register_script(RENEW)

    async def acquire(self, user_id: int, slot: str, *, replace_oldest: bool) -> bool:
        """Return False when all slots are taken. With `replace_oldest`, the oldest connection is closed instead."""
        args: list[str | float] = [self._limit, LEASE_SECONDS, slot, int(replace_oldest), self._channel]
        return bool(await self._acquire(keys=[_key(user_id)], args=args))

    async def renew(self, user_id: int, slots: Collection[str]) -> None:
        await self._renew(keys=[_key(user_id)], args=[LEASE_SECONDS, *slots])

    async def release(self, user_id: int, slot: str) -> None:
        await self._redis.zrem(_key(user_id), slot)


def _key(user_id: int) -> str:
    return f"switchboard:live:places:{user_id}"
