"""Which account carries a message: a pure choice among candidates. The caller supplies weights, numbers and chance."""

import math
import random
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GOLDEN_STEP = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that could carry a message. `weight` is a share of any scale; a weight of 0 gets nothing."""

    slug: str
    weight: float
    allowed_prefixes: tuple[str, ...] = ()
    denied_prefixes: tuple[str, ...] = ()


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
    candidates: Iterable[Candidate], *, number: str, position: float, exclude: frozenset[str] = frozenset()
) -> str | None:
    """The slug at `position` (in [0, 1)) along the candidates' weights, or None when no account can carry the message.

    The order of the candidates does not matter, so every worker chooses alike.
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
    return _at(position, usable)


def _at(position: float, candidates: Sequence[Candidate]) -> str:
    left = position * math.fsum(candidate.weight for candidate in candidates)
    for candidate in candidates:
        left -= candidate.weight
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
