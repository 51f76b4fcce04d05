"""Rate limit of an account, `max_per_second` segments for all workers together, and the pauses that a provider asks for.

One limiter, GCRA (the generic cell rate algorithm), in one Lua script that uses Redis's clock. It keeps the time of the next
free slot; a text with n segments takes n slots. Each account has such a time for reservations (made before an attempt is
written), for calls (checked before the first byte, because a busy machine may be late with several reserved calls at once), and
for the messages that wait, so that they come back one after the other.
See docs/decisions/0009-booked-departures.md and 0020-bounded-recheck-interval.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import redis
from redis.client import Pipeline

from providers.errors import NotCalled
from providers.state import circuit_breaker, shared_state

# Reserved slots are so much longer than the limit requires: calls that leave within a little more than a second may arrive
# within one.
SLACK = 0.1
# The slots of calls that are made are shorter, so that late calls can catch up; a call may also be a little early.
SENDING_SLACK, EARLY_SECONDS = 0.05, 0.02
# Between a reservation and its slot: the attempt has to be committed before the call.
LEAD_SECONDS = 0.1
# Slots are reserved no further ahead. Bulk sees less far, so that single messages always find a free slot, and these see less
# far than what goes first.
FIRST_HORIZON_SECONDS, HORIZON_SECONDS, BULK_HORIZON_SECONDS = 3.0, 2.0, 1.0
MAX_PAUSE_SECONDS = 3600.0
# With no reservation for this long, the queues of waiting messages are stale and are cleared.
IDLE_SECONDS = 5.0
# A waiting message is checked again after this long at the latest, or after this long for each waiting segment.
RECHECK_SECONDS, RECHECK_SECONDS_PER_SEGMENT = 30.0, 0.1
MIN_DELAY_SECONDS = 0.5
UNLIMITED = 1e9


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """A text of `segments` segments. With `has_waited` it was deferred before, and precedes those that were not."""

    segments: int
    has_waited: bool = False


# KEYS: the account's slots, its pause, its circuit.
# ARGV: 1 now or "". 2 prefix of the fields. 3 field to use. 4 field that it is never behind, or "". 5 seconds from now to the
# first slot. 6 seconds for one segment. 7 most seconds to a slot. 8 field of waiting texts that go first, or "". 9 "call" or,
# for a half-open circuit, "probe" if pause and circuit are to be checked, else "". Then for each text its segments, negative
# for one that has waited.
# Returns for each text the seconds to its slot, which is taken, or as a negative number the seconds to a slot that is too far
# away; an empty list if the account must not be called.
_GCRA = f"""
local now = tonumber(ARGV[1])
if not now then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
end
local prefix, limit, check = ARGV[2], tonumber(ARGV[7]), ARGV[9]
local function at(name) return name ~= '' and tonumber(redis.call('HGET', KEYS[1], prefix .. name) or '0') or 0 end
if check ~= '' then
  local until_, held = unpack(redis.call('HMGET', KEYS[3], 'until', 'held'))
  if redis.call('EXISTS', KEYS[2]) == 1 or held or (until_ and check ~= 'probe') then return {{}} end
elseif ARGV[3] == 'reserved' and at('reserved') < now - {IDLE_SECONDS} then
  local sent = at('sent')
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], prefix .. 'sent', string.format('%.6f', sent))
end
local next = math.max(at(ARGV[3]), at(ARGV[4]), now + tonumber(ARGV[5]))
local others_first = at(ARGV[8]) > now + limit
local delays, taken = {{}}, false
for place = 10, #ARGV do
  local segments, delay = tonumber(ARGV[place]), next - now
  if delay <= limit and (segments < 0 or not others_first) then
    next, taken = next + math.abs(segments) * tonumber(ARGV[6]), true
    delays[#delays + 1] = string.format('%.6f', math.max(delay, 0))
  else
    delays[#delays + 1] = string.format('%.6f', -math.max(delay, 0.000001))
  end
end
if taken then
  redis.call('HSET', KEYS[1], prefix .. ARGV[3], string.format('%.6f', next))
  local kept = math.ceil((next - now + 60) * 1000)
  if redis.call('PTTL', KEYS[1]) < kept then redis.call('PEXPIRE', KEYS[1], kept) end
end
return delays
"""


def reserve(
    slug: str,
    per_second: float,
    requests: Sequence[SlotRequest],
    *,
    line: str,
    is_bulk: bool,
    goes_first: bool = False,
    clock: float | None = None,
) -> list[float | None]:
    """For each request the seconds until its slot, which it owns from now on, or None if no slot is free soon.

    While others of the same `line` (the name of a queue) wait, only requests that have waited get a slot; bulk, and what goes
    first, each have a line of their own in it. Without Redis: 0.0 for each. `clock` is for tests.
    """
    delays = _take_slots(
        slug,
        per_second,
        "reserved",
        [-each.segments if each.has_waited else each.segments for each in requests],
        slack=SLACK,
        lead=LEAD_SECONDS,
        most=_horizon(is_bulk=is_bulk, goes_first=goes_first),
        first=_waiting(line, is_bulk=is_bulk, goes_first=goes_first),
        clock=clock,
    )
    return [0.0] * len(requests) if delays is None else [delay if delay >= 0 else None for delay in delays]


def queue_delay(
    slug: str,
    per_second: float,
    requests: Sequence[SlotRequest],
    *,
    line: str,
    is_bulk: bool,
    goes_first: bool = False,
    clock: float | None = None,
) -> list[float]:
    """For each request without a slot the seconds after which it should ask again, spread as the account can take them.

    The longest delay is `RECHECK_SECONDS`, or `RECHECK_SECONDS_PER_SEGMENT` for each segment that waits, because other messages
    may leave the line and limits may change. Without Redis: one second for each. `clock` is for tests.
    """
    new = [each.segments for each in requests if not each.has_waited]
    returning = [each.segments for each in requests if each.has_waited]
    field = _waiting(line, is_bulk=is_bulk, goes_first=goes_first)
    line_delays = _take_slots(slug, per_second, field, [0, *new], slack=SLACK, floor="reserved", clock=clock)
    if line_delays is None:
        return [1.0] * len(requests)
    end_of_line, *new_delays = line_delays
    longest = max(RECHECK_SECONDS, end_of_line * per_second / (1 + SLACK) * RECHECK_SECONDS_PER_SEGMENT)
    found = (
        _take_slots(slug, per_second, "returning", returning, slack=SLACK, most=longest, floor="reserved", clock=clock)
        if returning
        else []
    )
    horizon = _horizon(is_bulk=is_bulk, goes_first=goes_first)
    delays_of_new = iter([min(delay, longest) for delay in new_delays])
    delays_of_returning = iter(
        [max(min(abs(delay), longest) - horizon / 2, MIN_DELAY_SECONDS) for delay in found or [1.0] * len(returning)]
    )
    return [next(delays_of_returning if each.has_waited else delays_of_new) for each in requests]


def acquire(
    slug: str, per_second: float, segments: int, *, is_probe: bool = False, clock: float | None = None
) -> float:
    """0.0 if the call is to be made at this moment; it is counted as made. Otherwise the seconds after which to ask again.

    Raises `NotCalled` if the account was paused, or its circuit opened, since the reservation. `clock` is for tests.
    """
    delays = _take_slots(
        slug,
        per_second,
        "sent",
        [segments],
        slack=SENDING_SLACK,
        most=EARLY_SECONDS,
        check="probe" if is_probe else "call",
        clock=clock,
    )
    if delays is None:
        return 0.0
    if not delays:
        raise NotCalled("the account was paused, or its circuit opened, before the call could leave")
    return max(0.0, -delays[0])


def pause(pipe: Pipeline, slug: str, *, seconds: float, now: float) -> None:
    """Queue the command that pauses the account for so many seconds. A shorter pause does not end a longer one."""
    length = min(seconds, MAX_PAUSE_SECONDS)
    pipe.eval(_PAUSE, 1, _pause_key(slug), now + length, int(length * 1000) + 1)


_PAUSE = """
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
"""


def read_pause(pipe: Pipeline, slug: str) -> None:
    """Queue the command that reads the end of the pause, in seconds since 1970."""
    pipe.get(_pause_key(slug))


def forget(pipe: Pipeline, slug: str) -> None:
    """Queue the command that ends the pause and deletes all slots."""
    pipe.delete(_pause_key(slug), _slots_key(slug))


def _take_slots(
    slug: str,
    per_second: float,
    field: str,
    segments: Sequence[int],
    *,
    slack: float,
    lead: float = 0.0,
    most: float = UNLIMITED,
    floor: str = "",
    first: str = "",
    check: str = "",
    clock: float | None = None,
) -> list[float] | None:
    """Runs the script; None while Redis is unavailable. The limit is part of each field: another limit starts anew."""
    keys = (_slots_key(slug), _pause_key(slug), circuit_breaker.circuit_key(slug))
    now = "" if clock is None else clock
    arguments = [now, f"{per_second} ", field, floor, lead, (1 + slack) / per_second, most, first, check, *segments]

    def act(client: redis.Redis) -> list[float]:
        return [float(delay) for delay in client.eval(_GCRA, len(keys), *keys, *arguments)]

    return shared_state.ask(act, otherwise=None)


def _horizon(*, is_bulk: bool, goes_first: bool) -> float:
    if goes_first:
        return FIRST_HORIZON_SECONDS
    return BULK_HORIZON_SECONDS if is_bulk else HORIZON_SECONDS


def _waiting(line: str, *, is_bulk: bool, goes_first: bool) -> str:
    kind = "bulk" if is_bulk else "single"
    return f"waiting {line} {'first' if goes_first else kind}"


def _slots_key(slug: str) -> str:
    return shared_state.key(slug, "slots")


def _pause_key(slug: str) -> str:
    return shared_state.key(slug, "pause")
