"""How fast an account may be called: `max_per_second` for all workers together, and the pauses that a provider asks for.

Calls are booked: each gets a departure of its own, by Redis's clock, so that they leave evenly spaced and whoever finds no room
knows when to come back. At the moment of leaving each asks once more, however late a busy machine has made it: for its distance
to the call before it, and for a place in a moving window (library `limits`), which is exact for segments.
See docs/decisions/0009-booked-departures.md.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import redis
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.client import Pipeline

from providers.errors import NotCalled
from providers.state import circuit_breaker, shared_state

# Departures lie so much further apart than the limit says: on the way to the carrier one call is slower than another, and what
# left within a little more than a second may arrive within one.
SLACK = 0.1
# The distance asked for at the moment of leaving is smaller, so that those that are late can catch up; a little is forgiven.
LEAVING_SLACK, FORGIVEN_SECONDS = 0.05, 0.02
# Whoever finds no place in the window asks again after this time.
ASK_AGAIN_SECONDS = 0.05
MAX_WINDOW_SECONDS = 60
# From the booking to the first departure: the attempt has to be committed before the call.
LEAD_SECONDS = 0.1
# Departures are booked no further ahead. Single messages see further than bulk, so bulk never takes all of them.
HORIZON_SECONDS, BULK_HORIZON_SECONDS = 2.0, 1.0
MAX_PAUSE_SECONDS = 3600.0
# Nobody has booked for so long: whoever stood in line has been canceled, has expired or has gone elsewhere.
IDLE_SECONDS = 5.0
# How long one of a line stays away at most: so long, or so long for each segment of the line, if that is longer.
LOOK_SECONDS, LOOK_SECONDS_FOR_EACH = 30.0, 0.1


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """A text that wants to leave. `has_waited`: it stood in line before, and goes before those that come fresh."""

    segments: int
    has_waited: bool = False


_NOW = """
local now = tonumber(ARGV[1])
if not now then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
end
local function at(field) return tonumber(redis.call('HGET', KEYS[1], field) or '0') end
local function set(field, moment)
  redis.call('HSET', KEYS[1], field, string.format('%.6f', moment))
  local kept = math.ceil((moment - now + 60) * 1000)
  if redis.call('PTTL', KEYS[1]) < kept then redis.call('PEXPIRE', KEYS[1], kept) end
end
"""

# KEYS: the account's bookings. ARGV: now or "", the fields of the next departure and of the end of the line, what the fields of
# all lines begin with, seconds for one segment, lead, horizon, then for each wish its segments, negative for one that has
# waited. Answers: seconds until the departure, or "" for no room.
_BOOK = f"""{_NOW}
local departure, line, lines = ARGV[2], ARGV[3], ARGV[4]
local spacing, lead, horizon = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local free = at(departure)
if free < now - {IDLE_SECONDS} then
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(name, 1, #lines) == lines then redis.call('HDEL', KEYS[1], name) end
  end
end
free = math.max(free, now + lead)
local others_wait = at(line) > now + horizon
local answers = {{}}
for place = 8, #ARGV do
  local segments = tonumber(ARGV[place])
  if free - now <= horizon and (segments < 0 or not others_wait) then
    answers[#answers + 1] = string.format('%.6f', free - now)
    free = free + math.abs(segments) * spacing
    set(departure, free)
  else
    answers[#answers + 1] = ''
  end
end
return answers
"""

# KEYS: the account's bookings. ARGV: now or "", the fields of the next departure, of the end of the line, and of the end of
# those of it that were told their time, seconds for one segment, horizon, then the wishes as above. Answers: seconds until it
# is worth trying again.
_LINE_UP = f"""{_NOW}
local spacing, horizon = tonumber(ARGV[5]), tonumber(ARGV[6])
local free = math.max(at(ARGV[2]), now)
local line, told = math.max(at(ARGV[3]), free), math.max(at(ARGV[4]), free)
local longest = math.max({LOOK_SECONDS}, (line - now) / spacing * {LOOK_SECONDS_FOR_EACH})
local answers = {{}}
for place = 7, #ARGV do
  local segments = tonumber(ARGV[place])
  local wait
  if segments < 0 then
    wait = math.max(math.min(told - now, longest) - horizon / 2, 0.5)
    if told - now < longest then told = told - segments * spacing end
  else
    wait = math.min(line - now, longest)
    line = line + segments * spacing
  end
  answers[#answers + 1] = string.format('%.6f', wait)
end
set(ARGV[3], line)
set(ARGV[4], told)
return answers
"""


def reserve(
    slug: str, per_second: float, wishes: Sequence[SlotRequest], *, line: str, is_bulk: bool, clock: float | None = None
) -> list[float | None]:
    """For each wish the seconds until its departure, which is its own from now on, or None: there is no room soon.

    Who comes fresh while others of the same `line` (a queue's name) wait has to wait too. `clock` is for tests.
    """
    horizon = BULK_HORIZON_SECONDS if is_bulk else HORIZON_SECONDS
    fields = [f"{per_second} departure", _line(per_second, line, is_bulk=is_bulk), _line(per_second)]
    arguments = [*fields, _spacing(per_second), LEAD_SECONDS, horizon, *map(_signed, wishes)]
    answers = _run(_BOOK, slug, arguments, clock=clock)
    if answers is None:
        return [0.0] * len(wishes)
    return [float(answer) if answer else None for answer in answers]


# KEYS: the account's bookings, its pause, its circuit. ARGV: now or "", the field of the earliest next one, seconds that the
# segments take, seconds forgiven, 1 for a probe. Answers: seconds to wait, or "" where the account must not be called any more.
_LEAVE = f"""{_NOW}
local until_, held = unpack(redis.call('HMGET', KEYS[3], 'until', 'held'))
if redis.call('EXISTS', KEYS[2]) == 1 or held or (until_ and ARGV[5] ~= '1') then return '' end
local free = at(ARGV[2])
if free - tonumber(ARGV[4]) > now then return string.format('%.6f', free - now) end
set(ARGV[2], math.max(free, now) + tonumber(ARGV[3]))
return '0'
"""


def acquire(
    slug: str, per_second: float, segments: int, *, is_probe: bool = False, clock: float | None = None
) -> float:
    """0.0: the call is to be made at this moment, and counts as made. Else the seconds after which to ask again.

    Bookings space the calls; this is what holds when a busy process is late with some of them. Raises `NotCalled` where the
    account was paused, or its circuit opened, since the call was booked. `clock` is for tests.
    """
    seconds = segments * (1 + LEAVING_SLACK) / per_second
    arguments = ["" if clock is None else clock, f"{per_second} left", seconds, FORGIVEN_SECONDS, int(is_probe)]
    keys = (_bookings_key(slug), _pause_key(slug), circuit_breaker.circuit_key(slug))
    answer = shared_state.ask(lambda client: client.eval(_LEAVE, len(keys), *keys, *arguments), otherwise="0")
    if not answer:
        raise NotCalled("the account was paused, or its circuit opened, before the call could leave")
    wait = float(answer)
    if wait:
        return wait
    item = _window(per_second)
    cost = min(segments, item.amount)
    has_place = shared_state.ask(
        lambda client: _limiter(client.connection_pool).hit(item, slug, cost=cost), otherwise=True
    )
    return 0.0 if has_place else ASK_AGAIN_SECONDS


@functools.lru_cache(maxsize=1)
def _limiter(pool: redis.ConnectionPool) -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(RedisStorage("redis://", connection_pool=pool, key_prefix="switchboard:departures"))


@functools.cache
def _window(per_second: float) -> RateLimitItemPerSecond:
    """So many segments in so many whole seconds: 2.5 a second are 5 in 2 seconds."""
    share = Fraction(per_second).limit_denominator(MAX_WINDOW_SECONDS)
    return RateLimitItemPerSecond(max(share.numerator, 1), share.denominator if share else math.ceil(1 / per_second))


def queue_delay(
    slug: str, per_second: float, wishes: Sequence[SlotRequest], *, line: str, is_bulk: bool, clock: float | None = None
) -> list[float]:
    """Seconds after which each should ask again: spread as the account can take them, so that thousands do not come at once.

    Nobody stays away for as long as a long line takes: others leave it, and limits change. About ten of a line look again in
    each second, of a short one everybody every half a minute.
    """
    horizon = BULK_HORIZON_SECONDS if is_bulk else HORIZON_SECONDS
    name = _line(per_second, line, is_bulk=is_bulk)
    fields = [f"{per_second} departure", name, f"{name} told"]
    answers = _run(_LINE_UP, slug, [*fields, _spacing(per_second), horizon, *map(_signed, wishes)], clock=clock)
    return [1.0] * len(wishes) if answers is None else [float(answer) for answer in answers]


def pause(pipe: Pipeline, slug: str, *, seconds: float, now: float) -> None:
    """Queue the command that lets nobody call the account for so long. A shorter wish does not end a longer pause."""
    length = min(seconds, MAX_PAUSE_SECONDS)
    pipe.eval(_PAUSE, 1, _pause_key(slug), now + length, int(length * 1000) + 1)


_PAUSE = """
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
"""


def read_pause(pipe: Pipeline, slug: str) -> None:
    """Queue the look at the pause's end, in seconds since 1970."""
    pipe.get(_pause_key(slug))


def forget(pipe: Pipeline, slug: str) -> None:
    """Queue the command that ends a pause, and all that is booked."""
    pipe.delete(_pause_key(slug), _bookings_key(slug))


def _run(script: str, slug: str, arguments: Sequence[float | str], *, clock: float | None) -> list[str] | None:
    def act(client: redis.Redis) -> list[str]:
        return client.eval(script, 1, _bookings_key(slug), "" if clock is None else clock, *arguments)

    return shared_state.ask(act, otherwise=None)


def _line(per_second: float, queue_name: str = "", *, is_bulk: bool = False) -> str:
    """The field of one line; without a queue, what the fields of all lines begin with.

    The limit stands in all fields: what was booked by another one says nothing under this.
    """
    return f"{per_second} line {queue_name} {'bulk' if is_bulk else 'single'}" if queue_name else f"{per_second} line "


def _spacing(per_second: float) -> float:
    return (1 + SLACK) / per_second


def _signed(wish: SlotRequest) -> int:
    return -wish.segments if wish.has_waited else wish.segments


def _bookings_key(slug: str) -> str:
    return shared_state.key(slug, "bookings")


def _pause_key(slug: str) -> str:
    return shared_state.key(slug, "pause")
