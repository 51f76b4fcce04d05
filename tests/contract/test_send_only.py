"""A backend without callbacks and status lookup passes the contract tests."""

from providers.contract.sender import BackendContext, Sender
from tests.contract.fake_carrier import FakeCarrier
from tests.contract.kit import CONTEXT, SenderContract
from tests.contract.send_only import SendOnlyBackend, SendOnlyConfig


class TestSendOnly(SenderContract):
    success_status = 200

    def make(self, url: str, context: BackendContext = CONTEXT) -> Sender:
        return SendOnlyBackend(SendOnlyConfig.model_validate({"url": url}), context)

    def accepting_body(self, message_id: str) -> object:
        return {"id": message_id}

    def sent_text(self, carrier: FakeCarrier) -> dict[str, str]:
        sent = carrier.received[-1].json()
        return {"to": sent["to"], "text": sent["text"]}
