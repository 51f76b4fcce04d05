"""Kannel 1.4.5: `sendsms` by GET, receipts by `dlr-url`, replies by `get-url`."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from providers.contract.callbacks import CallbackParser, ReportedStatus
from providers.errors import CredentialsRefused, Refused
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import SENDER, TO, Callback, PresetContract, Refusal

HTML = {"Content-Type": "text/html"}
DENIED = b"Number(s) has/have been denied by white- and/or black-lists."


class TestKannel(PresetContract):
    preset = "kannel"
    environment: ClassVar[Mapping[str, str]] = {
        "KANNEL_URL": "http://gateway.internal:13013/cgi-bin/sendsms",
        "KANNEL_USERNAME": "switchboard",
        "KANNEL_PASSWORD": "made-up{password}",
    }
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "1": ReportedStatus.DELIVERED,
        "2": ReportedStatus.UNDELIVERED,
        "4": ReportedStatus.PROGRESS,
        "8": ReportedStatus.SENT,
        "16": ReportedStatus.UNDELIVERED,
    }
    has_ids = False

    def accepting(self, ids: Sequence[str]) -> Play:
        return answer(202, b"0: Accepted for delivery", HTML)

    def sent(self, request: Received) -> Mapping[str, Any]:
        query = {name: values[0] for name, values in request.query().items()}
        assert (request.method, urlsplit(request.target).path) == ("GET", "/cgi-bin/sendsms")
        assert (query["username"], query["password"]) == ("switchboard", "made-up{password}")
        assert query["charset"] == "UTF-8"
        assert query["coding"] == ("0" if query["text"].isascii() or "€" in query["text"] else "2")
        sent: dict[str, Any] = {"to": query["to"], "text": query["text"], "from": query.get("from")}
        if "validity" in query:
            sent["valid_for"] = int(query["validity"]) * 60
        if "dlr-url" in query:
            sent["callback_url"] = query["dlr-url"].partition("&reference=")[0]
        return sent

    def refusals(self) -> Sequence[Refusal]:
        return [
            Refusal(answer(403, b"Authorization failed for sendsms", HTML), CredentialsRefused),
            Refusal(answer(400, b"Missing receiver number, rejected", HTML), Refused),
            Refusal(answer(400, DENIED, HTML), Refused),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(_, status)] = reports
        return Callback(query={"reference": "ours", "status": status, "answer": "ACK/"}, method="GET")

    def reply(self, text: str) -> Callback:
        is_gsm = text.isascii() or "€" in text
        return incoming(text.encode("utf-8" if is_gsm else "utf-16-be"), coding="0" if is_gsm else "2")

    @pytest.mark.parametrize(
        ("coding", "octets"),
        [("0", "à € ".encode()), ("1", b"\xe0"), ("2", "à “мир “".encode("utf-16-be")), (None, "à".encode())],
    )
    def test_a_reply_is_read_by_its_coding(self, parser: CallbackParser, coding: str | None, octets: bytes) -> None:
        [reply] = parser.parse_inbound(self.request(incoming(octets, coding=coding), kind="inbound", attempt_id=""))

        assert reply.text == {"0": "à € ", "2": "à “мир “"}.get(coding or "", "à")


def incoming(octets: bytes, *, coding: str | None) -> Callback:
    """`get-url`: UTF-8 for texts of the GSM alphabet, raw octets otherwise."""
    query: dict[str, Any] = {"id": "0a1b", "from": TO, "to": SENDER, "message": octets}
    if coding is not None:
        query["coding"] = coding
    return Callback(query=query, method="GET")
