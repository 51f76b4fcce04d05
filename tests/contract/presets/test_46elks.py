"""46elks: a form, receipts and replies as forms; the response to a reply would be sent to the person."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from providers.contract.callbacks import CallbackParser, ReportedStatus
from providers.errors import AccountRefused, CredentialsRefused, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import SENDER, TO, Callback, PresetContract, Refusal


class Test46Elks(PresetContract):
    preset = "46elks"
    environment: ClassVar[Mapping[str, str]] = {"ELKS_USERNAME": "made", "ELKS_PASSWORD": "up"}
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "created": ReportedStatus.PROGRESS,
        "sent": ReportedStatus.SENT,
        "delivered": ReportedStatus.DELIVERED,
        "failed": ReportedStatus.UNDELIVERED,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        created = {"id": ids[0], "status": "created", "direction": "outgoing", "from": SENDER, "to": TO, "parts": 1}
        return answer(200, {**created, "message": "made up", "cost": 3500, "created": "2026-10-06T12:00:00.000000"})

    def sent(self, request: Received) -> Mapping[str, Any]:
        form = {name: values[0] for name, values in request.form().items()}
        assert (request.method, request.target) == ("POST", "/a1/sms")
        assert request.headers["authorization"] == "Basic bWFkZTp1cA=="
        sent = {"to": form.pop("to"), "text": form.pop("message"), "from": form.pop("from", None)}
        if "whendelivered" in form:
            sent["callback_url"] = form.pop("whendelivered")
        return sent | form

    def refusals(self) -> Sequence[Refusal]:
        return [
            Refusal(answer(401, b"made up"), CredentialsRefused),
            Refusal(answer(403, b"made up"), AccountRefused),
            Refusal(answer(400, b"made up"), Refused),
            Refusal(answer(500, b""), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        delivered = {"delivered": "2026-10-06T12:00:01.000000"} if status == "delivered" else {}
        return Callback({"id": message_id, "status": status, **delivered})

    def reply(self, text: str) -> Callback:
        form = {"direction": "incoming", "id": "sf8425555e5d8db61dda7a7b3f1b91bdb", "from": TO, "to": SENDER}
        return Callback({**form, "created": "2026-10-06T12:00:00.000000", "message": text})

    def test_the_pictures_of_an_mms_are_read(self, parser: CallbackParser) -> None:
        callback = self.reply("look")
        assert not isinstance(callback.body, bytes)
        images = {"image": "https://api.46elks.com/a1/1.jpg", "image2": "https://api.46elks.com/a1/2.jpg"}

        [reply] = parser.parse_inbound(
            self.request(replace(callback, body={**callback.body, **images}), kind="inbound")
        )

        assert (reply.text, reply.media_urls) == ("look", tuple(images.values()))

    def test_the_response_to_a_reply_is_empty_because_it_would_be_sent_as_a_text(self, parser: CallbackParser) -> None:
        assert (parser.inbound_response.status, parser.inbound_response.body) == (200, "")
