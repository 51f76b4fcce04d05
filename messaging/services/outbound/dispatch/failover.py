"""Messages that an account did not take: try the next account at once, or the next round later."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from messaging import retry_policy
from messaging.models import Message
from messaging.services.outbound.dispatch.attempts import Attempt, defer, drop_ineligible, write_attempts
from messaging.services.outbound.dispatch.router import Deferral, Router, RoutingDecision, RoutingRequest
from messaging.services.outbound.dispatch.sending import SendResult
from messaging.services.transitions import Transition
from messaging.states import Source, Status
from providers.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Failover:
    """A message to try at another account, and why the last one did not take it."""

    request: RoutingRequest
    error: Unavailable


def route_failovers(results: Sequence[SendResult], *, now: datetime) -> Mapping[UUID, RoutingDecision]:
    """The next account for each message that was provably not accepted. Asks Redis, so call it outside the transaction."""
    requests = [
        RoutingRequest(result.attempt.message, result.attempt.round_after(result.error))
        for result in results
        if isinstance(result.error, Unavailable)
    ]
    return Router(now=now).route(requests) if requests else {}


def fail_over(
    failovers: Sequence[Failover],
    decisions: Mapping[UUID, RoutingDecision],
    *,
    now: datetime,
    lease: timedelta,
    position: Callable[[], float],
) -> tuple[list[Attempt], list[Transition]]:
    """Write the attempts at the next accounts; messages without one wait for an account or their next round, or fail.

    Returns the attempts, and the transitions for the caller to apply. The messages are locked in the caller's transaction.
    """
    if not failovers:
        return [], []
    held = drop_ineligible({each.request.message.pk: each.request.message for each in failovers}, now)
    for each in failovers:
        message, error = each.request.message, each.error
        if message.pk in held:
            message.error_code, message.error_detail = error.error_code, error.detail[:300]
    attempts = write_attempts([each.request for each in failovers], held, decisions, now=now, lease=lease)
    routed = {attempt.message.pk for attempt in attempts}
    ended = [each.request for each in failovers if each.request.message.pk in held.keys() - routed]
    return attempts, [_without_account(each, decisions.get(each.message.pk), now, position) for each in ended]


def _without_account(
    request: RoutingRequest, decision: RoutingDecision, now: datetime, position: Callable[[], float]
) -> Transition:
    """Fail a message that every account refuses. While another one may be called later, wait for that: no round has failed."""
    message = request.message
    if not request.round.only_refused:
        return _end_round(request, now, position())
    if isinstance(decision, Deferral) and not decision.needs_operator:
        return defer(message, decision, now)
    return Transition(message, Status.FAILED, Source.DISPATCH, message.provider_id or "", _reason(message))


def _end_round(request: RoutingRequest, now: datetime, position: float) -> Transition:
    """Count a failed round, unless every account only rate-limited us. Rate limits may repeat until the message expires.

    The next round starts at the earliest `retry_after` of this round. Accounts that asked for longer stay paused.
    """
    message = request.message
    round_number = message.rounds_failed + 1
    if request.round.only_rate_limited:
        round_number = min(round_number, len(retry_policy.DELAYS))
    else:
        message.rounds_failed = round_number
    delay = retry_policy.next_delay(
        rounds_failed=round_number, position=position, retry_after=request.round.retry_after
    )
    slug, reason = message.provider_id or "", _reason(message)
    if delay is None:
        return Transition(message, Status.FAILED, Source.DISPATCH, slug, reason)
    next_round_at = now + timedelta(seconds=delay)
    if message.expires_at is not None and next_round_at >= message.expires_at:
        return Transition(message, Status.FAILED, Source.DISPATCH, slug, f"expires first; {reason}")
    message.next_attempt_at = next_round_at
    return Transition(message, Status.QUEUED, Source.DISPATCH, slug, reason)


def _reason(message: Message) -> str:
    return f"{message.error_code}: {message.error_detail}"
