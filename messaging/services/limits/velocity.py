"""Count texts against the velocity limits: in Redis for all processes together, or in this one while Redis is unavailable.

With Redis a limit is exact: however many processes accept at once, no hour and no minute has more. Without it each process
counts for itself, so the limit is multiplied by the number of processes that accept messages; a warning in the log says so.
"""

import hashlib
import logging
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol
from uuid import UUID

import redis
from redis.exceptions import NoScriptError

from messaging.categories import Category
from messaging.policy.prefixes import calling_code
from messaging.policy.velocity import HOUR, MINUTE, PART, PARTS, Counting, Demand, Exceeded, LocalCounters, Scope
from messaging.services.limits.rules import LimitRules
from messaging.services.privacy.fingerprints import hmac_digest
from providers.state import redis_client

logger = logging.getLogger(__name__)

# So many messages are judged by one call of the script, which no other command of Redis interrupts.
CHUNK = 200
WARN_EVERY_SECONDS = 60.0

# KEYS: the counters of all demands. ARGV: one text of words, as each argument costs the client more than the words do. 1 what
# to do (`Counting`), 2 now or `-`. Then for each message the number of its demands, and of each its kind (`set` or `sum`), its
# limit and its member, or `-`. Returns one text: for each message the place of the demand without room and the seconds to
# wait, or 0 and 0.
_JUDGE = f"""
local words = {{}}
for word in string.gmatch(ARGV[1], '%S+') do words[#words + 1] = word end
local counting, now = words[1], tonumber(words[2])
if not now then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
end
local this = math.floor(now / {PART})
local function parts(name)
  local found, fields = {{}}, redis.call('HGETALL', name)
  for place = 1, #fields, 2 do
    local part = tonumber(fields[place])
    if part > this - {PARTS} then found[#found + 1] = {{part, tonumber(fields[place + 1])}}
    else redis.call('HDEL', name, fields[place]) end
  end
  return found
end
local function wait_of(name, kind, limit, member)
  if kind == 'set' then
    redis.call('ZREMRANGEBYSCORE', name, '-inf', string.format('%.6f', now - {MINUTE}))
    local count = redis.call('ZCARD', name)
    if count < limit or redis.call('ZSCORE', name, member) then return nil end
    local first = redis.call('ZRANGE', name, count - limit, count - limit, 'WITHSCORES')
    return tonumber(first[2]) + {MINUTE} - now
  end
  local found, left = parts(name), 0
  for _, part in ipairs(found) do left = left + part[2] end
  if left < limit then return nil end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  for _, part in ipairs(found) do
    left = left - part[2]
    if left < limit then return (part[1] + {PARTS}) * {PART} - now end
  end
  return {HOUR}
end
local function count(name, kind, member)
  if kind == 'set' then
    if counting ~= 'release' then
      redis.call('ZADD', name, string.format('%.6f', now), member)
      redis.call('EXPIRE', name, {MINUTE})
    end
  elseif counting ~= 'release' then
    -- A part is over before the time that its first text has given the counter.
    if redis.call('HINCRBY', name, this, 1) == 1 then redis.call('EXPIRE', name, {HOUR + PART}) end
  else
    local part = tonumber(redis.call('HGET', name, this) or '0') > 0 and this or this - 1
    if tonumber(redis.call('HGET', name, part) or '0') > 0 then redis.call('HINCRBY', name, part, -1) end
  end
end
local results, key, place = {{}}, 0, 3
while place <= #words do
  local demands, refused, wait = tonumber(words[place]), 0, nil
  if counting == 'reserve' or counting == 'peek' then
    for n = 1, demands do
      local at = place + n * 3 - 2
      wait = wait_of(KEYS[key + n], words[at], tonumber(words[at + 1]), words[at + 2])
      if wait then refused = n break end
    end
  end
  if refused == 0 and counting ~= 'peek' then
    for n = 1, demands do count(KEYS[key + n], words[place + n * 3 - 2], words[place + n * 3]) end
  end
  results[#results + 1] = refused
  results[#results + 1] = wait and string.format('%.6f', wait) or '0'
  key, place = key + demands, place + demands * 3 + 1
end
return table.concat(results, ' ')
"""
_DIGEST = hashlib.sha1(_JUDGE.encode(), usedforsecurity=False).hexdigest()


class Countable(Protocol):
    """What is counted of a message."""

    pk: UUID
    owner_id: int | None
    to_number: str
    category: str
    is_automatic: bool


def judge(
    messages: Sequence[Countable], *, rules: LimitRules, counting: Counting, clock: float | None = None
) -> dict[UUID, Exceeded]:
    """By primary key, the limit that each message exceeds. Those within all their limits are counted, as `counting` says.

    Emergencies and automatic replies are neither limited nor counted. `clock` is for tests, in seconds.
    """
    if not rules.has_velocity:
        return {}
    asked = [(message, demands) for message in messages if (demands := demands_of(message, rules))]
    found = {}
    for begin in range(0, len(asked), CHUNK):
        chunk = asked[begin : begin + CHUNK]
        answers = _answers([demands for _, demands in chunk], counting, clock)
        for (message, demands), answer in zip(chunk, answers, strict=True):
            if answer is not None:
                demand = demands[answer[0]]
                found[message.pk] = Exceeded(demand.scope, demand.limit, answer[1])
    return found


def release(messages: Sequence[Countable], *, rules: LimitRules) -> None:
    """Give back what `judge` counted for messages that were not stored. New recipients stay counted for their minute."""
    judge(messages, rules=rules, counting=Counting.RELEASE)


def demands_of(message: Countable, rules: LimitRules) -> list[Demand]:
    if message.is_automatic or message.category == Category.EMERGENCY:
        return []
    limits, owner, digest = rules.limits_of(message.owner_id), message.owner_id, _digest(message.to_number)
    code = calling_code(message.to_number)
    wanted = (
        (Scope.RECIPIENT, limits.recipient_per_hour, f"{owner}:{digest}"),
        # By the installation's row: an owner without limits still counts towards it.
        (Scope.RECIPIENT_OF_ALL, rules.default.recipient_of_all_per_hour, digest),
        (Scope.CALLING_CODE, limits.calling_code_per_hour, f"{owner}:{code}"),
        (Scope.NEW_RECIPIENTS, limits.new_recipients_per_minute, f"{owner}"),
    )
    return [
        Demand(scope, f"velocity:{scope}:{name}", limit, digest if scope is Scope.NEW_RECIPIENTS else "")
        for scope, limit, name in wanted
        if limit
    ]


@lru_cache(maxsize=10_000)
def _digest(number: str) -> str:
    """Redis never sees the number."""
    return hmac_digest("velocity", number.encode())[0][:24]


_local = LocalCounters()
_warned_at = float("-inf")


def _answers(
    demands: Sequence[Sequence[Demand]], counting: Counting, clock: float | None
) -> list[tuple[int, float] | None]:
    try:
        with redis_client.exchange() as client:
            return _ask(client, demands, counting, clock)
    except redis_client.UNREACHABLE:
        _warn("unavailable")
    except redis.RedisError as error:
        _warn(type(error).__name__)
    return _local.judge(demands, counting=counting, now=time.time() if clock is None else clock)


def _ask(
    client: redis.Redis, demands: Sequence[Sequence[Demand]], counting: Counting, clock: float | None
) -> list[tuple[int, float] | None]:
    keys = [demand.counter for each in demands for demand in each]
    words: list[str] = [counting, "-" if clock is None else str(clock)]
    for each in demands:
        words.append(str(len(each)))
        for demand in each:
            words += ["set" if demand.scope is Scope.NEW_RECIPIENTS else "sum", str(demand.limit), demand.member or "-"]
    text = " ".join(words)
    try:
        answer = client.evalsha(_DIGEST, len(keys), *keys, text)
    except NoScriptError:  # Redis has started anew
        answer = client.eval(_JUDGE, len(keys), *keys, text)
    answers = str(answer).split()
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return [(int(place) - 1, float(wait)) if place != "0" else None for place, wait in pairs]


def _warn(reason: str) -> None:
    global _warned_at  # noqa: PLW0603 (once a minute, not once a message)
    if time.monotonic() - _warned_at >= WARN_EVERY_SECONDS:
        _warned_at = time.monotonic()
        logger.warning("velocity limits are counted by each process for itself: Redis %s", reason)
