"""Sends a test message through one account."""

import logging
import time
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from uuid_utils.compat import uuid7

from providers import callback_tokens
from providers.contract.messages import OutboundMessage
from providers.errors import OutcomeUnknown, SendError
from providers.exchanges import Recording
from providers.models import ProviderAccount
from providers.registry import backend_for, callback_keys
from providers.state import exchange_log
from providers.state.exchange_log import Exchange, Outcome

logger = logging.getLogger(__name__)

DEFAULT_TEXT = "Test message from Switchboard."
# Characters that a carrier with another alphabet than the account's shows as others: the phone tells.
SMPP_TEXT = "@£$€[]{}é"
MAX_TEXT = 160
VALIDITY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TestMessage:
    """`encoding` and `segments` are those of the text, as for any message."""

    to: str
    text: str
    encoding: str = "gsm7"
    segments: int = 1


def default_text(backend: str) -> str:
    """The text of a test message for an account of this backend."""
    return SMPP_TEXT if backend == "smpp" else DEFAULT_TEXT


def send_test_message(account: ProviderAccount, test: TestMessage) -> Exchange:
    """Call the provider now, without queues, routing and limits; the account may be disabled. No message is stored.

    Returns what was sent and what came back, with the text in clear and everything else masked. The account's page shows it
    without the text. Do not call it inside a transaction: it takes as long as the provider does.
    """
    started = time.monotonic()
    recording = Recording()
    provider_message_id, error = "", None
    try:
        with backend_for(account) as backend:
            message = _message(account, test, has_callbacks=backend.capabilities.callbacks)
            with recording.of(message):
                provider_message_id = backend.send(message).provider_message_id
    except SendError as fault:
        error = fault
    except Exception as fault:  # noqa: BLE001 (a bug in a backend is a result of the test too)
        logger.error("backend %s raised an unexpected %s", account.backend, type(fault).__name__)
        error = OutcomeUnknown(f"The backend failed with {type(fault).__name__}.", code="backend_fault")
    latency_ms = int((time.monotonic() - started) * 1000)
    outcome = Outcome(error, provider_message_id, latency_ms, at=timezone.now(), is_test=True)
    exchange_log.keep(account.slug, recording, outcome, config=account.config)
    return exchange_log.describe(recording, outcome, config=account.config, hides_text=False)


def _message(account: ProviderAccount, test: TestMessage, *, has_callbacks: bool) -> OutboundMessage:
    """As dispatch would build it: a provider may refuse what a real message has and a simpler one has not.

    The receipt of a test belongs to no message; the list of callbacks shows it.
    """
    callback_url = callback_tokens.callback_url(
        public_url=settings.PUBLIC_URL, slug=account.slug, attempt_id="", keys=callback_keys()
    )
    return OutboundMessage(
        to=test.to,
        text=test.text,
        sender=account.from_number,
        reference=str(uuid7()),
        callback_url=callback_url if has_callbacks else None,
        encoding=test.encoding,
        segments=test.segments,
        valid_until=timezone.now() + VALIDITY,
    )
