"""Chooses the account that carries a message: a pure function of candidates, number and a position between 0 and 1."""

import hashlib
import math
import random
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

GOLDEN_STEP = (math.sqrt(5) - 1) / 2

# The formula of `health_factor`; docs/providers.md explains it.
PRIOR_CALLS = 10.0
STEEPNESS = 4
FLOOR = 0.03
# `cheapest` and `failover` skip accounts with less than this share of the best health: 0.25 is 29 % faults beside none.
MIN_RELATIVE_HEALTH = 0.25


class Strategy(StrEnum):
    """How a queue chooses among the accounts that can carry a message; docs/providers.md explains them."""

    WEIGHTED = "weighted"
    CHEAPEST = "cheapest"
    FAILOVER = "failover"
    STICKY = "sticky"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that could carry a message. `weight` is a share on any scale; with 0 the account gets no messages.

    `health` (above 0, up to 1) scales the weight down; `prices` are for one segment, by prefix, in `currency`; without one they
    are in a currency of their own.
    """

    slug: str
    weight: float
    allowed_prefixes: tuple[str, ...] = ()
    denied_prefixes: tuple[str, ...] = ()
    health: float = 1.0
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    currency: str = ""

    @property
    def share(self) -> float:
        """The effective weight."""
        return self.weight * self.health


def health_factor(calls: float, faults: float) -> float:
    """The success rate to the power of `STEEPNESS`, from 1 (no faults) down to `FLOOR`.

    `PRIOR_CALLS` successful calls are added: one fault of a rarely used account weighs little, and an account without recent
    calls counts as healthy.
    """
    success = (max(calls - faults, 0.0) + PRIOR_CALLS) / (max(calls, faults) + PRIOR_CALLS)
    return max(FLOOR, success**STEEPNESS)


def serves(candidate: Candidate, number: str) -> bool:
    """Whether the account may carry messages to this E.164 number.

    The longest matching prefix decides; of two with the same length, the denied one. If none matches, only an account
    without allowed prefixes serves the number.
    """
    allowed = _longest_match(candidate.allowed_prefixes, number)
    denied = _longest_match(candidate.denied_prefixes, number)
    if allowed == denied == 0:
        return not candidate.allowed_prefixes
    return allowed > denied


def choose(
    candidates: Iterable[Candidate],
    *,
    number: str,
    position: float,
    exclude: frozenset[str] = frozenset(),
    strategy: Strategy = Strategy.WEIGHTED,
) -> str | None:
    """The slug of the account that carries the message, or None if none can.

    Where weights decide, it is the account at `position` (in [0, 1)) on the scale of the weights. The order of the candidates
    does not matter, so that all workers make the same choice.
    """
    usable = (candidate for candidate in candidates if candidate.slug not in exclude)
    preferred = _preferred(usable, number=number, strategy=strategy)
    return _at(position, preferred) if preferred else None


def shares(candidates: Iterable[Candidate], *, number: str, strategy: Strategy = Strategy.WEIGHTED) -> dict[str, float]:
    """The share of messages to this number that `choose` gives each account, by slug; they add up to 1. Empty if none can."""
    preferred = _preferred(candidates, number=number, strategy=strategy)
    total = math.fsum(candidate.share for candidate in preferred)
    return {candidate.slug: candidate.share / total for candidate in preferred}


def _preferred(candidates: Iterable[Candidate], *, number: str, strategy: Strategy) -> list[Candidate]:
    """The accounts among which weights decide, by slug."""
    usable = sorted(
        (candidate for candidate in candidates if candidate.weight > 0 and serves(candidate, number)),
        key=lambda candidate: candidate.slug,
    )
    if not usable:
        return []
    if strategy in {Strategy.CHEAPEST, Strategy.FAILOVER}:
        usable = _healthy_enough(usable)
    if strategy is Strategy.FAILOVER:
        return [max(usable, key=lambda candidate: candidate.weight)]  # the first one of equal weights
    if strategy is Strategy.STICKY:
        return [max(usable, key=lambda candidate: _affinity(candidate, number))]
    if strategy is Strategy.CHEAPEST:
        return _cheapest(usable, number)
    return usable


def _healthy_enough(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Skip accounts that are far less healthy than the best one, where most messages would cost a failed call first."""
    best = max(candidate.health for candidate in candidates)
    return [candidate for candidate in candidates if candidate.health >= best * MIN_RELATIVE_HEALTH]


def _cheapest(candidates: Sequence[Candidate], number: str) -> list[Candidate]:
    """The cheapest of each currency: prices in different currencies are not compared. All, if none has a price."""
    prices = {candidate.slug: price(candidate, number) for candidate in candidates}
    lowest: dict[str, Decimal] = {}
    for candidate in candidates:
        found = prices[candidate.slug]
        if found is not None:
            lowest[candidate.currency] = min(found, lowest.get(candidate.currency, found))
    if not lowest:
        return list(candidates)
    return [each for each in candidates if prices[each.slug] is not None and prices[each.slug] == lowest[each.currency]]


def price(candidate: Candidate, number: str) -> Decimal | None:
    """The price of one segment to this number, by the longest matching prefix; None without one."""
    prefix = max((prefix for prefix in candidate.prices if number.startswith(prefix)), key=len, default=None)
    return None if prefix is None else candidate.prices[prefix]


def _affinity(candidate: Candidate, number: str) -> float:
    """Weighted rendezvous hashing: shares follow the weights, and a changed weight moves as few recipients as possible."""
    digest = hashlib.blake2b(f"{candidate.slug} {number}".encode(), digest_size=8).digest()
    chance = (int.from_bytes(digest) + 1) / 2**64
    return math.log(min(chance, 1 - 2**-53)) / candidate.share


def _at(position: float, candidates: Sequence[Candidate]) -> str:
    left = position * math.fsum(candidate.share for candidate in candidates)
    for candidate in candidates:
        left -= candidate.share
        if left < 0:
            return candidate.slug
    return candidates[-1].slug  # rounding errors at the end of the scale


def _longest_match(prefixes: Iterable[str], number: str) -> int:
    return max((len(prefix) for prefix in prefixes if number.startswith(prefix)), default=0)


class SpreadSequence:
    """Positions in [0, 1) that fill the interval evenly, so that shares follow the weights even for few messages.

    Adds the golden ratio modulo 1 to a random start. Thread-safe.
    """

    def __init__(self, start: float | None = None) -> None:
        self._position = random.random() if start is None else start % 1.0  # noqa: S311 (a share, not a secret)
        self._lock = threading.Lock()

    def next(self) -> float:
        with self._lock:
            self._position = (self._position + GOLDEN_STEP) % 1.0
            return self._position
