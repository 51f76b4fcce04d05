"""The circuit breaker of an account, shared by all workers: consecutive faults stop its calls for a while.

closed ──consecutive faults, or refused credentials──▶ open ──its time is over──▶ half-open ──the probe succeeds──▶ closed
                                                        ▲                             │
                                                        └────the probe fails, for twice as long────┘

The transitions are Lua scripts, because they must be atomic across workers. A circuit that an operator holds open stays open
until an operator resets it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import redis
from redis.client import Pipeline

from providers.state import shared_state

# This many consecutive faults open the circuit; faults that are further apart than the window are not consecutive.
FAULT_THRESHOLD, FAULT_WINDOW_SECONDS = 5, 60.0
# So do refusals of the account (`AccountRefused`) to this many different recipients without an acceptance in between.
REFUSED_RECIPIENTS = 5
FIRST_OPEN_SECONDS, MAX_OPEN_SECONDS = 5.0, 300.0
# A circuit that opens again within this time after it closed stays open for the next longer time.
REOPEN_WINDOW_SECONDS = 600.0
# Another message may become the probe after this time, in case the worker of the first one died.
PROBE_TIMEOUT_SECONDS = 30
TTL_SECONDS = 86_400

FIELDS: Final = ("until", "held", "reason")


class Circuit(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Step(StrEnum):
    """What the results of a batch of calls did to a circuit."""

    NONE = ""
    OPENED = "opened"
    NEEDS_OPERATOR = "needs_operator"  # opened, for a reason that an operator has to remove
    STILL_OPEN = "still_open"
    CLOSED = "closed"


class Permission(StrEnum):
    """Whether an account may be called: not now, with one probe, or as usual."""

    REFUSED = "refused"
    PROBE = "probe"
    ORDINARY = "ordinary"


@dataclass(frozen=True, slots=True)
class CircuitState:
    """A circuit as it was read. `until` is in seconds since 1970, None for a closed circuit."""

    until: float | None = None
    is_held: bool = False
    reason: str = ""

    def at(self, now: float) -> Circuit:
        if self.until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if self.is_held or now < self.until else Circuit.HALF_OPEN


CLOSED: Final = CircuitState()


# KEYS: the circuit, its probe, the refused recipients.
# ARGV: 1 now. 2 to 7 as in `BatchResults`: answered, faults, accepted, needs_operator, probe, reason. Then `refused`.
_RECORD = f"""
local now, answered, faults, accepted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local needs_operator, probe, reason = ARGV[5] == '1', ARGV[6], ARGV[7]
local found = redis.call('HMGET', KEYS[1], 'until', 'held', 'level', 'row', 'last', 'closed')
local level, row = tonumber(found[3] or '0'), tonumber(found[4] or '0')

local function open(step)
  local length = math.min({FIRST_OPEN_SECONDS} * 2 ^ (level - 1), {MAX_OPEN_SECONDS})
  redis.call('HSET', KEYS[1], 'until', string.format('%.3f', now + length), 'level', level, 'row', 0, 'reason', reason)
  redis.call('EXPIRE', KEYS[1], {TTL_SECONDS})
  return step
end

local is_refused = false
if accepted > 0 then
  redis.call('DEL', KEYS[3])
elseif #ARGV > 7 then
  redis.call('SADD', KEYS[3], unpack(ARGV, 8))
  redis.call('EXPIRE', KEYS[3], {TTL_SECONDS})
  is_refused = redis.call('SCARD', KEYS[3]) >= {REFUSED_RECIPIENTS}
end
needs_operator = needs_operator or is_refused
if probe == 'refused' and is_refused then probe = 'fault' end

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
if answered > 0 and not needs_operator then
  if row > 0 then redis.call('HSET', KEYS[1], 'row', 0) end
  return ''
end
if faults == 0 and not needs_operator then return '' end
if found[5] and now - tonumber(found[5]) > {FAULT_WINDOW_SECONDS} then row = 0 end
row = row + faults
if needs_operator or row >= {FAULT_THRESHOLD} then
  if found[6] and now - tonumber(found[6]) <= {REOPEN_WINDOW_SECONDS} then level = level + 1 else level = 1 end
  return open(needs_operator and 'needs_operator' or 'opened')
end
redis.call('HSET', KEYS[1], 'row', row, 'last', now)
redis.call('EXPIRE', KEYS[1], {TTL_SECONDS})
return ''
"""

# KEYS: circuit, probe. ARGV: now
_REQUEST_PERMISSION = f"""
local found = redis.call('HMGET', KEYS[1], 'until', 'held')
if not found[1] then return 'ordinary' end
if found[2] or tonumber(found[1]) > tonumber(ARGV[1]) then return 'refused' end
if redis.call('SET', KEYS[2], 1, 'NX', 'EX', {PROBE_TIMEOUT_SECONDS}) then return 'probe' end
return 'refused'
"""


@dataclass(frozen=True, slots=True)
class BatchResults:
    """The results of a batch of calls to one account, as its circuit counts them.

    `needs_operator`: one of them says that the account cannot be used. `refused`: the recipients, as fingerprints, of the calls
    that ended in `AccountRefused`. `probe` is "" without a probe, "ok", "refused" (`AccountRefused`) or "fault".
    """

    answered: int
    faults: int
    accepted: int
    needs_operator: bool
    refused: frozenset[str]
    probe: str
    reason: str


def record(pipe: Pipeline, slug: str, results: BatchResults, *, now: float) -> None:
    """Queue the transition that these results cause; its reply is a `Step`.

    The calls of a batch have no order: one acceptance shows that the account is not refused.
    """
    keys = (circuit_key(slug), _probe_key(slug), _refused_key(slug))
    pipe.eval(
        _RECORD,
        len(keys),
        *keys,
        now,
        results.answered,
        results.faults,
        results.accepted,
        int(results.needs_operator),
        results.probe,
        results.reason[:200],
        *sorted(results.refused),
    )


def request_permission(slug: str, *, now: float) -> Permission:
    """Ask for a call to an account whose circuit is half-open. `PROBE` is granted to one caller of all workers."""
    reply: str = shared_state.ask(
        lambda client: client.eval(_REQUEST_PERMISSION, 2, circuit_key(slug), _probe_key(slug), now),
        otherwise=Permission.ORDINARY,
    )
    return Permission(reply)


def release_probe(slug: str) -> None:
    """Release a probe that was granted but not made, so that another message can probe the account."""
    shared_state.ask(lambda client: client.delete(_probe_key(slug)), otherwise=0)


def read(pipe: Pipeline, slug: str) -> None:
    """Queue the read whose reply `parsed` takes."""
    pipe.hmget(circuit_key(slug), *FIELDS)


def parsed(fields: list[str | None]) -> CircuitState:
    until, held, reason = fields
    return CircuitState(float(until) if until else None, is_held=bool(held), reason=reason or "")


def hold_open(slug: str, *, reason: str, now: float) -> bool:
    """Keep the circuit open until `close`. False, and nothing has changed, while Redis is unavailable."""

    def write(client: redis.Redis) -> bool:
        with client.pipeline() as pipe:
            pipe.hset(circuit_key(slug), mapping={"until": now, "held": 1, "reason": reason[:200]})
            pipe.persist(circuit_key(slug))
            pipe.execute()
        return True

    return shared_state.ask(write, otherwise=False)


def close(pipe: Pipeline, slug: str) -> None:
    """Queue the command that closes the circuit and deletes its history."""
    pipe.delete(circuit_key(slug), _probe_key(slug), _refused_key(slug))


def circuit_key(slug: str) -> str:
    """A hash: the field `until` exists unless the circuit is closed, `held` while an operator holds it open."""
    return shared_state.key(slug, "circuit")


def _probe_key(slug: str) -> str:
    return shared_state.key(slug, "probe")


def _refused_key(slug: str) -> str:
    """A set of fingerprints: the recipients that the account was refused for since it last accepted a message."""
    return shared_state.key(slug, "refused")
