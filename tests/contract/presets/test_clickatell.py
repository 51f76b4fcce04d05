"""Clickatell's Platform: JSON, the outcome of each message at 202, replies in three charsets."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import pytest

from providers.contract.callbacks import CallbackParser, ReportedStatus
from providers.contract.messages import MessagePart
from providers.errors import CredentialsRefused, OutOfCredit, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import REFERENCE, SENDER, TO, Callback, PresetContract, Refusal, json_callback


def message(message_id: str | None, error: Any = None) -> Play:
    result = {"apiMessageId": message_id, "accepted": error is None, "to": TO[1:], "error": error}
    return answer(202, {"messages": [result], "error": None})


class TestClickatell(PresetContract):
    preset = "clickatell"
    environment: ClassVar[Mapping[str, str]] = {"CLICKATELL_API_KEY": "made-up-key=="}
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "1": ReportedStatus.FAILED,
        "2": ReportedStatus.PROGRESS,
        "3": ReportedStatus.SENT,
        "4": ReportedStatus.DELIVERED,
        "5": ReportedStatus.UNDELIVERED,
        "6": ReportedStatus.CANCELED,
        "7": ReportedStatus.UNDELIVERED,
        "8": ReportedStatus.PROGRESS,
        "9": ReportedStatus.UNDELIVERED,
        "10": ReportedStatus.UNDELIVERED,
        "11": ReportedStatus.PROGRESS,
        "12": ReportedStatus.FAILED,
        "14": ReportedStatus.FAILED,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        return message(ids[0])

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/messages")
        assert request.headers["authorization"] == "made-up-key=="
        assert body.pop("clientMessageId") == REFERENCE
        [to] = body.pop("to")
        sender = body.pop("from", None)
        return {"to": f"+{to}", "text": body.pop("content"), "from": sender and f"+{sender}", **body}

    def refusals(self) -> Sequence[Refusal]:
        error = {"code": 105, "description": "Invalid destination address"}
        return [
            Refusal(answer(401, {"messages": [], "error": {"code": 1, "description": "made up"}}), CredentialsRefused),
            Refusal(answer(402, {"messages": [], "error": {"code": 301}}), OutOfCredit, "provider_credit"),
            Refusal(answer(400, {"messages": [], "error": {"code": 101}}), Refused, "101"),
            Refusal(message(None, error), Refused, "105"),
            Refusal(answer(503, b""), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        content = {"integrationName": "acme", "messageId": message_id, "clientMessageId": REFERENCE, "to": TO[1:]}
        return json_callback({**content, "statusCode": int(status), "status": "MADE_UP", "timestamp": 1516217711000})

    def reply(self, text: str) -> Callback:
        return incoming(text, "UTF-8")

    def test_a_receipt_repeats_our_reference(self, parser: CallbackParser) -> None:
        [report] = parser.parse_status(self.request(self.receipt([("id-1", "4")]), kind="status", attempt_id=""))

        assert report.reference == REFERENCE

    @pytest.mark.parametrize(
        ("charset", "text"),
        [
            ("UTF-16BE", quote("señor 👋".encode("utf-16-be")).replace("%20", "+")),
            ("ISO-8859-1", "se%F1or+%21"),
            ("UTF-8", "señor %21"),
        ],
    )
    def test_a_reply_is_read_by_its_charset(self, parser: CallbackParser, charset: str, text: str) -> None:
        [reply] = parser.parse_inbound(self.request(incoming(text, charset), kind="inbound", attempt_id=""))

        assert reply.text == {"UTF-16BE": "señor 👋", "ISO-8859-1": "señor !", "UTF-8": "señor %21"}[charset]

    def test_a_part_is_named_by_its_header_and_keeps_half_a_character(self, parser: CallbackParser) -> None:
        octets = "a👋".encode("utf-16-be")[:4]
        callback = incoming(quote(octets), "UTF-16BE", udh="0500032A0201")

        [reply] = parser.parse_inbound(self.request(callback, kind="inbound", attempt_id=""))

        assert (reply.text, reply.part) == ("a\ufffd", MessagePart("42", 1, 2, octets, "utf-16-be"))

    def test_a_reply_with_an_empty_header_is_whole(self, parser: CallbackParser) -> None:
        [reply] = parser.parse_inbound(self.request(incoming("hi", "UTF-8", udh=""), kind="inbound", attempt_id=""))

        assert (reply.text, reply.part) == ("hi", None)


def incoming(text: str, charset: str, **fields: str) -> Callback:
    content = {"messageId": "1234", "fromNumber": TO[1:], "toNumber": SENDER[1:], "timestamp": 1516217711000}
    return json_callback({**content, "text": text, "charset": charset, **fields})
