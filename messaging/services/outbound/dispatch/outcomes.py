"""What a batch of results changes, collected before it is written."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from messaging.models import AttemptPart, DeliveryAttempt, Message
from messaging.services.costs import prices
from messaging.services.outbound.dispatch.failover import Failover
from messaging.services.outbound.dispatch.rounds import is_refusal
from messaging.services.outbound.dispatch.router import RoutingRequest
from messaging.services.outbound.dispatch.sending import SendResult
from messaging.services.recipients import suppressions
from messaging.services.transitions import Transition
from messaging.states import Source, Status
from providers.errors import RecipientInvalid, RecipientOptedOut, Rejected, Unavailable

logger = logging.getLogger(__name__)

Outcome = DeliveryAttempt.Outcome
PriceSource = DeliveryAttempt.PriceSource


@dataclass(slots=True)
class Outcomes:
    """Call `add` for each result with its locked message.

    `late_facts`: accepted messages whose status has already moved on; only the facts of the result are saved.
    `late_attempts`: attempts that may be settled already, because their messages have moved on.
    `newly_accepted`: attempts whose acceptance was not saved before; set when they are counted.
    `already_priced`: attempts whose cost was noted by a receipt, with the carrier's price, before this result.
    `invalid` and `opted_out` are what providers reported about recipients: the reason by number, and (number, sender).
    """

    now: datetime
    attempts: list[DeliveryAttempt] = field(default_factory=list)
    parts: list[AttemptPart] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    failovers: list[Failover] = field(default_factory=list)
    late_facts: list[Message] = field(default_factory=list)
    late_attempts: set[UUID] = field(default_factory=set)
    newly_accepted: list[DeliveryAttempt] = field(default_factory=list)
    already_priced: set[UUID] = field(default_factory=set)
    invalid: dict[str, str] = field(default_factory=dict)
    opted_out: list[tuple[str, str]] = field(default_factory=list)

    def add(self, result: SendResult, message: Message) -> None:
        attempt, error = result.attempt, result.error
        self.attempts.append(_finished(result, self.now))
        self.parts += _parts(result)
        self._add_recipient(result, message)
        # The number is compared too: when results are settled again, because the confirmation of a commit was lost with the
        # connection, the same claim may already be at its next account.
        is_latest = message.attempts == attempt.number
        held = is_latest and message.status == Status.SENDING and message.claim_id == attempt.round.claim_id
        swept = is_latest and message.status == Status.UNKNOWN
        if not held:
            self.late_attempts.add(attempt.attempt_id)
        if error is None:
            self._add_accepted(result, message, can_move=held or swept)
        elif not held:
            logger.warning("the result of attempt %s came after its message had moved on", attempt.attempt_id)
        elif isinstance(error, Unavailable):
            message.queue = attempt.message.queue
            self.failovers.append(Failover(RoutingRequest(message, attempt.round_after(error)), error))
        else:
            message.error_code, message.error_detail = error.error_code, error.detail[:300]
            target = Status.FAILED if isinstance(error, Rejected) else Status.UNKNOWN
            self._move(result, message, target, error.error_code)

    def keep_carrier_prices(self, stored: Mapping[UUID, DeliveryAttempt]) -> None:
        """A receipt that came before the result may have brought the carrier's price, and noted it."""
        for attempt in self.attempts:
            row = stored.get(attempt.pk)
            if row is not None and row.price_source == PriceSource.PROVIDER:
                attempt.price, attempt.currency, attempt.price_source = row.price, row.currency, row.price_source
                self.already_priced.add(attempt.pk)

    def _add_accepted(self, result: SendResult, message: Message, *, can_move: bool) -> None:
        account = result.attempt.account
        # A receipt may have come before this result, and an operator may have queued the message again. The facts of the
        # result are kept either way, unless a later attempt has facts of its own.
        if message.attempts == result.attempt.number:
            message.provider = account
            message.provider_message_id = result.provider_message_id
            message.sent_at = message.sent_at or result.sent_at or self.now
            message.from_number = message.from_number or account.from_number or ""
        if can_move:
            message.error_code = message.error_detail = ""
            self._move(result, message, Status.SENT)
        else:
            self.late_facts.append(message)

    def _add_recipient(self, result: SendResult, message: Message) -> None:
        """What a provider reports about a recipient holds however late it comes, unless the message was delivered."""
        account, error = result.attempt.account, result.error
        if message.status == Status.DELIVERED:
            return
        if isinstance(error, RecipientInvalid):
            self.invalid[message.to_number] = f"{account.slug}: {error.error_code}"
        if isinstance(error, RecipientOptedOut):
            sender = message.from_number or account.from_number or suppressions.EVERY_SENDER
            self.opted_out.append((message.to_number, sender))

    def _move(self, result: SendResult, message: Message, target: Status, detail: str = "") -> None:
        self.transitions.append(Transition(message, target, Source.DISPATCH, result.attempt.account.slug, detail))


def _parts(result: SendResult) -> list[AttemptPart]:
    return [
        AttemptPart(
            attempt_id=result.attempt.attempt_id,
            provider=result.attempt.account,
            provider_message_id=provider_message_id,
        )
        for provider_message_id in result.part_ids
    ]


def _finished(result: SendResult, now: datetime) -> DeliveryAttempt:
    error = result.error
    price, currency = prices.of_message(result.attempt.account, result.attempt.message) if error is None else (None, "")
    source = PriceSource.CONFIGURED if price is not None else ""
    if result.price is not None:
        price, currency = result.price.amount, prices.currency_of(result.price, result.attempt.account)
        source = PriceSource.PROVIDER
    return DeliveryAttempt(
        id=result.attempt.attempt_id,
        message_id=result.attempt.message.pk,
        number=result.attempt.number,
        provider=result.attempt.account,
        outcome=_outcome(result),
        error_code=error.error_code if error else "",
        error_detail=error.detail[:300] if error else "",
        provider_message_id=result.provider_message_id,
        latency_ms=result.latency_ms,
        finished_at=now,
        price=price,
        currency=currency,
        price_source=source,
    )


def _outcome(result: SendResult) -> Outcome:
    error = result.error
    if error is None:
        return Outcome.ACCEPTED
    if isinstance(error, Rejected) or is_refusal(error, is_probe=result.attempt.is_probe):
        return Outcome.REJECTED
    return Outcome.UNAVAILABLE if isinstance(error, Unavailable) else Outcome.UNKNOWN
