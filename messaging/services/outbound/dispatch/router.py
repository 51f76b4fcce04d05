"""Chooses an account for each message of a batch, from the accounts' configuration, state and rate limits.

Asks Redis, so use it outside any transaction, except for `Router.route_at_once`.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from messaging.categories import Category, Priority
from messaging.models import Message
from messaging.retry_policy import NO_ACCOUNT_DELAY, WAITING_FOR_PROVIDER
from messaging.services.limits import conversion
from messaging.services.outbound.dispatch.rounds import Round
from providers import registry, routing
from providers.models import ProviderAccount, SenderNumber
from providers.routing import Candidate, SpreadSequence, Strategy
from providers.state import account_state, circuit_breaker, rate_limit
from providers.state.account_state import AccountState
from providers.state.circuit_breaker import Circuit, Permission
from providers.state.rate_limit import RECHECK_SECONDS, SlotRequest

WAITING_FOR_RATE = "waiting_for_rate"
# How long messages wait while another message probes the account.
PROBE_WAIT_SECONDS = 5.0
# Messages that wait for the same circuit or pause come back spread over some time, not all at once.
SPREAD, MAX_SPREAD_SECONDS = 0.2, 3.0

_positions = SpreadSequence()


@dataclass(frozen=True, slots=True)
class RoutingRequest:
    """A claimed message that needs an account it was not yet tried at in this round."""

    message: Message = field(repr=False)
    round: Round


@dataclass(frozen=True, slots=True)
class Route:
    """The account that takes the message: at once, or at `not_before` on the monotonic clock."""

    account: ProviderAccount
    not_before: float = 0.0
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class Deferral:
    """No account can take the message now. It is queued again for `seconds`, and no round has failed.

    `needs_operator`: only disabled accounts can carry it, so it waits until an operator enables one.
    """

    seconds: float
    detail: str
    code: str
    needs_operator: bool = False


RoutingDecision = Route | Deferral | None


@dataclass(frozen=True, slots=True)
class RouteOption:
    """What an account is to a message: its share of such messages now, from 0 to 1, or `reason`, why it gets none of them.

    `is_temporary`: the message waits for this account if no other one takes it.
    """

    slug: str
    share: float = 0.0
    reason: str = ""
    is_temporary: bool = False


class Router:
    """A snapshot of all accounts and their state."""

    def __init__(self, *, now: datetime) -> None:
        self._now = now
        self._accounts = {account.slug: account for account in ProviderAccount.objects.all()}
        registry.close_outdated(self._accounts.values())
        self.by_slug = {slug: account for slug, account in self._accounts.items() if account.is_enabled}
        self._states: Mapping[str, AccountState] = account_state.cached(self.by_slug, now=now) if self.by_slug else {}
        self._candidates = [row.as_candidate(self._states[slug].factor) for slug, row in self.by_slug.items()]
        self._disabled = [row.as_candidate() for row in self._accounts.values() if not (row.is_enabled and row.weight)]
        self._unavailable = frozenset(slug for slug, state in self._states.items() if state.wait(now) > 0)
        self._bound: Mapping[str, str] = {}
        self._with_media: Collection[str] = ()

    def route_at_once(self, requests: Sequence[RoutingRequest]) -> dict[UUID, Route]:
        """Routes by message id, without Redis, so that a transaction may be open.

        Leaves out messages that some account could carry only by a word of Redis: one with a rate limit, or with a circuit
        that is not closed. The choice among all accounts is left to `route`, so that shares follow the weights.
        """
        self._read_for(requests)
        at_once = {slug for slug, row in self.by_slug.items() if row.max_per_second is None and self._is_callable(slug)}
        routes = {}
        for request in requests:
            excluded = request.round.tried | self._unavailable
            able = {candidate.slug for candidate in self._able(request.message, self._candidates) if candidate.weight}
            slug = self._choose(request, excluded) if able - excluded <= at_once else None
            if slug is not None:
                routes[request.message.pk] = Route(self.by_slug[slug])
        return routes

    def route(self, requests: Sequence[RoutingRequest]) -> dict[UUID, RoutingDecision]:
        """A decision for each request, by message id. None: no account, enabled or not, carries it, or all were tried."""
        self._read_for(requests)
        decisions: dict[UUID, RoutingDecision] = {}
        excluded = {request.message.pk: request.round.tried | self._unavailable for request in requests}
        unrouted = list(requests)
        while unrouted:
            groups: dict[tuple[str, str | None, int], list[RoutingRequest]] = defaultdict(list)
            for request in unrouted:
                slug = self._choose(request, excluded[request.message.pk])
                if slug is not None:
                    groups[slug, request.message.queue_id, request.message.priority].append(request)
            unrouted = []
            for (slug, *_), group in groups.items():
                for request, route in zip(group, self._routes(slug, group), strict=True):
                    if route is not None:
                        decisions[request.message.pk] = route
                    else:
                        excluded[request.message.pk] |= {slug}
                        unrouted.append(request)
        left = [request for request in requests if request.message.pk not in decisions]
        decisions.update((request.message.pk, decision) for request, decision in self._unrouted(left))
        return decisions

    def options(self, message: Message) -> list[RouteOption]:
        """What each account is to this message, by slug. Reserves nothing and asks no circuit breaker for permission."""
        self._read_for([RoutingRequest(message, Round(message.pk))])
        unfit = {slug: self._unfit(slug, message) for slug in sorted(self._accounts)}
        usable = self._weighed(message, [each for each in self._candidates if unfit[each.slug] is None])
        shares = routing.shares(usable, number=message.to_number, strategy=_strategy_of(message))
        return [
            option or RouteOption(slug, shares.get(slug, 0.0), "" if shares.get(slug) else "Another one goes first.")
            for slug, option in unfit.items()
        ]

    def _unfit(self, slug: str, message: Message) -> RouteOption | None:
        """Why the account takes no such message now; None if it can."""
        account, only = self._accounts[slug], self._bound.get(message.from_number)
        lasting = (
            (only not in {None, slug}, f"The sender belongs to {only}."),
            (bool(message.media_count) and slug not in self._with_media, "It sends no media."),
            (not routing.serves(account.as_candidate(), message.to_number), "It does not serve this number."),
        )
        passing = (
            (not account.is_enabled, "It is disabled."),
            (not account.weight, "Its weight is 0."),
            (account.is_enabled and not self._is_callable(slug), "It is paused, or its circuit is not closed."),
        )
        # As in `_until_enabled`: while no account at all is enabled, messages wait for one, whatever it takes.
        waits = not self.by_slug
        found = [RouteOption(slug, reason=reason, is_temporary=waits) for applies, reason in lasting if applies]
        found += [RouteOption(slug, reason=reason, is_temporary=True) for applies, reason in passing if applies]
        return found[0] if found else None

    def _read_for(self, requests: Sequence[RoutingRequest]) -> None:
        """Read the sender numbers of these messages that only one account can use, and which accounts send media."""
        self._bound = _bound({request.message.from_number for request in requests}, self._accounts.values())
        self._with_media = {
            slug
            for slug, account in self._accounts.items()
            if any(request.message.media_count for request in requests) and registry.capabilities_of(account).media
        }

    def _choose(self, request: RoutingRequest, excluded: frozenset[str]) -> str | None:
        message = request.message
        return routing.choose(
            self._weighed(message, self._able(message, self._candidates)),
            number=message.to_number,
            position=_positions.next(),
            exclude=excluded,
            strategy=_strategy_of(message),
        )

    def _able(self, message: Message, candidates: Iterable[Candidate]) -> list[Candidate]:
        """The candidates that can carry this message, tried or not."""
        only = self._bound.get(message.from_number)
        return [
            candidate
            for candidate in candidates
            if (only is None or candidate.slug == only)
            and (not message.media_count or candidate.slug in self._with_media)
            and routing.serves(candidate, message.to_number)
        ]

    def _weighed(self, message: Message, candidates: list[Candidate]) -> list[Candidate]:
        """In a queue that uses conversion, accounts whose codes to this prefix are confirmed far less often get fewer codes."""
        if message.category != Category.OTP or not (message.queue and message.queue.use_conversion):
            return candidates
        factors = conversion.factors(message.to_number, self._now)
        return [replace(each, health=each.health * factors.get(each.slug, 1.0)) for each in candidates]

    def _routes(self, slug: str, group: Sequence[RoutingRequest]) -> list[Route | None]:
        """A route for each request of the group, which has one queue and one priority, or None where no slot is free soon."""
        account = self.by_slug[slug]
        allowed = len(group)
        is_probe = False
        if self._states[slug].circuit.at(self._now.timestamp()) is Circuit.HALF_OPEN:
            permission = circuit_breaker.request_permission(slug, now=self._now.timestamp())
            is_probe = permission is Permission.PROBE
            allowed = {Permission.REFUSED: 0, Permission.PROBE: 1, Permission.ORDINARY: allowed}[permission]
        times = self._reserve(account, group[:allowed])
        if is_probe and times == [None]:
            circuit_breaker.release_probe(slug)
        routes = [None if not_before is None else Route(account, not_before, is_probe) for not_before in times]
        return routes + [None] * (len(group) - len(routes))

    def _reserve(self, account: ProviderAccount, group: Sequence[RoutingRequest]) -> list[float | None]:
        """For each request the monotonic time of its slot, 0.0 without a limit, or None if no slot is free soon."""
        per_second = account.max_per_second
        if per_second is None or not group:
            return [0.0] * len(group)
        message = group[0].message
        asked_at = time.monotonic()
        delays = rate_limit.reserve(
            account.slug,
            per_second,
            [_slot_request(request) for request in group],
            line=message.queue_id or "",
            **_rank(message.priority),
        )
        return [None if delay is None else asked_at + delay for delay in delays]

    def _unrouted(self, left: Sequence[RoutingRequest]) -> Iterator[tuple[RoutingRequest, RoutingDecision]]:
        """Defer messages that an account could carry later; None for the others."""
        limited: dict[tuple[str, float, str | None, int], list[RoutingRequest]] = defaultdict(list)
        for request in left:
            message = request.message
            able = [candidate.slug for candidate in self._able(message, self._candidates) if candidate.weight]
            untried = [slug for slug in able if slug not in request.round.tried]
            without_slot = min((slug for slug in untried if self._is_callable(slug)), default=None)
            per_second = self.by_slug[without_slot].max_per_second if without_slot is not None else None
            if without_slot is not None and per_second is not None:
                limited[without_slot, per_second, message.queue_id, message.priority].append(request)
            elif untried:
                yield request, self._until_callable(untried)
            else:
                yield request, None if able else self._until_enabled(message)
        for (slug, per_second, queue_name, priority), group in limited.items():
            requests = [_slot_request(request) for request in group]
            delays = rate_limit.queue_delay(slug, per_second, requests, line=queue_name or "", **_rank(priority))
            detail = f"{slug} takes {per_second:g} segments a second; the message waits for its turn."
            for request, seconds in zip(group, delays, strict=True):
                yield request, Deferral(seconds, detail, WAITING_FOR_RATE)

    def _is_callable(self, slug: str) -> bool:
        """Neither paused nor behind a circuit, so only its rate limit keeps messages waiting."""
        state = self._states[slug]
        return not state.wait(self._now) and state.circuit.at(self._now.timestamp()) is Circuit.CLOSED

    def _until_callable(self, slugs: Sequence[str]) -> Deferral:
        waits = (self._states[slug].wait(self._now) or PROBE_WAIT_SECONDS for slug in slugs)
        seconds = min(max(1.0, min(waits)), RECHECK_SECONDS)
        seconds += min(SPREAD * seconds, MAX_SPREAD_SECONDS) * _positions.next()
        detail = f"Waits until one of {', '.join(sorted(slugs))} can be called again."
        return Deferral(seconds, detail, WAITING_FOR_PROVIDER)

    def _until_enabled(self, message: Message) -> Deferral | None:
        """If only a disabled account can carry the message, wait for that account."""
        if self.by_slug and not self._able(message, self._disabled):
            return None
        detail = "Waits until a provider account that carries it is enabled."
        return Deferral(NO_ACCOUNT_DELAY, detail, WAITING_FOR_PROVIDER, needs_operator=True)


def _strategy_of(message: Message) -> Strategy:
    """Every outbound message has a queue; only inbound ones, which are not routed, have none."""
    return Strategy(message.queue.routing_strategy) if message.queue else Strategy.WEIGHTED


def _bound(senders: Collection[str], accounts: Iterable[ProviderAccount]) -> dict[str, str]:
    """Senders that only one account can use: by its `SenderNumber` row or, without a row, by the account's configuration."""
    accounts_by_number: dict[str, str | None] = {
        account.from_number: account.slug
        for account in accounts
        if account.from_number and account.from_number in senders
    }
    rows = SenderNumber.objects.filter(number__in=set(senders)).values_list("number", "account_id")
    accounts_by_number.update(rows)
    return {number: slug for number, slug in accounts_by_number.items() if slug is not None}


def _rank(priority: int) -> dict[str, bool]:
    """The priority, in the words of the rate limiter."""
    return {"is_bulk": priority == Priority.BULK, "goes_first": priority == Priority.FIRST}


def _slot_request(request: RoutingRequest) -> SlotRequest:
    message = request.message
    return SlotRequest(message.segments, has_waited=message.error_code == WAITING_FOR_RATE)
