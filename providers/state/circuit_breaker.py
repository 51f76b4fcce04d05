"""The circuit of an account, one for all workers: after faults in a row nobody calls it for a while, then one call tries.

closed ──faults in a row, or refused credentials──▶ open ──its time is over──▶ half-open ──the probe is answered──▶ closed
                                                     ▲                             │
                                                     └──────the probe fails, for twice as long──────┘

The steps are Lua scripts, so that each is one step for everybody. A circuit that a person holds open stays so until a
person closes it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import redis
from redis.client import Pipeline

from providers.state import shared_state

FAULTS_IN_A_ROW = 5
# Faults that lie further apart are not in a row.
ROW_MEMORY_SECONDS = 60.0
FIRST_OPEN_SECONDS = 5.0
MAX_OPEN_SECONDS = 300.0
# A circuit that opens again so soon after it closed goes on with the next longer time.
RELAPSE_SECONDS = 600.0
# A probe whose worker has died is given to the next message after this time.
PROBE_SECONDS = 30
KEPT_SECONDS = 86_400

FIELDS: Final = ("until", "held", "reason")


class Circuit(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Step(StrEnum):
    """What a batch of outcomes has done to a circuit."""

    NONE = ""
    OPENED = "opened"
    STILL_OPEN = "still_open"
    CLOSED = "closed"


class Permission(StrEnum):
    REFUSED = "refused"
    PROBE = "probe"
    ORDINARY = "ordinary"


@dataclass(frozen=True, slots=True)
class CircuitState:
    """As it was read; times are seconds since 1970. A closed circuit has no `until`."""

    until: float | None = None
    is_held: bool = False
    reason: str = ""

    def at(self, now: float) -> Circuit:
        if self.until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if self.is_held or now < self.until else Circuit.HALF_OPEN


CLOSED: Final = CircuitState()


# KEYS: circuit, probe. ARGV: now, answered, faults, refused, probe ("", "ok" or "fault"), reason
_OBSERVE = f"""
local now, answered, faults = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local refused, probe, reason = ARGV[4] == '1', ARGV[5], ARGV[6]
local found = redis.call('HMGET', KEYS[1], 'until', 'held', 'level', 'row', 'last', 'closed')
local level, row = tonumber(found[3] or '0'), tonumber(found[4] or '0')

local function open(step)
  local length = math.min({FIRST_OPEN_SECONDS} * 2 ^ (level - 1), {MAX_OPEN_SECONDS})
  redis.call('HSET', KEYS[1], 'until', string.format('%.3f', now + length), 'level', level, 'row', 0, 'reason', reason)
  redis.call('EXPIRE', KEYS[1], {KEPT_SECONDS})
  return step
end

if probe ~= '' then redis.call('DEL', KEYS[2]) end
if found[1] then
  if found[2] or probe == '' then return '' end
  if probe == 'fault' then
    level = level + 1
    return open('still_open')
  end
  redis.call('HDEL', KEYS[1], 'until', 'reason')
  redis.call('HSET', KEYS[1], 'row', 0, 'closed', now)
  return 'closed'
end
if answered > 0 and not refused then
  if row > 0 then redis.call('HSET', KEYS[1], 'row', 0) end
  return ''
end
if faults == 0 then return '' end
if found[5] and now - tonumber(found[5]) > {ROW_MEMORY_SECONDS} then row = 0 end
row = row + faults
if refused or row >= {FAULTS_IN_A_ROW} then
  if found[6] and now - tonumber(found[6]) <= {RELAPSE_SECONDS} then level = level + 1 else level = 1 end
  return open('opened')
end
redis.call('HSET', KEYS[1], 'row', row, 'last', now)
redis.call('EXPIRE', KEYS[1], {KEPT_SECONDS})
return ''
"""

# KEYS: circuit, probe. ARGV: now
_ASK = f"""
local found = redis.call('HMGET', KEYS[1], 'until', 'held')
if not found[1] then return 'ordinary' end
if found[2] or tonumber(found[1]) > tonumber(ARGV[1]) then return 'refused' end
if redis.call('SET', KEYS[2], 1, 'NX', 'EX', {PROBE_SECONDS}) then return 'probe' end
return 'refused'
"""


def observe(
    pipe: Pipeline, slug: str, *, answered: int, faults: int, refused: bool, probe: str, reason: str, now: float
) -> None:
    """Queue the step that these outcomes mean; its answer is a `Step`. `probe` is "", "ok" or "fault"."""
    pipe.eval(
        _OBSERVE, 2, circuit_key(slug), _probe_key(slug), now, answered, faults, int(refused), probe, reason[:200]
    )


def request_permission(slug: str, *, now: float) -> Permission:
    """May an account whose circuit was half-open be called? `PROBE` is given once, to one worker of all."""
    answer = shared_state.ask(
        lambda client: client.eval(_ASK, 2, circuit_key(slug), _probe_key(slug), now), otherwise=Permission.ORDINARY
    )
    return Permission(answer)


def release_probe(slug: str) -> None:
    """A probe that was not made after all."""
    shared_state.ask(lambda client: client.delete(_probe_key(slug)), otherwise=0)


def read(pipe: Pipeline, slug: str) -> None:
    """Queue the look that `parsed` understands."""
    pipe.hmget(circuit_key(slug), *FIELDS)


def parsed(fields: list[str | None]) -> CircuitState:
    until, held, reason = fields
    return CircuitState(float(until) if until else None, is_held=bool(held), reason=reason or "")


def hold_open(slug: str, *, reason: str, now: float) -> bool:
    """Open until `close`. False while Redis is away: then nothing has changed."""

    def act(client: redis.Redis) -> bool:
        with client.pipeline() as pipe:
            pipe.hset(circuit_key(slug), mapping={"until": now, "held": 1, "reason": reason[:200]})
            pipe.persist(circuit_key(slug))
            pipe.execute()
        return True

    return shared_state.ask(act, otherwise=False)


def close(pipe: Pipeline, slug: str) -> None:
    """Queue the command that closes it as if it had never been open."""
    pipe.delete(circuit_key(slug), _probe_key(slug))


def circuit_key(slug: str) -> str:
    """A hash whose field `until` is there unless the circuit is closed, and `held` while a person holds it open."""
    return shared_state.key(slug, "circuit")


def _probe_key(slug: str) -> str:
    return shared_state.key(slug, "probe")
