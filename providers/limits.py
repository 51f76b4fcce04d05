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
from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.client import Pipeline

from providers import shared_state

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


@dataclass(frozen=True, slots=True)
class Wish:
    """A text that wants to leave. `has_waited`: it stood in line before, and goes before those that come fresh."""

    segments: int
    has_waited: bool = False


# KEYS: next departure, end of the line. ARGV: now or "", seconds for one segment, lead, horizon, then for each wish its
# segments, negative for one that has waited. Answers: seconds until the departure, or "" for no room.
_BOOK = """
local now = tonumber(ARGV[1])
if not now then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
end
local spacing, lead, horizon = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now + lead)
local others_wait = tonumber(redis.call('GET', KEYS[2]) or '0') > now + horizon
local answers = {}
for place = 5, #ARGV do
  local segments = tonumber(ARGV[place])
  if free - now <= horizon and (segments < 0 or not others_wait) then
    answers[#answers + 1] = string.format('%.6f', free - now)
    free = free + math.abs(segments) * spacing
  else
    answers[#answers + 1] = ''
  end
end
redis.call('SET', KEYS[1], string.format('%.6f', free), 'PX', math.ceil((free - now + 60) * 1000))
return answers
"""

# KEYS and ARGV as above, without lead. Answers: seconds until it is worth trying again.
_LINE_UP = """
local now = tonumber(ARGV[1])
if not now then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
end
local spacing, horizon = tonumber(ARGV[2]), tonumber(ARGV[3])
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local line = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), free)
local answers = {}
for place = 4, #ARGV do
  local segments = tonumber(ARGV[place])
  if segments < 0 then
    answers[#answers + 1] = string.format('%.6f', math.max(free - now - horizon / 2, 0.5))
  else
    answers[#answers + 1] = string.format('%.6f', line - now)
    line = line + segments * spacing
  end
end
redis.call('SET', KEYS[2], string.format('%.6f', line), 'PX', math.ceil((line - now + 60) * 1000))
return answers
"""


def book(
    slug: str, per_second: float, wishes: Sequence[Wish], *, line: str, is_bulk: bool, clock: float | None = None
) -> list[float | None]:
    """For each wish the seconds until its departure, which is its own from now on, or None: there is no room soon.

    Who comes fresh while others of the same `line` (a queue's name) wait has to wait too. `clock` is for tests.
    """
    horizon = BULK_HORIZON_SECONDS if is_bulk else HORIZON_SECONDS
    arguments = [_spacing(per_second), LEAD_SECONDS, horizon, *map(_signed, wishes)]
    answers = _run(_BOOK, slug, line, arguments, is_bulk=is_bulk, clock=clock)
    if answers is None:
        return [0.0] * len(wishes)
    return [float(answer) if answer else None for answer in answers]


# KEYS: the earliest next one. ARGV: now or "", seconds that the segments take, seconds forgiven. Answers: seconds to wait.
_LEAVE = """
local now = tonumber(ARGV[1])
if not now then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
end
local free = tonumber(redis.call('GET', KEYS[1]) or '0')
if free - tonumber(ARGV[3]) > now then return string.format('%.6f', free - now) end
free = math.max(free, now) + tonumber(ARGV[2])
redis.call('SET', KEYS[1], string.format('%.6f', free), 'PX', math.ceil((free - now + 60) * 1000))
return '0'
"""


def leave(slug: str, per_second: float, segments: int, *, clock: float | None = None) -> float:
    """0.0: the call is to be made at this moment, and counts as made. Else the seconds after which to ask again.

    Bookings space the calls; this is what holds when a busy process is late with some of them. `clock` is for tests.
    """
    seconds = segments * (1 + LEAVING_SLACK) / per_second
    arguments = ["" if clock is None else clock, seconds, FORGIVEN_SECONDS]
    wait = shared_state.ask(
        lambda client: float(client.eval(_LEAVE, 1, shared_state.key(slug, "left"), *arguments)), otherwise=0.0
    )
    if wait:
        return wait
    item = _window(per_second)
    cost = min(segments, item.amount)
    has_place = shared_state.ask(lambda _client: _limiter().hit(item, slug, cost=cost), otherwise=True)
    return 0.0 if has_place else ASK_AGAIN_SECONDS


@functools.cache
def _limiter() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(
        RedisStorage(
            settings.REDIS_URL,
            key_prefix="switchboard:departures",
            socket_connect_timeout=shared_state.CONNECT_TIMEOUT,
            socket_timeout=shared_state.ANSWER_TIMEOUT,
        )
    )


@functools.cache
def _window(per_second: float) -> RateLimitItemPerSecond:
    """So many segments in so many whole seconds: 2.5 a second are 5 in 2 seconds."""
    share = Fraction(per_second).limit_denominator(MAX_WINDOW_SECONDS)
    return RateLimitItemPerSecond(max(share.numerator, 1), share.denominator if share else math.ceil(1 / per_second))


def line_up(
    slug: str, per_second: float, wishes: Sequence[Wish], *, line: str, is_bulk: bool, clock: float | None = None
) -> list[float]:
    """Seconds after which each should ask again: spread as the account can take them, so that thousands do not come at once."""
    horizon = BULK_HORIZON_SECONDS if is_bulk else HORIZON_SECONDS
    arguments = [_spacing(per_second), horizon, *map(_signed, wishes)]
    answers = _run(_LINE_UP, slug, line, arguments, is_bulk=is_bulk, clock=clock)
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


def end_pause(pipe: Pipeline, slug: str) -> None:
    pipe.delete(_pause_key(slug))


def _run(
    script: str, slug: str, line: str, arguments: Sequence[float], *, is_bulk: bool, clock: float | None
) -> list[str] | None:
    keys = (shared_state.key(slug, "departure"), shared_state.key(slug, "line", line, "bulk" if is_bulk else "single"))

    def act(client: redis.Redis) -> list[str]:
        return client.eval(script, len(keys), *keys, "" if clock is None else clock, *arguments)

    return shared_state.ask(act, otherwise=None)


def _spacing(per_second: float) -> float:
    return (1 + SLACK) / per_second


def _signed(wish: Wish) -> int:
    return -wish.segments if wish.has_waited else wish.segments


def _pause_key(slug: str) -> str:
    return shared_state.key(slug, "pause")
