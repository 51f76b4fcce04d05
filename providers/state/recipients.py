"""How many different recipients an account refuses, in one-minute buckets. Staff are told once when it refuses nearly all.

Each bucket is a HyperLogLog of fingerprints: it holds no numbers, and has at most 12 KB however many recipients there are. It
counts a few dozen of them almost exactly.
"""

from collections.abc import Collection, Iterator
from enum import StrEnum

from django.utils.crypto import salted_hmac
from redis.client import Pipeline

from providers.state import shared_state

WINDOW_MINUTES = 15
BUCKET_SECONDS = 60
# The account refuses many when more than this share of at least so many recipients were refused, until the share is below the
# other one: a share near one limit does not tell staff again and again.
MANY_SHARE, MANY_RECIPIENTS = 0.9, 20
FEW_SHARE = 0.5
# For how long it is known of an account that is not called any more.
TTL_SECONDS = 86_400


class RefusalStep(StrEnum):
    """What the results of a batch of calls did."""

    NONE = ""
    MANY = "many"
    FEW = "few"


# KEYS: 1 the mark of an account that refuses many. Then the buckets of all recipients, newest first, and those of the refused.
# ARGV: 1 how many recipients follow. Then these, and those of them that were refused.
_RECORD = f"""
local size, first_refused = (#KEYS - 1) / 2, tonumber(ARGV[1]) + 2
local function add(key, from, to)
  if from > to then return end
  redis.call('PFADD', key, unpack(ARGV, from, to))
  redis.call('EXPIRE', key, {(WINDOW_MINUTES + 1) * BUCKET_SECONDS})
end
add(KEYS[2], 2, first_refused - 1)
add(KEYS[2 + size], first_refused, #ARGV)
local is_marked = redis.call('EXISTS', KEYS[1]) == 1
if first_refused > #ARGV and not is_marked then return '' end
local all = redis.call('PFCOUNT', unpack(KEYS, 2, 1 + size))
local refused = redis.call('PFCOUNT', unpack(KEYS, 2 + size))
if is_marked then
  if refused < {FEW_SHARE} * all then
    redis.call('DEL', KEYS[1])
    return 'few'
  end
  redis.call('EXPIRE', KEYS[1], {TTL_SECONDS})
elseif all >= {MANY_RECIPIENTS} and refused > {MANY_SHARE} * all then
  redis.call('SET', KEYS[1], 1, 'EX', {TTL_SECONDS})
  return 'many'
end
return ''
"""


def fingerprint(number: str) -> str:
    """Stands for the number in Redis: without `SECRET_KEY` no number can be found by trying all of them."""
    return salted_hmac("providers.state.recipients", number, algorithm="sha256").hexdigest()[:16]


def record(pipe: Pipeline, slug: str, *, answered: Collection[str], refused: Collection[str], now: float) -> None:
    """Queue the count of the recipients (fingerprints) of calls that the provider answered; its reply is a `RefusalStep`."""
    keys = [_mark_key(slug), *_buckets(slug, "recipients", now), *_buckets(slug, "refusals", now)]
    pipe.eval(_RECORD, len(keys), *keys, len(answered), *answered, *refused)


def read(pipe: Pipeline, slug: str) -> None:
    """Queue the command whose reply is not None if the account refuses many."""
    pipe.get(_mark_key(slug))


def reset(pipe: Pipeline, slug: str, *, now: float) -> None:
    """Queue the command that deletes all counts."""
    pipe.delete(_mark_key(slug), *_buckets(slug, "recipients", now), *_buckets(slug, "refusals", now))


def _buckets(slug: str, kind: str, now: float) -> Iterator[str]:
    newest = int(now // BUCKET_SECONDS)
    return (shared_state.key(slug, kind, newest - age) for age in range(WINDOW_MINUTES))


def _mark_key(slug: str) -> str:
    return shared_state.key(slug, "refuses-many")
