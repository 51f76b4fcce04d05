"""Sends a test message through one account."""

import time
from dataclasses import dataclass

from providers.contract.messages import OutboundMessage
from providers.errors import SendError
from providers.models import ProviderAccount
from providers.registry import backend_for


@dataclass(frozen=True, slots=True)
class TestSendResult:
    """The provider's response; `error_code` is empty when it accepted the message."""

    provider_message_id: str
    error_code: str
    detail: str
    latency_ms: int


def send_test_message(*, account: ProviderAccount, to: str, text: str, reference: str) -> TestSendResult:
    """Call the provider now, without queues, routing and limits; the account may be disabled. Nothing is stored.

    Do not call it inside a transaction: it takes as long as the provider does.
    """
    started = time.monotonic()
    provider_message_id = error_code = detail = ""
    try:
        outbound = OutboundMessage(to=to, text=text, sender=account.from_number, reference=reference)
        with backend_for(account) as backend:
            provider_message_id = backend.send(outbound).provider_message_id
    except SendError as error:
        error_code, detail = error.error_code, error.detail
    return TestSendResult(provider_message_id, error_code, detail, int((time.monotonic() - started) * 1000))
