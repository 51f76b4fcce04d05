"""Which account carries a message: a pure choice among candidates. The caller supplies weights, numbers and chance."""

import hashlib
import math
import random
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

GOLDEN_STEP = (math.sqrt(5) - 1) / 2

# The formula of `health_factor`; docs/providers.md explains it.
PRIOR_CALLS = 10.0
STEEPNESS = 4
FLOOR = 0.03
# Where one account takes all, it has to be at least so well, measured by the one that is best: 0.25 is 29 % faults beside none.
WELL_ENOUGH = 0.25


class Strategy(StrEnum):
    """How a queue chooses among the accounts that can carry a message."""

    WEIGHTED = "weighted"
    CHEAPEST = "cheapest"
    FAILOVER = "failover"
    STICKY = "sticky"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that could carry a message. `weight` is a share of any scale; a weight of 0 gets nothing.

    `health` (above 0, up to 1) scales the weight down; `prices` are for one segment, by prefix.
    """

    slug: str
    weight: float
    allowed_prefixes: tuple[str, ...] = ()
    denied_prefixes: tuple[str, ...] = ()
    health: float = 1.0
    prices: Mapping[str, float] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The effective weight."""
        return self.weight * self.health


def health_factor(calls: float, faults: float) -> float:
    """From 1 (no faults) down to `FLOOR`: the rate of success, to the power of `STEEPNESS`.

    `PRIOR_CALLS` good calls are added, so that a single fault of an account that is seldom used says little, and an account
    that nothing was heard of for long counts as healthy.
    """
    success = (max(calls - faults, 0.0) + PRIOR_CALLS) / (max(calls, faults) + PRIOR_CALLS)
    return max(FLOOR, success**STEEPNESS)


def serves(candidate: Candidate, number: str) -> bool:
    """Whether the account may carry to this E.164 number.

    The longest prefix that matches decides, a denial before an allowance of the same length. Where none matches,
    only an account without allowed prefixes serves the number.
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
    """The slug of the account that carries the message, or None when none can.

    Where the strategy leaves it to the weights, it is the one at `position` (in [0, 1)) along them. The order of the
    candidates does not matter, so every worker chooses alike.
    """
    usable = sorted(
        (
            candidate
            for candidate in candidates
            if candidate.weight > 0 and candidate.slug not in exclude and serves(candidate, number)
        ),
        key=lambda candidate: candidate.slug,
    )
    if not usable:
        return None
    if strategy in {Strategy.CHEAPEST, Strategy.FAILOVER}:
        usable = _well_enough(usable)
    if strategy is Strategy.FAILOVER:
        return max(usable, key=lambda candidate: candidate.weight).slug  # the first of those that weigh the same
    if strategy is Strategy.STICKY:
        return max(usable, key=lambda candidate: _affinity(candidate, number)).slug
    if strategy is Strategy.CHEAPEST:
        lowest = min(price(candidate, number) for candidate in usable)
        usable = [candidate for candidate in usable if price(candidate, number) == lowest]
    return _at(position, usable)


def _well_enough(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Without those that are far more ill than the best: there a fault would cost every message a call in vain."""
    best = max(candidate.health for candidate in candidates)
    return [candidate for candidate in candidates if candidate.health >= best * WELL_ENOUGH]


def price(candidate: Candidate, number: str) -> float:
    """Of one segment to this number, by its longest prefix; without a price an account is the dearest."""
    prefix = max((prefix for prefix in candidate.prices if number.startswith(prefix)), key=len, default=None)
    return math.inf if prefix is None else candidate.prices[prefix]


def _affinity(candidate: Candidate, number: str) -> float:
    """Weighted rendezvous hashing: shares follow the weights, and when one changes only the recipients that must move do."""
    digest = hashlib.blake2b(f"{candidate.slug} {number}".encode(), digest_size=8).digest()
    chance = (int.from_bytes(digest) + 1) / 2**64
    return math.log(min(chance, 1 - 2**-53)) / candidate.share


def _at(position: float, candidates: Sequence[Candidate]) -> str:
    left = position * math.fsum(candidate.share for candidate in candidates)
    for candidate in candidates:
        left -= candidate.share
        if left < 0:
            return candidate.slug
    return candidates[-1].slug  # rounding at the very end of the scale


def _longest_match(prefixes: Iterable[str], number: str) -> int:
    return max((len(prefix) for prefix in prefixes if number.startswith(prefix)), default=0)


class SpreadSequence:
    """Positions in [0, 1) that fill the interval evenly, so that shares follow the weights even over few messages.

    An additive recurrence by the golden ratio from a random start. Safe to share between threads.
    """

    def __init__(self, start: float | None = None) -> None:
        self._position = random.random() if start is None else start % 1.0  # noqa: S311 (a share, not a secret)
        self._lock = threading.Lock()

    def next(self) -> float:
        with self._lock:
            self._position = (self._position + GOLDEN_STEP) % 1.0
            return self._position
