"""Start attempts: choose an account for each claimed message and write the attempt before the call."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from messaging.models import Message
from messaging.services import transitions
from messaging.services.outbound import attachments, eligibility, verification_codes
from messaging.services.outbound.attachments import OutgoingFile
from messaging.services.outbound.dispatch import attempt_rows
from messaging.services.outbound.dispatch.attempt_rows import AttemptRow
from messaging.services.outbound.dispatch.refusals import Refusals, earlier_refusals
from messaging.services.outbound.dispatch.rounds import Round
from messaging.services.outbound.dispatch.router import Deferral, Route, Router, RoutingDecision, RoutingRequest
from messaging.services.outbound.eligibility import Batch, Moment
from messaging.services.outbound.verification_codes import CodeSlot
from messaging.services.transitions import Transition, save_together
from messaging.states import Source, Status
from providers.errors import Unavailable
from providers.models import ProviderAccount
from providers.state import circuit_breaker

logger = logging.getLogger(__name__)

NEVER = datetime.min.replace(tzinfo=UTC)
NO_ROUTE = Refusals(frozenset(), "no_route", "No provider account serves this number.")


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that is in the database and may be sent: at once, or at `not_before` on the monotonic clock.

    `checked_at` is when `eligibility` last allowed its message. Nothing may be sent after `lease_until`.
    `code` is set if the message tells a code: its text has masks in place of it.
    """

    attempt_id: UUID
    number: int
    message: Message = field(repr=False)
    account: ProviderAccount
    round: Round
    lease_until: datetime = NEVER
    checked_at: datetime = NEVER
    not_before: float = 0.0
    is_probe: bool = False
    media: tuple[OutgoingFile, ...] = field(default=(), repr=False)
    code: CodeSlot | None = field(default=None, repr=False)

    def round_after(self, error: Unavailable) -> Round:
        return self.round.after(error, is_probe=self.is_probe)


def start_attempts(claimed: Sequence[Message], *, now: datetime, lease: timedelta) -> list[Attempt]:
    """Write the first attempts of freshly claimed messages. A message without a route is queued again or fails."""
    refusals = earlier_refusals(claimed)
    requests = _requests(claimed, refusals)
    decisions = Router(now=now).route(requests)
    attempts: list[Attempt] = []
    try:
        with transaction.atomic():
            held = drop_ineligible(lock_held(requests, now), now)
            written = write_attempts(requests, held, decisions, now=now, lease=lease)
            unrouted = held.keys() - {attempt.message.pk for attempt in written}
            _defer_or_fail([held[pk] for pk in held if pk in unrouted], decisions, refusals, now)
        attempts = written
    finally:
        release_unused_probes(decisions, attempts)
    return attempts


class FirstAttempts:
    """Writes first attempts in the transaction of their claim, which saves a second one and a second version of each row.

    Make it before the transaction. Messages whose account has to be asked for in Redis are left to `start_attempts`.
    """

    def __init__(self, *, now: datetime, lease: timedelta) -> None:
        self._now = now
        self._lease = lease
        self._router: Router | None = None
        self._written: list[Attempt] = []

    def prepare(self) -> None:
        """Read the accounts and their state. Call it before each transaction."""
        self._router = Router(now=self._now)

    def write(self, claimed: Sequence[Message]) -> None:
        """Write the attempts and set what they change in the messages, which the caller saves.

        The caller has locked the messages and set their claim, and `eligibility` allows their calls.
        """
        if self._router is None:
            raise ValueError("prepare() comes first")
        requests = _requests(claimed, earlier_refusals(claimed))
        routes = self._router.route_at_once(requests)
        held = {message.pk: message for message in claimed}
        self._written += open_attempts(requests, held, routes, now=self._now, lease=self._lease)

    def after(self, claimed: Sequence[Message]) -> tuple[list[Attempt], list[Message]]:
        """The attempts, and the messages that have none yet. `claimed` are the messages of committed claims."""
        committed = {message.pk for message in claimed}
        attempts = [attempt for attempt in self._written if attempt.message.pk in committed]
        started = {attempt.message.pk for attempt in attempts}
        return attempts, [message for message in claimed if message.pk not in started]


def _requests(claimed: Sequence[Message], refusals: Mapping[UUID, Refusals]) -> list[RoutingRequest]:
    # Only mypy needs the condition: a claimed message has a claim id.
    return [
        RoutingRequest(message, Round(message.claim_id, tried=_refused_by(refusals.get(message.pk))))
        for message in claimed
        if message.claim_id
    ]


def release_unused_probes(decisions: Mapping[UUID, RoutingDecision], attempts: Sequence[Attempt]) -> None:
    """Release unused circuit-breaker probes so that another message can probe the account."""
    used = {attempt.message.pk for attempt in attempts}
    for pk, decision in decisions.items():
        if isinstance(decision, Route) and decision.is_probe and pk not in used:
            circuit_breaker.release_probe(decision.account.slug)


def drop_ineligible(held: dict[UUID, Message], now: datetime) -> dict[UUID, Message]:
    """The messages that may be sent; the others end or are deferred.

    Call it before every attempt, at every account: a call may take long to fail.
    """
    refused = Batch(held.values(), now=now).refusals(Moment.CALL)
    eligibility.end(refused.values(), now=now, source=Source.DISPATCH)
    return {pk: message for pk, message in held.items() if pk not in refused}


def ineligible_since(attempts: Collection[Attempt], *, now: datetime) -> dict[UUID, str]:
    """Delayed attempts that must not be sent any more, by id, and why.

    Reads without locks and writes nothing: `settle` checks again when it learns that the call was not made.
    """
    rows = Message.objects.filter(pk__in=[attempt.message.pk for attempt in attempts], status=Status.SENDING)
    refused = Batch(rows, now=now).refusals(Moment.CALL)
    return {
        attempt.attempt_id: refused[attempt.message.pk].check.detail
        for attempt in attempts
        if attempt.message.pk in refused
    }


def lock_held(requests: Sequence[RoutingRequest], now: datetime) -> dict[UUID, Message]:
    """Lock the messages that their claims still hold: after its lease, a claim may have been replaced by another worker's."""
    claims = {request.message.pk: request.round.claim_id for request in requests}
    rows = Message.objects.select_for_update().filter(pk__in=list(claims), status=Status.SENDING, lease_until__gt=now)
    return {row.pk: row for row in rows.order_by("pk") if row.claim_id == claims[row.pk]}


def write_attempts(
    requests: Sequence[RoutingRequest],
    held: Mapping[UUID, Message],
    decisions: Mapping[UUID, RoutingDecision],
    *,
    now: datetime,
    lease: timedelta,
) -> list[Attempt]:
    """Write attempts for the held messages that have a route, and extend their leases.

    A constant number of queries, in the caller's transaction.
    """
    attempts = open_attempts(requests, held, decisions, now=now, lease=lease)
    if attempts:
        save_together([attempt.message for attempt in attempts], ["attempts", "provider", "lease_until"])
    return attempts


def open_attempts(
    requests: Sequence[RoutingRequest],
    held: Mapping[UUID, Message],
    decisions: Mapping[UUID, RoutingDecision],
    *,
    now: datetime,
    lease: timedelta,
) -> list[Attempt]:
    """As `write_attempts`, but the caller saves `attempts`, `provider` and `lease_until` of the messages."""
    attempts: list[Attempt] = []
    media = attachments.files_of([message for message in held.values() if message.media_count])
    codes = verification_codes.of_messages(list(held.values()), now=now)
    for request in requests:
        message, route = held.get(request.message.pk), decisions.get(request.message.pk)
        if message is None or not isinstance(route, Route):
            continue
        message.queue = request.message.queue  # already fetched; failover needs the queue's strategy
        message.attempts += 1
        message.provider = route.account
        message.lease_until = now + lease
        attempts.append(
            Attempt(
                attempt_id=uuid7(),
                number=message.attempts,
                message=message,
                account=route.account,
                round=request.round.with_attempt(route.account.slug),
                lease_until=message.lease_until,
                checked_at=now,
                not_before=route.not_before,
                is_probe=route.is_probe,
                media=media.get(message.pk, ()),
                code=codes.get(message.pk),
            )
        )
    if attempts:
        attempt_rows.insert(
            [
                AttemptRow(
                    attempt.attempt_id,
                    attempt.message.pk,
                    attempt.number,
                    attempt.account.slug,
                    attempt.round.claim_id,
                )
                for attempt in attempts
            ],
            started_at=now,
        )
    return attempts


def _refused_by(refusals: Refusals | None) -> frozenset[str]:
    return refusals.slugs if refusals else frozenset()


def defer(message: Message, deferral: Deferral, now: datetime) -> Transition:
    """Queue the message again until an account can carry it. No round has failed."""
    message.error_code, message.error_detail = deferral.code, deferral.detail[:300]
    retry_at = now + timedelta(seconds=deferral.seconds)
    message.next_attempt_at = min(retry_at, message.expires_at or retry_at)
    return Transition(message, Status.QUEUED, Source.DISPATCH, detail=deferral.detail)


def _defer_or_fail(
    messages: Sequence[Message],
    decisions: Mapping[UUID, RoutingDecision],
    refusals: Mapping[UUID, Refusals],
    now: datetime,
) -> None:
    """Defer messages that an account could carry later; fail the rest, with the last refusal or `no_route`."""
    changes = []
    for message in messages:
        decision = decisions[message.pk]
        if isinstance(decision, Deferral):
            changes.append(defer(message, decision, now))
        else:
            refusal = refusals.get(message.pk, NO_ROUTE)
            message.error_code, message.error_detail = refusal.error_code, refusal.error_detail
            changes.append(Transition(message, Status.FAILED, Source.DISPATCH, detail=refusal.error_code))
    deferrals = (decisions[message.pk] for message in messages)
    if any(isinstance(deferral, Deferral) and deferral.needs_operator for deferral in deferrals):
        logger.error("messages wait: every provider account that could carry them is disabled")
    transitions.apply(changes, now=now, fields=["error_code", "error_detail", "next_attempt_at"])
