"""Calls a provider. Uses no transaction, only a backend, Redis and the clock.

The database is asked only when a message has an image of which the account takes a smaller copy, and that is not made yet.
"""

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from messaging import log_context
from messaging.services.outbound import eligibility, hours
from messaging.services.outbound.dispatch import media
from messaging.services.outbound.dispatch.attempts import Attempt
from messaging.services.outbound.eligibility import Batch, Moment
from providers import callback_tokens, registry, send_gate
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.prices import CarrierPrice
from providers.contract.sender import Capabilities
from providers.errors import CredentialsRefused, Misconfigured, NotCalled, OutcomeUnknown, SendError
from providers.exchanges import Recording
from providers.send_gate import RetryAfter
from providers.state import exchange_log, rate_limit
from providers.state.exchange_log import Outcome

logger = logging.getLogger(__name__)

MAX_ID_LENGTH = 128


@dataclass(frozen=True, slots=True)
class SendResult:
    """What came of a call. `error` is None if the provider accepted the message, at `sent_at`.

    `part_ids` has the ids of all parts, the first one included, where the provider gives each part of a long text its own.
    `price` is the carrier's, where its response has it.
    """

    attempt: Attempt
    provider_message_id: str
    error: SendError | None
    latency_ms: int
    sent_at: datetime | None = None
    part_ids: tuple[str, ...] = ()
    price: CarrierPrice | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """The call was not made: the account's rate limit allows it in `seconds` at the earliest."""

    attempt: Attempt
    seconds: float


def lease_ended() -> NotCalled:
    """The error of a call that is not made because another worker or an operator may have its message by now."""
    return NotCalled("its claim ended before the call")


def send(attempt: Attempt, *, clock: Callable[[], datetime] = timezone.now) -> SendResult | Deferred:
    """Make the call. Never raises: after an error outside the catalogue the message may be sent, so it is `OutcomeUnknown`."""
    slug, message_id = attempt.account.slug, attempt.message.pk
    attributes: dict[str, str | int] = {"switchboard.provider": slug, "switchboard.attempt": attempt.number}
    with log_context.message_context(message_id), log_context.tracer().call(message_id, attributes) as span:
        result = _send(attempt, clock)
        if isinstance(result, Deferred):
            return result
        outcome = "accepted" if result.error is None else result.error.code
        log_context.log_attempt(slug, number=attempt.number, outcome=outcome, latency_ms=result.latency_ms)
        if span is not None:
            span.set_attribute("switchboard.outcome", outcome)
    return result


def _send(attempt: Attempt, clock: Callable[[], datetime]) -> SendResult | Deferred:
    started = time.monotonic()
    recording = Recording()
    accepted, error = Accepted(), None
    try:
        with registry.backend_for(attempt.account) as backend:
            _check(attempt, clock)
            message = _message(attempt, backend.capabilities, clock)
            started = time.monotonic()
            gate, recheck = functools.partial(_send_delay, attempt, clock), functools.partial(_check, attempt, clock)
            with send_gate.through(gate, recheck=recheck), recording.of(message):
                accepted = backend.send(message)
    except RetryAfter as wait:
        return Deferred(attempt, wait.seconds)
    except SendError as fault:
        error = fault if attempt.code is None else attempt.code.without_code(fault)
    except Exception as fault:  # noqa: BLE001 (a bug in a backend must not lose the message)
        logger.error("backend %s broke its contract with %s", attempt.account.backend, type(fault).__name__)
        error = OutcomeUnknown(f"The backend failed with {type(fault).__name__}.", code="backend_fault")
    if isinstance(error, (CredentialsRefused, Misconfigured)):
        logger.error("account %s needs an operator: %s", attempt.account.slug, error.detail)
    latency_ms = int((time.monotonic() - started) * 1000)
    outcome = Outcome(error, accepted.provider_message_id, latency_ms, at=clock())
    exchange_log.keep(attempt.account.slug, recording, outcome, config=attempt.account.config)
    return SendResult(
        attempt,
        accepted.provider_message_id,
        error,
        latency_ms,
        sent_at=clock() if error is None else None,
        part_ids=_part_ids(accepted),
        price=accepted.price if error is None else None,
    )


def _part_ids(accepted: Accepted) -> tuple[str, ...]:
    """The ids of several parts that a row can hold; a single id is the message's own."""
    ids = tuple(
        dict.fromkeys(each for each in accepted.part_ids if each.isprintable() and 0 < len(each) <= MAX_ID_LENGTH)
    )
    return ids if len(ids) > 1 else ()


def _send_delay(attempt: Attempt, clock: Callable[[], datetime]) -> float:
    """The gate of every call: seconds to wait, or 0.0 if its first byte may be written now. Raises `NotCalled`.

    Lease and validity are checked before the limiter, which would count a call that is not made, and after it, because its
    response takes time. The time of day decides: a monotonic clock may stand still while the machine is suspended.
    """
    _check(attempt, clock)
    per_second = attempt.account.max_per_second
    if per_second is None:
        return 0.0
    wait = rate_limit.acquire(attempt.account.slug, per_second, attempt.message.segments, is_probe=attempt.is_probe)
    _check(attempt, clock)
    return wait


def _check(attempt: Attempt, clock: Callable[[], datetime]) -> None:
    """The lease has to last as long as the response may take: the sweep must not end a claim whose call is in flight."""
    now = clock()
    if attempt.lease_until <= now + timedelta(seconds=settings.PROVIDER_READ_TIMEOUT):
        raise lease_ended()
    batch = Batch([attempt.message], now=now)
    batch.provide(eligibility.rules_of_hours, hours.last_known())  # a query would take its time, here of all places
    for refusal in batch.refusals(Moment.LEAVE).values():
        raise NotCalled(refusal.check.detail)
    if attempt.message.verification_id is not None and (attempt.code is None or attempt.code.expires_at <= now):
        raise NotCalled(eligibility.VERIFICATION_ENDED.detail)


def _message(attempt: Attempt, capabilities: Capabilities, clock: Callable[[], datetime]) -> OutboundMessage:
    """What the backend gets. A one-time code exists here and nowhere else: the stored text has masks in its place."""
    code, valid_until = attempt.code, attempt.message.expires_at
    if code is not None:
        valid_until = min(code.expires_at, valid_until or code.expires_at)
    return OutboundMessage(
        to=attempt.message.to_number,
        text=attempt.message.text if code is None else code.fill(attempt.message.text),
        sender=attempt.message.from_number or attempt.account.from_number,
        reference=str(attempt.message.pk),
        callback_url=_callback_url(attempt) if capabilities.callbacks else None,
        media_urls=media.urls_of(attempt.media, capabilities.media_limits, now=clock()) if attempt.media else (),
        encoding=attempt.message.encoding,
        segments=attempt.message.segments,
        valid_until=valid_until,
        attempt=str(attempt.attempt_id),
        category=attempt.message.category,
        parameters=attempt.message.parameters or {},
    )


def _callback_url(attempt: Attempt) -> str:
    return callback_tokens.callback_url(
        public_url=settings.PUBLIC_URL,
        slug=attempt.account.slug,
        attempt_id=str(attempt.attempt_id),
        keys=registry.callback_keys(),
    )
