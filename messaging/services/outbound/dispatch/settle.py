"""Save a batch of results in one transaction, with a constant number of queries."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from messaging.models import AttemptPart, DeliveryAttempt, Message
from messaging.services import transitions
from messaging.services.costs import budgets, cost_totals
from messaging.services.outbound import receipt_matching, receipts
from messaging.services.outbound.dispatch.attempts import Attempt, release_unused_probes
from messaging.services.outbound.dispatch.failover import fail_over, route_failovers
from messaging.services.outbound.dispatch.outcomes import Outcomes
from messaging.services.outbound.dispatch.router import RoutingDecision
from messaging.services.outbound.dispatch.sending import SendResult
from messaging.services.recipients import phone_numbers, suppressions
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.transitions import save_together
from messaging.states import CANCELABLE

logger = logging.getLogger(__name__)

Outcome = DeliveryAttempt.Outcome
PRICE_FIELDS = ("price", "currency", "price_source")
ATTEMPT_FIELDS = (
    "outcome",
    "error_code",
    "error_detail",
    "provider_message_id",
    "latency_ms",
    "finished_at",
    *PRICE_FIELDS,
)
RESULT_FIELDS = ("provider", "provider_message_id", "from_number", "sent_at")
MESSAGE_FIELDS = (*RESULT_FIELDS, "error_code", "error_detail", "rounds_failed", "next_attempt_at")


def settle(
    results: Sequence[SendResult], *, now: datetime, lease: timedelta, position: Callable[[], float]
) -> list[Attempt]:
    """Save the results. Returns the attempts to send next: messages that another account may take at once.

    `position` in [0, 1) places a retry within its jitter. Settling the same results twice changes nothing.
    """
    decisions = route_failovers(results, now=now)
    following: list[Attempt] = []
    try:
        following, outcomes = _settle(results, decisions, now=now, lease=lease, position=position)
    finally:
        release_unused_probes(decisions, following)
    answered = [attempt for attempt in outcomes.attempts if attempt.outcome in receipt_matching.MAYBE_ACCEPTED]
    if answered:
        _match_parked([*answered, *outcomes.parts], now)
    return following


def _settle(
    results: Sequence[SendResult],
    decisions: Mapping[UUID, RoutingDecision],
    *,
    now: datetime,
    lease: timedelta,
    position: Callable[[], float],
) -> tuple[list[Attempt], Outcomes]:
    with transaction.atomic():
        ids = [result.attempt.message.pk for result in results]
        messages = {row.pk: row for row in Message.objects.select_for_update().filter(pk__in=ids).order_by("pk")}
        outcomes = Outcomes(now)
        for result in results:
            if result.attempt.message.pk in messages:  # else it was erased meanwhile, with its attempts
                outcomes.add(result, messages[result.attempt.message.pk])
        counters = _count(outcomes, now)
        cost_totals.note(outcomes.newly_accepted, messages, now=now)
        if outcomes.attempts:
            save_together(outcomes.attempts, ATTEMPT_FIELDS)
        if outcomes.parts:
            AttemptPart.objects.bulk_create(outcomes.parts, ignore_conflicts=True)
        # Before anything is given back: by `fail_over`, and with the transitions.
        budgets.accepted(_prices(outcomes, messages), now=now, others=messages.keys())
        following, ended = fail_over(outcomes.failovers, decisions, now=now, lease=lease, position=position)
        transitions.apply([*outcomes.transitions, *ended], now=now, fields=MESSAGE_FIELDS, tally=counters)
        if outcomes.late_facts:
            save_together(outcomes.late_facts, RESULT_FIELDS)
        phone_numbers.mark_inactive(outcomes.invalid, now=now)
        if outcomes.opted_out:
            suppressions.add_reported(outcomes.opted_out, reason="reported by the provider", now=now)
    return following, outcomes


def _prices(outcomes: Outcomes, messages: Mapping[UUID, Message]) -> dict[UUID, tuple[Decimal | None, str]]:
    """The prices of the messages that were accepted, where the attempt is the message's latest.

    One that has been queued again meanwhile was charged again, for what is still to come.
    """
    found = {}
    for attempt in outcomes.attempts:
        message = messages.get(attempt.message_id)
        if attempt.outcome != Outcome.ACCEPTED or message is None:
            continue
        if attempt.number == message.attempts and message.status not in CANCELABLE:
            found[attempt.message_id] = attempt.price, attempt.currency
    return found


def _count(outcomes: Outcomes, now: datetime) -> CounterBatch:
    """Count each attempt once for each outcome. One that is settled again may already have the same outcome.

    An acceptance stays one: it was saved while the worker still waited for it (`lost_results.settle_late`).
    """
    counters, before = CounterBatch(), {}
    if outcomes.late_attempts:
        late = {row.pk: row for row in DeliveryAttempt.objects.filter(pk__in=outcomes.late_attempts)}
        before = {pk: row.outcome for pk, row in late.items()}
        outcomes.keep_carrier_prices(late)
        accepted = {pk for pk, outcome in before.items() if outcome == Outcome.ACCEPTED}
        outcomes.attempts = [
            each for each in outcomes.attempts if each.outcome != Outcome.UNKNOWN or each.pk not in accepted
        ]
    for attempt in outcomes.attempts:
        if before.get(attempt.pk) != attempt.outcome:
            if attempt.outcome == Outcome.ACCEPTED and attempt.pk not in outcomes.already_priced:
                outcomes.newly_accepted.append(attempt)
            counters.attempted(attempt.provider_id, attempt.outcome, now=now, latency_ms=attempt.latency_ms)
    return counters


def _match_parked(rows: Sequence[DeliveryAttempt | AttemptPart], now: datetime) -> None:
    """Best effort: a failure here must not lose the attempts that follow, which are sent from memory.

    The sweep matches these receipts later.
    """
    try:
        receipts.match_parked(rows, now=now)
    except Exception as error:  # noqa: BLE001 (any fault: the attempts that follow must be sent)
        logger.warning("parked receipts not matched (%s); the next sweep matches them", type(error).__name__)
