"""httpSMS, an Android phone: JSON with our reference, CloudEvents as callbacks."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import jwt
import pytest

from providers import presets
from providers.contract.callbacks import CallbackParser, ReportedStatus
from providers.contract.messages import OutboundMessage
from providers.contract.sender import Sender
from providers.errors import CredentialsRefused, OutOfCredit, Refused, Unavailable
from tests.contract.fake_carrier import FakeCarrier, Play, Received, answer
from tests.contract.presets.kit import REFERENCE, SENDER, TO, Callback, PresetContract, Refusal, json_callback
from tests.providers.backends.signed_callbacks import ADDRESS, NOW, at, is_verified, request

SIGNING_KEY = "made-up-key-made-up-key-made-up-k"
PICTURES = ("https://a.example/1.jpg", "https://a.example/2.jpg")


def event(name: str, **data: Any) -> Callback:
    both = {
        "owner": SENDER,
        "contact": TO,
        "user_id": "WB7DRDWrJZRGbYrv2CKGkqbzvqdC",
        "encrypted": False,
        "sim": "SIM1",
    }
    envelope = {"specversion": "1.0", "id": "0d4a3a0e", "source": "/v1/messages", "type": name}
    return json_callback({**envelope, "datacontenttype": "application/json", "data": {**both, **data}})


class TestHttpSms(PresetContract):
    preset = "httpsms"
    environment: ClassVar[Mapping[str, str]] = {"HTTPSMS_API_KEY": "made-up-key"}
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "message.phone.sending": ReportedStatus.PROGRESS,
        "message.phone.sent": ReportedStatus.SENT,
        "message.phone.delivered": ReportedStatus.DELIVERED,
        "message.send.failed": ReportedStatus.UNDELIVERED,
        "message.send.expired": ReportedStatus.UNDELIVERED,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        data = {"id": ids[0], "request_id": REFERENCE, "owner": SENDER, "contact": TO, "status": "pending"}
        return answer(200, {"status": "success", "message": "message added to queue", "data": data})

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/v1/messages/send")
        assert request.headers["x-api-key"] == "made-up-key"
        assert body.pop("request_id") == REFERENCE
        return {"to": body.pop("to"), "text": body.pop("content"), "from": body.pop("from", None), **body}

    def refusals(self) -> Sequence[Refusal]:
        return [
            Refusal(answer(401, {"status": "error", "message": "made up"}), CredentialsRefused),
            Refusal(answer(402, {"status": "error", "message": "made up"}), OutOfCredit, "provider_credit"),
            Refusal(answer(400, {"status": "error", "message": "made up"}), Refused),
            Refusal(answer(422, {"status": "error", "message": "made up", "data": {"to": ["made up"]}}), Refused),
            Refusal(answer(500, {"status": "error", "message": "made up"}), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, name)] = reports
        if name == "message.send.expired":
            return event(name, message_id=message_id, request_id=REFERENCE, is_final=True, send_attempt_count=2)
        return event(name, id=message_id, request_id=REFERENCE, content="made up")

    def reply(self, text: str) -> Callback:
        return event("message.phone.received", message_id="in-1", content=text, attachments=[])

    @pytest.mark.parametrize("name", list(statuses))
    def test_every_receipt_repeats_our_reference(self, parser: CallbackParser, name: str) -> None:
        [report] = parser.parse_status(self.request(self.receipt([("id-1", name)]), kind="status", attempt_id=""))

        assert report.reference == REFERENCE

    def test_a_phone_that_will_try_again_has_not_failed(self, parser: CallbackParser) -> None:
        callback = event("message.send.expired", message_id="id-1", request_id=REFERENCE, is_final=False)

        [report] = parser.parse_status(self.request(callback, kind="status", attempt_id=""))

        assert report.status is ReportedStatus.PROGRESS

    def test_pictures_are_sent_and_taken(self, carrier: FakeCarrier, backend: Sender, parser: CallbackParser) -> None:
        carrier.play = self.accepting(["id-1"])
        outbound = OutboundMessage(to=TO, text="look", sender=SENDER, reference=REFERENCE)
        callback = event("message.phone.received", message_id="in-1", content="", attachments=list(PICTURES))

        backend.send(replace(outbound, media_urls=PICTURES))
        [reply] = parser.parse_inbound(self.request(callback, kind="inbound", attempt_id=""))

        assert carrier.received[0].json()["attachments"] == list(PICTURES)
        assert (reply.text, reply.media_urls) == ("", PICTURES)


def token(key: str = SIGNING_KEY, **changes: Any) -> dict[str, str]:
    """The header that the program's getAuthToken makes."""
    seconds = int(NOW.timestamp())
    claims = {"aud": [ADDRESS], "exp": seconds + 600, "iat": seconds, "iss": "api.httpsms.com", "nbf": seconds - 600}
    signed = jwt.encode({**claims, "sub": "WB7DRDWrJZRGbYrv2CKGkqbzvqdC", **changes}, key, "HS256")
    return {"Authorization": f"Bearer {signed}"}


def documented_recipe() -> dict[str, Any]:
    found = re.search(r"set callback_auth to (\{.+\})\.", presets.load("httpsms").docs)
    assert found
    recipe = json.loads(found[1])
    assert recipe.pop("secret") == {"env": "HTTPSMS_SIGNING_KEY"}
    return {**recipe, "secret": SIGNING_KEY}


def test_the_documented_recipe_proves_the_sender() -> None:
    recipe = documented_recipe()

    assert is_verified(recipe, request(b"{}", token()))
    assert not is_verified(recipe, request(b"{}", token(iss="another")))
    assert not is_verified(recipe, request(b"{}", token(key=SIGNING_KEY[::-1])))
    assert not is_verified(recipe, request(b"{}"))
    assert not is_verified(recipe, request(b"{}", token()), now=at(301))
