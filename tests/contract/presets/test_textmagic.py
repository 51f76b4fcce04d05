"""Textmagic: JSON, a validation error at 400, replies as JSON; no receipts."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from providers.errors import CredentialsRefused, NoMessageId, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import SENDER, TO, Callback, PresetContract, Refusal, json_callback


class TestTextmagic(PresetContract):
    preset = "textmagic"
    environment: ClassVar[Mapping[str, str]] = {"TEXTMAGIC_USERNAME": "acme", "TEXTMAGIC_API_KEY": "made-up-key"}
    has_receipts = False

    def accepting(self, ids: Sequence[str]) -> Play:
        session = {"id": 41, "href": "/api/v2/messages/41", "type": "message", "sessionId": 12, "bulkId": None}
        return answer(201, {**session, "messageId": ids[0], "scheduleId": None, "chatId": None})

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/api/v2/messages")
        assert (request.headers["x-tm-username"], request.headers["x-tm-key"]) == ("acme", "made-up-key")
        sender = body.pop("from", None)
        return {"to": f"+{body.pop('phones')}", "text": body.pop("text"), "from": sender and f"+{sender}", **body}

    def refusals(self) -> Sequence[Refusal]:
        invalid = {"code": 400, "message": "Validation Failed", "errors": {"fields": {"phones": ["made up"]}}}
        return [
            Refusal(answer(400, invalid), Refused),
            Refusal(answer(401, {"code": 401, "message": "made up"}), CredentialsRefused),
            Refusal(answer(201, {"id": 41, "type": "session", "sessionId": 12, "messageId": None}), NoMessageId),
            Refusal(answer(503, b""), Unavailable),
        ]

    def reply(self, text: str) -> Callback:
        content = {"id": 1782832, "sender": TO[1:], "receiver": SENDER[1:], "text": text}
        return json_callback({**content, "messageTime": "2026-10-06T12:00:00+0000"})
