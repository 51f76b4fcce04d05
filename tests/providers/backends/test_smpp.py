"""What only the SMPP backend does: PDUs, several connectors, parts, and what staff see of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers import send_gate
from providers.backends import smpp
from providers.backends.smpp import SmppBackend, relative_time
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.sender import BackendContext
from providers.errors import (
    CredentialsRefused,
    Misconfigured,
    NotCalled,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Rejected,
    SendError,
    Unavailable,
)
from providers.exchanges import Recording
from providers.smpp.pdu import ShortMessage, SmppAddress
from providers.state.exchange_log import Outcome, describe
from tests.contract.fake_carrier import FakeCarrier, Play, answer, hang_up, say_nothing
from tests.contract.kit import CONTEXT, IMPATIENT

TEXT = OutboundMessage(to="+4915112345678", text="Hello @€", sender="ACME", reference="message-1", attempt="attempt-1")
LONG = replace(TEXT, text="Grüße " * 60)  # 3 parts
OK = {"status": 0, "id": "id-1"}
NO_BIND, WINDOW_FULL = answer(503, {"error": "no_bind"}), answer(503, {"error": "window_full"})
CREDENTIALS = answer(503, {"error": "credentials"})

Make = Callable[..., SmppBackend]


@pytest.fixture
def connector() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as connector:
        connector.play = answer(200, {"responses": [OK]})
        yield connector


@pytest.fixture
def other() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as connector:
        connector.play = answer(200, {"responses": [{"status": 0, "id": "id-of-the-other"}]})
        yield connector


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def make(*connectors: FakeCarrier, context: BackendContext = CONTEXT, **config: Any) -> SmppBackend:
            required = {"host": "smpp.carrier.example", "port": 2775, "system_id": "acme", "password": "s3cr3t-pass"}
            urls = tuple(connector.url for connector in connectors)
            backend = SmppBackend(
                SmppBackend.Config.model_validate({**required, **config}), replace(context, smpp_connector_urls=urls)
            )
            return stack.enter_context(closing(backend))

        yield make


def pdus(connector: FakeCarrier) -> list[ShortMessage]:
    return [ShortMessage.decode(bytes.fromhex(pdu)) for pdu in connector.received[-1].json()["pdus"]]


def answers(*responses: object) -> Play:
    return answer(200, {"responses": responses})


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_a_text_is_one_pdu_with_the_types_of_its_addresses(connector: FakeCarrier, make: Make) -> None:
    assert make(connector).send(TEXT) == Accepted("id-1")

    assert pdus(connector) == [
        ShortMessage(
            SmppAddress("ACME", 5, 0),
            SmppAddress("4915112345678", 1, 1),
            b"Hello \x00\x1b\x65",
            registered_delivery=1,
        )
    ]
    sent = connector.received[0].json()
    assert (sent["attempt"], sent["reference"], sent["within"]) == ("attempt-1", "message-1", 9.5)


def test_the_account_decides_alphabet_form_and_notation(connector: FakeCarrier, make: Make) -> None:
    connector.play = answers(OK, OK, OK)

    make(connector, default_alphabet="latin1", long_text="sar", number_format="00", from_number="72345").send(
        replace(LONG, sender=None)
    )

    sent = pdus(connector)
    assert {(pdu.source, pdu.destination) for pdu in sent} == {
        (SmppAddress("72345", 3, 0), SmppAddress("004915112345678", 0, 1))
    }
    assert {pdu.data_coding for pdu in sent} == {3}
    assert [pdu.tlvs[0x20F] for pdu in sent] == [b"\1", b"\2", b"\3"]


def test_two_long_texts_to_one_recipient_have_different_references(connector: FakeCarrier, make: Make) -> None:
    connector.play = answers(OK, OK, OK)
    backend = make(connector)
    used = []

    for _ in range(5):
        backend.send(LONG)
        [reference] = {pdu.octets[3] for pdu in pdus(connector)}
        used.append(reference)

    assert len(set(used)) == 5


def test_the_rest_of_the_validity_is_a_relative_time(
    connector: FakeCarrier, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
    monkeypatch.setattr(smpp, "datetime", type("Clock", (), {"now": staticmethod(lambda _zone: now)}))

    make(connector).send(replace(TEXT, valid_until=now + timedelta(days=1, hours=2, minutes=3, seconds=4.9)))

    assert pdus(connector)[0].validity_period == "000001020304000R"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, ""),
        (1, "000000000001000R"),
        (86_399, "000000235959000R"),
        (86_400, "000001000000000R"),
        (smpp.MAX_VALIDITY, "000030235959000R"),
    ],
)
def test_a_relative_time_has_days_hours_minutes_and_seconds(seconds: int | None, written: str) -> None:
    assert relative_time(seconds) == written


def test_a_validity_beyond_the_field_is_cut_to_it(connector: FakeCarrier, make: Make) -> None:
    make(connector).send(replace(TEXT, valid_until=datetime.now(UTC) + timedelta(days=400)))

    assert pdus(connector)[0].validity_period == "000030235959000R"


@pytest.mark.parametrize(
    ("text", "error", "code"),
    [
        (replace(TEXT, text="half \ud83d"), Rejected, "text_not_encodable"),
        (replace(TEXT, sender="Café"), Refused, "sender_not_encodable"),
    ],
)
def test_what_no_pdu_can_carry_is_refused_before_any_call(
    connector: FakeCarrier, make: Make, text: OutboundMessage, error: type[SendError], code: str
) -> None:
    with pytest.raises(error) as caught:
        make(connector).send(text)

    assert (type(caught.value), caught.value.error_code) == (error, code)
    assert connector.received == []


# --- several connectors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [NO_BIND, WINDOW_FULL, CREDENTIALS, hang_up, answer(404, b"?")])
def test_a_connector_that_wrote_nothing_is_followed_by_the_next(
    connector: FakeCarrier, other: FakeCarrier, make: Make, refusal: Play
) -> None:
    connector.play = refusal
    backend = make(connector, other)

    assert backend.send(TEXT) == Accepted("id-of-the-other")
    assert backend.send(TEXT) == Accepted("id-of-the-other")

    assert (len(connector.received), len(other.received)) == (1, 2)


def test_a_connector_that_is_not_there_is_followed_by_the_next(
    connector: FakeCarrier, other: FakeCarrier, make: Make
) -> None:
    backend = make(connector, other)
    connector.close()

    assert backend.send(TEXT) == Accepted("id-of-the-other")


@pytest.mark.parametrize("doubtful", [say_nothing, answer(200, b"{"), answer(502, b""), answers(None)])
def test_after_a_connector_that_may_have_written_no_other_is_asked(
    connector: FakeCarrier, other: FakeCarrier, make: Make, doubtful: Play
) -> None:
    connector.play = doubtful

    with pytest.raises(OutcomeUnknown):
        make(connector, other, context=IMPATIENT).send(TEXT)

    assert other.received == []


def test_a_refusal_of_the_carrier_is_not_asked_for_twice(
    connector: FakeCarrier, other: FakeCarrier, make: Make
) -> None:
    connector.play = answers({"status": 0x45, "id": ""})

    with pytest.raises(Refused):
        make(connector, other).send(TEXT)

    assert other.received == []


def test_connectors_are_asked_in_turn_because_each_may_hold_a_bind(
    connector: FakeCarrier, other: FakeCarrier, make: Make
) -> None:
    backend = make(connector, other)
    for _ in range(4):
        backend.send(TEXT)
    assert (len(connector.received), len(other.received)) == (2, 2)


def test_a_connector_without_a_bind_is_asked_last_for_a_while(
    connector: FakeCarrier, other: FakeCarrier, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector.play = NO_BIND
    backend = make(connector, other)
    for _ in range(4):
        backend.send(TEXT)
    assert (len(connector.received), len(other.received)) == (1, 4)
    monkeypatch.setattr(smpp, "ASKED_LAST_SECONDS", -1.0)
    connector.play = answers(OK)
    backend = make(connector, other)
    for _ in range(2):
        backend.send(TEXT)
    assert (len(connector.received), len(other.received)) == (2, 5)


@pytest.mark.parametrize(
    ("plays", "error"),
    [
        ((NO_BIND, NO_BIND), Unavailable),
        ((NO_BIND, WINDOW_FULL), RateLimited),
        ((WINDOW_FULL, CREDENTIALS), RateLimited),
        ((NO_BIND, CREDENTIALS), CredentialsRefused),
    ],
)
def test_when_no_connector_writes_the_most_telling_refusal_counts(
    connector: FakeCarrier, other: FakeCarrier, make: Make, plays: tuple[Play, Play], error: type[SendError]
) -> None:
    connector.play, other.play = plays

    with pytest.raises(SendError) as caught:
        make(connector, other).send(TEXT)

    assert type(caught.value) is error
    assert (len(connector.received), len(other.received)) == (1, 1)


def test_no_bind_says_more_than_a_connector_that_is_not_there(
    connector: FakeCarrier, other: FakeCarrier, make: Make
) -> None:
    backend = make(connector, other)
    connector.close()
    other.play = NO_BIND

    with pytest.raises(Unavailable) as caught:
        backend.send(TEXT)

    assert caught.value.error_code == "no_bind"


def test_without_any_connector_the_installation_is_misconfigured(make: Make) -> None:
    with pytest.raises(Misconfigured):
        make().send(TEXT)


def test_the_connectors_of_one_text_count_as_one_call(connector: FakeCarrier, other: FakeCarrier, make: Make) -> None:
    connector.play = NO_BIND
    asked: list[str] = []

    def gate() -> float:
        asked.append("gate")
        return 0.0

    with send_gate.through(gate, recheck=lambda: asked.append("recheck")):
        make(connector, other).send(TEXT)

    assert asked == ["gate", "recheck"]


def test_no_further_connector_is_asked_when_the_lease_has_ended(
    connector: FakeCarrier, other: FakeCarrier, make: Make
) -> None:
    connector.play = NO_BIND

    def ended() -> None:
        raise NotCalled("its claim ended before the call")

    with send_gate.through(lambda: 0.0, recheck=ended), pytest.raises(NotCalled):
        make(connector, other).send(TEXT)

    assert (len(connector.received), other.received) == (1, [])


# --- parts ------------------------------------------------------------------------------------------------------------


def test_the_ids_of_all_parts_are_kept(connector: FakeCarrier, make: Make) -> None:
    connector.play = answers(*({"status": 0, "id": f"id-{number}"} for number in (1, 2, 3)))

    assert make(connector).send(LONG) == Accepted("id-1", part_ids=("id-1", "id-2", "id-3"))


@pytest.mark.parametrize(
    ("responses", "error", "code"),
    [
        ([{"status": 0x45, "id": ""}, None, None], Refused, "smpp_0x45"),
        ([{"status": 0x58, "id": ""}, None, None], RateLimited, "provider_rate_limited"),
        ([None, None, None], OutcomeUnknown, "outcome_unknown"),
        ([OK, OK, None], OutcomeUnknown, "partly_accepted"),
        ([OK, {"status": 0x45, "id": ""}, OK], OutcomeUnknown, "partly_accepted"),
        ([{"status": 0x45, "id": ""}, OK, OK], OutcomeUnknown, "partly_accepted"),
        ([OK, OK], OutcomeUnknown, "outcome_unknown"),
        ([], OutcomeUnknown, "outcome_unknown"),
        ([OK, OK, "ok"], OutcomeUnknown, "outcome_unknown"),
        ([OK, OK, {"status": False, "id": "x"}], OutcomeUnknown, "outcome_unknown"),
        ("three", OutcomeUnknown, "outcome_unknown"),
    ],
)
def test_only_a_text_whose_parts_are_all_accepted_is_accepted(
    connector: FakeCarrier, make: Make, responses: object, error: type[SendError], code: str
) -> None:
    connector.play = answer(200, {"responses": responses})

    with pytest.raises(SendError) as caught:
        make(connector).send(LONG)

    assert (type(caught.value), caught.value.error_code) == (error, code)


# --- what staff see ---------------------------------------------------------------------------------------------------


def recorded(backend: SmppBackend, text: OutboundMessage) -> Recording:
    recording = Recording()
    with recording.of(text):
        backend.send(text)
    return recording


def test_the_pdus_are_recorded_readably_and_without_secrets(connector: FakeCarrier, make: Make) -> None:
    recording = recorded(make(connector), TEXT)

    [call] = recording.calls
    assert (call.method, call.url) == ("submit_sm", "smpp://smpp.carrier.example:2775")
    [pdu] = json.loads(call.body)["pdus"]
    assert pdu["source"] == "ACME (TON 5, NPI 0)"
    assert (pdu["data_coding"], pdu["esm_class"], pdu["short_message"]) == (0, "0x00", "48656c6c6f20001b65")
    assert (call.status, json.loads(call.response_body)) == (
        200,
        [{"command_status": "ESME_ROK", "message_id": "id-1"}],
    )
    assert recording.rule == "ESME_ROK"
    assert "s3cr3t-pass" not in repr(call) + str(call.body) + str(call.headers)
    assert "Authorization" not in call.headers


@pytest.mark.parametrize("form", ["udh", "udh16", "sar", "message_payload"])
@pytest.mark.parametrize("alphabet", ["gsm7", "gsm7_packed", "latin1", "ascii"])
def test_the_shown_exchange_hides_text_and_number_in_every_form(
    connector: FakeCarrier, make: Make, alphabet: str, form: str
) -> None:
    text = replace(TEXT, text=("Your one-time password is 493201 [@ÄÖ]. " * 5)[:165])
    backend = make(connector, default_alphabet=alphabet, long_text=form)
    count = 1 if form == "message_payload" else len(backend._messages(text))
    connector.play = answers(*[OK] * count)

    recording = recorded(backend, text)

    hidden = describe(recording, Outcome(None, "id-1", 5, at=datetime.now(UTC)), config={})
    body = hidden.calls[0].body
    assert "4915112345678" not in body
    assert "493201" not in body
    assert not [each for pdu in pdus(connector) for each in (pdu.payload.hex(), pdu.payload[-4:].hex()) if each in body]
    shown = describe(recording, Outcome(None, "id-1", 5, at=datetime.now(UTC)), config={}, hides_text=False)
    assert pdus(connector)[0].payload.hex()[:200] in shown.calls[0].body


def test_a_long_payload_is_hidden_too(connector: FakeCarrier, make: Make) -> None:
    recording = recorded(make(connector, long_text="message_payload"), replace(TEXT, text="€[" * 765))

    hidden = describe(recording, Outcome(None, "id-1", 5, at=datetime.now(UTC)), config={})

    assert "1b65" not in hidden.calls[0].body
    assert b"1b651b3c" in recording.calls[0].body


def test_an_address_of_ipv6_is_shown_as_one(connector: FakeCarrier, make: Make) -> None:
    recording = recorded(make(connector, host="2001:db8::1"), TEXT)

    assert recording.calls[0].url == "smpp://[2001:db8::1]:2775"


def test_each_connector_that_was_asked_is_recorded(connector: FakeCarrier, other: FakeCarrier, make: Make) -> None:
    connector.play = NO_BIND

    recording = recorded(make(connector, other), TEXT)

    assert [call.headers["Connector"] for call in recording.calls] == [
        f"{each.url}/accounts/acme/submit" for each in (connector, other)
    ]
    assert [call.status for call in recording.calls] == [503, 200]
