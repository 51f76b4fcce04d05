"""Jasmin 0.11: a form with the text's octets in hexadecimal, errors as text, callbacks with the octets beside the text."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest

from providers import gsm
from providers.contract.callbacks import CallbackParser, ReportedStatus
from providers.errors import CredentialsRefused, OutcomeUnknown, RateLimited, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import FORM, SENDER, TO, Callback, PresetContract, Refusal

PLAIN = {"Content-Type": "text/plain"}
FIRST_LEVEL = {
    "ESME_ROK": ReportedStatus.SENT,
    "ESME_RINVDSTADR": ReportedStatus.INVALID,
    "ESME_RINVSRCADR": ReportedStatus.UNDELIVERED,
    "ESME_RINVMSGLEN": ReportedStatus.UNDELIVERED,
    "ESME_RINVEXPIRY": ReportedStatus.UNDELIVERED,
    "ESME_RSUBMITFAIL": ReportedStatus.UNDELIVERED,
    "ESME_RSYSERR": ReportedStatus.UNDELIVERED,
    "ESME_RTHROTTLED": ReportedStatus.UNDELIVERED,
    "ESME_RMSGQFUL": ReportedStatus.UNDELIVERED,
    "ESME_RDELIVERYFAILURE": ReportedStatus.UNDELIVERED,
    "ESME_RX_P_APPN": ReportedStatus.UNDELIVERED,
    "ESME_RX_R_APPN": ReportedStatus.UNDELIVERED,
    "ESME_RX_T_APPN": ReportedStatus.UNDELIVERED,
    "ESME_RUNKNOWNERR": ReportedStatus.UNDELIVERED,
}


def error(status: int, text: str) -> Play:
    return answer(status, f'Error "{text}"'.encode(), PLAIN)


class TestJasmin(PresetContract):
    preset = "jasmin"
    environment: ClassVar[Mapping[str, str]] = {
        "JASMIN_URL": "http://gateway.internal:1401/send",
        "JASMIN_USERNAME": "switchboard",
        "JASMIN_PASSWORD": "made-up&{pass}",
    }
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        **FIRST_LEVEL,
        "ENROUTE": ReportedStatus.PROGRESS,
        "ACCEPTD": ReportedStatus.SENT,
        "DELIVRD": ReportedStatus.DELIVERED,
        "UNDELIV": ReportedStatus.UNDELIVERED,
        "EXPIRED": ReportedStatus.UNDELIVERED,
        "REJECTD": ReportedStatus.UNDELIVERED,
        "DELETED": ReportedStatus.UNDELIVERED,
        "UNKNOWN": ReportedStatus.PROGRESS,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        return answer(200, f'Success "{ids[0]}"'.encode(), PLAIN)

    def sent(self, request: Received) -> Mapping[str, Any]:
        form = {name: values[0] for name, values in request.form().items()}
        assert (request.method, request.target) == ("POST", "/send")
        assert (form.pop("username"), form.pop("password")) == ("switchboard", "made-up&{pass}")
        assert (form.pop("dlr-level"), form.pop("dlr-method")) == ("3", "POST")
        octets = bytes.fromhex(form.pop("hex-content"))
        sender = form.pop("from", None)
        sent: dict[str, Any] = {
            "to": f"+{form.pop('to')}",
            "text": {"0": gsm.decode, "8": lambda raw: raw.decode("utf-16-be")}[form.pop("coding")](octets),
            "from": sender and f"+{sender}",
        }
        if "dlr-url" in form:
            sent["callback_url"] = form.pop("dlr-url")
        return sent | form

    def refusals(self) -> Sequence[Refusal]:
        return [
            Refusal(error(403, "Authentication failure for username:switchboard"), CredentialsRefused),
            Refusal(error(403, "Cannot charge submit_sm, check RouterPB log file for details"), CredentialsRefused),
            Refusal(error(403, "User throughput exceeded"), RateLimited),
            Refusal(error(400, "Argument [to] has an invalid value: [x]."), Refused),
            Refusal(error(412, "No route found"), Refused),
            Refusal(error(412, "Failover route has no bound connectors"), Unavailable),
            Refusal(error(500, "Cannot send submit_sm, check SMPPClientManagerPB log file for details"), Unavailable),
            Refusal(error(500, "Unknown error: made up"), OutcomeUnknown),
            Refusal(error(503, "InterceptorPB not connected !"), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        first = {"id": message_id, "level": "1", "message_status": status, "connector": "smppcc-1"}
        if status in FIRST_LEVEL:
            return Callback(first)
        dates = {"subdate": "2610061200", "donedate": "2610061201"}
        return Callback({**first, "level": "2", "id_smsc": "2567", "sub": "001", "dlvrd": "001", **dates, "err": "000"})

    def reply(self, text: str) -> Callback:
        return incoming(text.encode("utf-16-be"), coding=8)

    @pytest.mark.parametrize(
        ("coding", "charset"),
        [
            (None, "gsm"),
            (0, "gsm"),
            (3, "latin-1"),
            (8, "utf-16-be"),
            (0x11, "gsm"),
            (0x19, "utf-16-be"),
            (0xF1, "gsm"),
        ],
    )
    def test_a_reply_is_read_by_its_coding(self, parser: CallbackParser, coding: int | None, charset: str) -> None:
        text = "@ 5 é à"
        callback = incoming(gsm.encode(text) if charset == "gsm" else text.encode(charset), coding=coding)

        [reply] = parser.parse_inbound(self.request(callback, kind="inbound", attempt_id=""))

        assert reply.text == text

    def test_a_coding_may_be_written_as_a_number(self, parser: CallbackParser) -> None:
        callback = incoming("STOP".encode("utf-16-be"), coding=None, more={"coding": "8"})

        [reply] = parser.parse_inbound(self.request(callback, kind="inbound", attempt_id=""))

        assert reply.text == "STOP"

    def test_jasmin_reads_the_answer_it_waits_for(self, parser: CallbackParser) -> None:
        responses = [parser.status_response, parser.inbound_response]

        assert [(each.status, each.body) for each in responses if each] == [(200, "ACK/Jasmin")] * 2


def incoming(octets: bytes, *, coding: int | None, more: Mapping[str, str] | None = None) -> Callback:
    """Jasmin writes the coding as an octet (`coding=%08`), not as a number."""
    form: dict[str, Any] = {
        "id": "0f1c2d3e",
        "from": TO[1:],
        "to": SENDER[1:],
        "origin-connector": "smppcc-1",
        "content": octets,
        "binary": octets.hex(),
    }
    if coding is not None:
        form["coding"] = bytes([coding])
    return Callback(urlencode({**form, **(more or {})}).encode(), content_type=FORM)
