"""The call itself: no database, no transaction, only a backend and the clock."""

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from messaging import log_context
from messaging.services.outbound.dispatch.attempts import Attempt
from messaging.services.outbound.eligibility import Batch, Moment
from providers import callback_tokens, registry, send_gate
from providers.candidates import per_second_of
from providers.contract.messages import OutboundMessage
from providers.errors import CredentialsRefused, Misconfigured, NotCalled, OutcomeUnknown, SendError
from providers.send_gate import RetryAfter
from providers.state import rate_limit

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SendResult:
    """What came of a call: `error` is None when the provider has accepted, at `sent_at`."""

    call: Attempt
    provider_message_id: str
    error: SendError | None
    latency_ms: int
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """The call was not made: its account's limit lets it leave `seconds` from now at the earliest."""

    call: Attempt
    seconds: float


def lease_ended() -> NotCalled:
    """For a call that is not made, because another worker or an operator may have its message by now."""
    return NotCalled("its claim ended before the call could leave")


def send(call: Attempt, *, clock: Callable[[], datetime] = timezone.now) -> SendResult | Deferred:
    """Make one call. Never raises: what is not in the catalogue of errors may have been sent, so it is `OutcomeUnknown`."""
    about = {"switchboard.provider": call.account.slug, "switchboard.attempt": call.number}
    with log_context.message_context(call.message.pk), log_context.tracer().call(call.message.pk, about) as span:
        answer = _perform(call, clock)
        if isinstance(answer, Deferred):
            return answer
        outcome = "accepted" if answer.error is None else answer.error.code
        log_context.log_attempt(call.account.slug, number=call.number, outcome=outcome, latency_ms=answer.latency_ms)
        if span is not None:
            span.set_attribute("switchboard.outcome", outcome)
    return answer


def _perform(call: Attempt, clock: Callable[[], datetime]) -> SendResult | Deferred:
    started = time.monotonic()
    provider_message_id, error = "", None
    try:
        backend, text = registry.backend_for(call.account), _text(call)
        _check(call, clock)
        with send_gate.through(functools.partial(_may_leave, call, clock)):
            provider_message_id = backend.send(text).provider_message_id
    except RetryAfter as wait:
        return Deferred(call, wait.seconds)
    except SendError as fault:
        error = fault
    except Exception as fault:  # noqa: BLE001 (a bug in a backend must not lose the message)
        logger.error("backend %s broke its contract with %s", call.account.backend, type(fault).__name__)
        error = OutcomeUnknown(f"The backend failed with {type(fault).__name__}.", code="backend_fault")
    if isinstance(error, (CredentialsRefused, Misconfigured)):
        logger.error("account %s needs an operator: %s", call.account.slug, error.detail)
    latency_ms = int((time.monotonic() - started) * 1000)
    return SendResult(call, provider_message_id, error, latency_ms, sent_at=clock() if error is None else None)


def _may_leave(call: Attempt, clock: Callable[[], datetime]) -> float:
    """The gate of every call: seconds to wait, 0.0 when its first byte may be written now. Raises `NotCalled`.

    Lease and validity are checked before the limiter, which would count a call that is not made, and after it, because its
    answer takes time. The time of day decides: a monotonic clock may stand still while the machine is suspended.
    """
    _check(call, clock)
    per_second = per_second_of(call.account)
    if per_second is None:
        return 0.0
    wait = rate_limit.acquire(call.account.slug, per_second, call.message.segments, is_probe=call.is_probe)
    _check(call, clock)
    return wait


def _check(call: Attempt, clock: Callable[[], datetime]) -> None:
    """The lease has to last as long as the answer may take: the sweep must not end a claim whose call is in flight."""
    now = clock()
    if call.message.lease_until <= now + timedelta(seconds=settings.PROVIDER_READ_TIMEOUT):
        raise lease_ended()
    for refusal in Batch([call.message], now=now).refusals(Moment.LEAVE).values():
        raise NotCalled(refusal.check.detail)


def _text(call: Attempt) -> OutboundMessage:
    return OutboundMessage(
        to=call.message.to_number,
        text=call.message.text,
        sender=call.message.from_number or call.account.from_number,
        reference=str(call.message.pk),
        callback_url=callback_tokens.callback_url(
            public_url=settings.PUBLIC_URL,
            slug=call.account.slug,
            attempt_id=str(call.attempt_id),
            keys=registry.callback_keys(),
        ),
        media_urls=call.media_urls,
    )
