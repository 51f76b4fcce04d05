"""Which account each message goes to, and when: rows, standings and limits of the accounts, put together for one batch.

Asked outside of any transaction, because it asks Redis.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from messaging.models import Message
from messaging.retry_policy import NO_ACCOUNT_DELAY
from providers import registry, routing
from providers.candidates import candidate_of, per_second_of
from providers.models import ProviderAccount, SenderNumber
from providers.routing import Candidate, SpreadSequence, Strategy
from providers.state import account_state, circuit_breaker, rate_limit
from providers.state.account_state import AccountState
from providers.state.circuit_breaker import Circuit, Permission
from providers.state.rate_limit import RECHECK_SECONDS, SlotRequest

WAITING_FOR_RATE = "waiting_for_rate"
WAITING_FOR_PROVIDER = "waiting_for_provider"
# While another message tries whether an account is well again.
PROBE_WAIT_SECONDS = 5.0
# Many wait for the same circuit or pause: they come back over a little time, not all at once.
SPREAD, MAX_SPREAD_SECONDS = 0.2, 3.0

_positions = SpreadSequence()


@dataclass(frozen=True, slots=True)
class RoutingRequest:
    """A claimed message that is to be tried at an account that it was not yet tried at in this round."""

    message: Message = field(repr=False)
    claim_id: UUID
    tried: frozenset[str] = frozenset()
    retry_after: float | None = None
    # Every account of this round so far has only said "slow down", which is no failure.
    only_limited: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """The account that takes the message. The call leaves at `not_before` on the monotonic clock, or at once."""

    account: ProviderAccount
    not_before: float = 0.0
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class Deferral:
    """No account can take it now, and it is nobody's failure: it is queued again for so long.

    `needs_operator`: only a disabled account carries it, so the wait ends when that one is enabled.
    """

    seconds: float
    detail: str
    code: str
    needs_operator: bool = False


RoutingDecision = Route | Deferral | None


class Router:
    """All accounts, how they do, and the numbers that only one of them can carry, as one snapshot."""

    def __init__(self, turns: Sequence[RoutingRequest], *, now: datetime) -> None:
        self._now = now
        self._turns = turns
        rows = {account.slug: account for account in ProviderAccount.objects.all()}
        self.by_slug = {slug: account for slug, account in rows.items() if account.is_enabled}
        self._standings: Mapping[str, AccountState] = (
            account_state.cached(self.by_slug, now=now) if self.by_slug else {}
        )
        self._candidates = [candidate_of(row, self._standings[slug].factor) for slug, row in self.by_slug.items()]
        self._switched_off = [candidate_of(row) for row in rows.values() if not (row.is_enabled and row.weight)]
        self._bound = _bound({turn.message.from_number for turn in turns}, rows.values())
        self._with_media = {
            slug
            for slug, account in rows.items()
            if any(turn.message.media_count for turn in turns) and registry.supports_media(account)
        }
        self._closed_for_now = {slug for slug, found in self._standings.items() if found.wait(now) > 0}

    def route(self) -> dict[UUID, RoutingDecision]:
        """A verdict for each turn's message. None: no account, switched on or off, carries it, or all were tried."""
        verdicts: dict[UUID, RoutingDecision] = {}
        passed = {turn.message.pk: set(turn.tried) | self._closed_for_now for turn in self._turns}
        looking = list(self._turns)
        while looking:
            groups: dict[tuple, list[RoutingRequest]] = defaultdict(list)
            for turn in looking:
                slug = self._choose(turn, passed[turn.message.pk])
                if slug is not None:
                    groups[slug, turn.message.queue_id, turn.message.is_bulk].append(turn)
            looking = []
            for (slug, *_), group in groups.items():
                for turn, place in zip(group, self._places(slug, group), strict=True):
                    if place is not None:
                        verdicts[turn.message.pk] = place
                    else:
                        passed[turn.message.pk].add(slug)
                        looking.append(turn)
        left = [turn for turn in self._turns if turn.message.pk not in verdicts]
        verdicts.update((turn.message.pk, verdict) for turn, verdict in self._without_place(left))
        return verdicts

    def _choose(self, turn: RoutingRequest, passed: Collection[str]) -> str | None:
        message = turn.message
        return routing.choose(
            self._able(message, self._candidates),
            number=message.to_number,
            position=_positions.next(),
            exclude=frozenset(passed),
            strategy=Strategy(message.queue.routing_strategy),
        )

    def _able(self, message: Message, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Those of the candidates that can carry this message, tried or not."""
        only = self._bound.get(message.from_number)
        return [
            candidate
            for candidate in candidates
            if (only is None or candidate.slug == only)
            and (not message.media_count or candidate.slug in self._with_media)
            and routing.serves(candidate, message.to_number)
        ]

    def _places(self, slug: str, group: Sequence[RoutingRequest]) -> list[Route | None]:
        """A place at the account for each of the group, whose queue and kind are the same, or None where it has no room."""
        account = self.by_slug[slug]
        may_try = len(group)
        is_probe = False
        if self._standings[slug].circuit.at(self._now.timestamp()) is Circuit.HALF_OPEN:
            permission = circuit_breaker.request_permission(slug, now=self._now.timestamp())
            is_probe = permission is Permission.PROBE
            may_try = {Permission.REFUSED: 0, Permission.PROBE: 1, Permission.ORDINARY: may_try}[permission]
        departures = self._book(account, group[:may_try])
        if is_probe and departures == [None]:
            circuit_breaker.release_probe(slug)
        places = [None if each is None else Route(account, each, is_probe) for each in departures]
        return places + [None] * (len(group) - len(places))

    def _book(self, account: ProviderAccount, group: Sequence[RoutingRequest]) -> list[float | None]:
        """When each may leave, or None where there is no room."""
        per_second = per_second_of(account)
        if per_second is None or not group:
            return [0.0] * len(group)
        message = group[0].message
        asked = time.monotonic()
        delays = rate_limit.reserve(
            account.slug, per_second, list(map(_wish, group)), line=message.queue_id, is_bulk=message.is_bulk
        )
        return [None if delay is None else asked + delay for delay in delays]

    def _without_place(self, left: Sequence[RoutingRequest]) -> Iterator[tuple[RoutingRequest, RoutingDecision]]:
        crowded: dict[tuple, list[RoutingRequest]] = defaultdict(list)
        for turn in left:
            able = [candidate.slug for candidate in self._able(turn.message, self._candidates) if candidate.weight]
            untried = [slug for slug in able if slug not in turn.tried]
            full = [slug for slug in untried if self._is_well(slug)]
            if full:
                crowded[min(full), turn.message.queue_id, turn.message.is_bulk].append(turn)
            elif untried:
                yield turn, self._until_well(untried)
            else:
                yield turn, None if able else self._until_switched_on(turn.message)
        for (slug, queue_name, is_bulk), group in crowded.items():
            per_second = per_second_of(self.by_slug[slug])
            waits = rate_limit.queue_delay(slug, per_second, list(map(_wish, group)), line=queue_name, is_bulk=is_bulk)
            detail = f"{slug} takes {per_second:g} segments a second; the message waits for its turn."
            for turn, seconds in zip(group, waits, strict=True):
                yield turn, Deferral(seconds, detail, WAITING_FOR_RATE)

    def _is_well(self, slug: str) -> bool:
        """Open for calls, so that it can only be its limit that has no room."""
        found = self._standings[slug]
        return not found.wait(self._now) and found.circuit.at(self._now.timestamp()) is Circuit.CLOSED

    def _until_well(self, slugs: Sequence[str]) -> Deferral:
        waits = (self._standings[slug].wait(self._now) or PROBE_WAIT_SECONDS for slug in slugs)
        seconds = min(max(1.0, min(waits)), RECHECK_SECONDS)
        seconds += min(SPREAD * seconds, MAX_SPREAD_SECONDS) * _positions.next()
        detail = f"Waits until one of {', '.join(sorted(slugs))} can be called again."
        return Deferral(seconds, detail, WAITING_FOR_PROVIDER)

    def _until_switched_on(self, message: Message) -> Deferral | None:
        """Off is not gone: a message that only a switched-off account carries waits for it."""
        if self.by_slug and not self._able(message, self._switched_off):
            return None
        detail = "Waits until a provider account that carries it is enabled."
        return Deferral(NO_ACCOUNT_DELAY, detail, WAITING_FOR_PROVIDER, needs_operator=True)


def _bound(senders: Collection[str], accounts: Iterable[ProviderAccount]) -> dict[str, str]:
    """The account that alone can send under a number: as its row says or, without a row, as the account has it for its own."""
    rows = SenderNumber.objects.filter(number__in=set(senders)).values_list("number", "account_id")
    known = {str(number): slug for number, slug in rows}
    own = {account.from_number: account.slug for account in accounts if account.from_number in senders}
    return {number: slug for number, slug in {**own, **known}.items() if slug is not None}


def _wish(turn: RoutingRequest) -> SlotRequest:
    return SlotRequest(turn.message.segments, has_waited=turn.message.error_code == WAITING_FOR_RATE)
