"""Infobip: nested JSON, a refusal at 200 in the group of the status, lists of receipts and replies."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from providers.contract.callbacks import CallbackParser, ReportedStatus
from providers.errors import AccountRefused, CredentialsRefused, RateLimited, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import REFERENCE, SENDER, TO, Callback, PresetContract, Refusal, json_callback


def message(group: str, name: str, message_id: str = "id-1") -> Play:
    status = {"groupId": 1, "groupName": group, "id": 26, "name": name, "description": "made up"}
    result = {"messageId": message_id, "status": status, "destination": TO[1:], "details": {"messageCount": 1}}
    return answer(200, {"bulkId": "bulk-1", "messages": [result]})


class TestInfobip(PresetContract):
    preset = "infobip"
    environment: ClassVar[Mapping[str, str]] = {
        "INFOBIP_URL": "https://xyz123.api.infobip.com/sms/3/messages",
        "INFOBIP_AUTHORIZATION": "App made-up-key",
    }
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "ACCEPTED": ReportedStatus.PROGRESS,
        "PENDING": ReportedStatus.PROGRESS,
        "DELIVERED": ReportedStatus.DELIVERED,
        "UNDELIVERABLE": ReportedStatus.UNDELIVERED,
        "EXPIRED": ReportedStatus.UNDELIVERED,
        "REJECTED": ReportedStatus.UNDELIVERED,
    }
    has_batches = True

    def accepting(self, ids: Sequence[str]) -> Play:
        return message("PENDING", "PENDING_ACCEPTED", ids[0])

    def sent(self, request: Received) -> Mapping[str, Any]:
        assert (request.method, request.target) == ("POST", "/sms/3/messages")
        assert request.headers["authorization"] == "App made-up-key"
        [single] = request.json()["messages"]
        webhooks = single["webhooks"]
        assert (webhooks["contentType"], webhooks["callbackData"]) == ("application/json", REFERENCE)
        [destination] = single["destinations"]
        sent = {
            "to": f"+{destination['to']}",
            "text": single["content"]["text"],
            "from": f"+{single['sender']}" if "sender" in single else None,
        }
        if "options" in single:
            sent["valid_for"] = single["options"]["validityPeriod"]["amount"] * 60
        if "delivery" in webhooks:
            sent["callback_url"] = webhooks["delivery"]["url"]
        return sent

    def refusals(self) -> Sequence[Refusal]:
        old = {"requestError": {"serviceException": {"messageId": "BAD_REQUEST", "text": "Bad request"}}}
        return [
            Refusal(answer(401, {"errorCode": "E401", "description": "made up"}), CredentialsRefused),
            Refusal(answer(403, old), AccountRefused),
            Refusal(answer(400, {"errorCode": "E400", "violations": []}), Refused, "E400"),
            Refusal(answer(400, old), Refused, "BAD_REQUEST"),
            Refusal(message("REJECTED", "REJECTED_DESTINATION"), Refused, "REJECTED_DESTINATION"),
            Refusal(message("REJECTED", "REJECTED_NOT_ENOUGH_CREDITS"), CredentialsRefused, "NOT_ENOUGH_CREDITS"),
            Refusal(answer(429, {"errorCode": "E429"}), RateLimited),
            Refusal(answer(500, {"errorCode": "E500"}), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        return json_callback({"results": [result(message_id, group) for message_id, group in reports]})

    def reply(self, text: str) -> Callback:
        return json_callback(
            {"results": [{**INCOMING, "text": text, "cleanText": text, "keyword": ""}], "messageCount": 1}
        )

    def test_a_receipt_repeats_our_reference(self, parser: CallbackParser) -> None:
        request = self.request(self.receipt([("id-1", "DELIVERED")]), kind="status")

        assert [report.reference for report in parser.parse_status(request)] == [REFERENCE]

    @pytest.mark.parametrize(
        ("name", "status"),
        [("EC_UNKNOWN_SUBSCRIBER", ReportedStatus.INVALID), ("EC_ABSENT_SUBSCRIBER", ReportedStatus.UNDELIVERED)],
    )
    def test_an_error_that_means_a_dead_number_is_told_apart(
        self, parser: CallbackParser, name: str, status: ReportedStatus
    ) -> None:
        content = {
            "results": [{**result("id-1", "UNDELIVERABLE"), "error": {"id": 1, "name": name, "permanent": True}}]
        }

        [report] = parser.parse_status(self.request(json_callback(content), kind="status"))

        assert (report.status, report.error_code) == (status, name)

    def test_the_text_and_the_pictures_of_an_mms_are_read(self, parser: CallbackParser) -> None:
        parts = [
            {"contentType": "text/plain", "value": "look"},
            {"contentType": "image/jpeg", "url": "https://api.infobip.com/mms/1"},
        ]
        content = {"results": [{**INCOMING, "message": parts}], "messageCount": 1}

        [reply] = parser.parse_inbound(self.request(json_callback(content), kind="inbound"))

        assert (reply.text, reply.media_urls) == ("look", ("https://api.infobip.com/mms/1",))


INCOMING = {
    "messageId": "817790313235066447",
    "from": TO[1:],
    "to": SENDER[1:],
    "receivedAt": "2026-10-06T12:00:00.000+0000",
}


def result(message_id: str, group: str) -> dict[str, Any]:
    return {
        "bulkId": "bulk-1",
        "messageId": message_id,
        "to": TO[1:],
        "sentAt": "2026-10-06T12:00:00.000+0000",
        "doneAt": "2026-10-06T12:00:01.000+0000",
        "messageCount": 1,
        "callbackData": REFERENCE,
        "status": {"groupId": 3, "groupName": group, "id": 5, "name": "MADE_UP"},
        "error": {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "permanent": False},
    }
