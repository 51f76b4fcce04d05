"""How many one user may have open at once, over all processes: a sorted set in Redis, by when each place's lease ends.

A process that dies renews nothing, so its places are free again when their leases are over.
"""

from collections.abc import Collection

from redis.asyncio import Redis

LEASE_SECONDS = 15.0
END = b"end "

# KEYS: the user's places. ARGV: most, lease, place, 1 when the oldest one has to make room, channel.
TAKE = """
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

# KEYS: the user's places. ARGV: lease, places.
RENEW = """
local time = redis.call('TIME')
local ends = time[1] + time[2] / 1000000 + ARGV[1]
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], ends, ARGV[i]) end
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[1]))
return 1
"""


class ConnectionLimiter:
    """Names of places sort by when they were taken. Everything here raises `RedisError` while Redis is away."""

    def __init__(self, redis: Redis, *, most: int, channel: str) -> None:
        self._redis = redis
        self._most = most
        self._channel = channel
        self._take = redis.register_script(TAKE)
        self._renew = redis.register_script(RENEW)

    async def take(self, user_id: int, place: str, *, replace_oldest: bool) -> bool:
        """False when all are taken. `replace_oldest`: then the one that was taken first ends, and its place is had."""
        args = [self._most, LEASE_SECONDS, place, int(replace_oldest), self._channel]
        return bool(await self._take(keys=[_key(user_id)], args=args))

    async def renew(self, user_id: int, places: Collection[str]) -> None:
        await self._renew(keys=[_key(user_id)], args=[LEASE_SECONDS, *places])

    async def free(self, user_id: int, place: str) -> None:
        await self._redis.zrem(_key(user_id), place)


def _key(user_id: int) -> str:
    return f"switchboard:live:places:{user_id}"
