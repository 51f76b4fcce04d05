"""A `submit_sm` is read, or refused without guessing."""

from datetime import UTC, datetime, timedelta

import pytest

from messaging.services.errors import InvalidField
from messaging.services.gateway import times
from messaging.smpp_server import submit_pdus
from providers.smpp.pdu import ShortMessage, SmppAddress

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
TO = SmppAddress("14155550101", 1, 1)


def read(source: SmppAddress = SmppAddress(""), destination: SmppAddress = TO, octets: bytes = b"Hi", **fields):  # noqa: B008
    message = ShortMessage(source, destination, octets, **fields)
    return submit_pdus.read(message, credential_id=1, now=NOW)


@pytest.mark.parametrize(
    ("text", "ton", "number"),
    [
        ("14155550101", 1, "+14155550101"),
        ("14155550101", 0, "+14155550101"),
        ("+14155550101", 0, "+14155550101"),
        ("+14155550101", 2, "+14155550101"),
    ],
)
def test_recipients_in_international_notation(text: str, ton: int, number: str) -> None:
    assert read(destination=SmppAddress(text, ton)).draft.to == number


@pytest.mark.parametrize(
    ("text", "ton"),
    [
        ("0014155550101", 1),
        ("0791234567", 0),
        ("14155550101", 2),
        ("14155550101", 5),
        ("1 415 555 0101", 1),
        ("", 1),
        ("Shop", 5),
        ("123", 0),
        ("+", 1),
        ("9" * 30, 1),
        ("\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff10\uff11", 1),
    ],
)
def test_other_recipients_are_never_guessed(text: str, ton: int) -> None:
    with pytest.raises(InvalidField) as refusal:
        read(destination=SmppAddress(text, ton))
    assert refusal.value.field_code == "invalid_recipient"


@pytest.mark.parametrize(
    ("text", "ton", "sender"),
    [
        ("", 0, None),
        ("15005550006", 1, "+15005550006"),
        ("+15005550006", 0, "+15005550006"),
        ("15005550006", 0, "+15005550006"),
        ("Shop 24", 5, "Shop 24"),
        ("Shop", 0, "Shop"),
        ("24680", 0, "24680"),
        ("24680", 3, "24680"),
        ("24680", 1, "24680"),
        ("12345678", 0, "12345678"),
    ],
)
def test_senders(text: str, ton: int, sender: str | None) -> None:
    assert read(SmppAddress(text, ton)).draft.sender == sender


@pytest.mark.parametrize("text", ["A name that is too long", "Sh\u4e00p", "+12"])
def test_other_senders_are_refused(text: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        read(SmppAddress(text, 5))
    assert refusal.value.field_code == "invalid_sender"


@pytest.mark.parametrize(
    ("validity", "schedule", "valid_for"),
    [
        ("", "", 14_400),
        ("000000000100000R", "", 60),
        ("261130130000000+", "", 3_600),
        ("261130140000004+", "", 3_600),
        ("261130120000004-", "", 3_600),
        ("991231235959000+", "", 604_800),
        ("261201130000000+", "261201120000000+", 3_600),
        ("000000000100000R", "000000010000000R", 60),
        ("000000000100000R", "261130110000000+", 60),
    ],
)
def test_validity_counts_from_the_time_that_the_message_is_due(validity: str, schedule: str, valid_for: int) -> None:
    draft = read(validity_period=validity, schedule_delivery_time=schedule).draft

    assert draft.valid_for == valid_for


def test_a_schedule_that_has_passed_is_now() -> None:
    assert read(schedule_delivery_time="261130110000000+").draft.send_at is None
    assert read(schedule_delivery_time="261130130000000+").draft.send_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"validity_period": "261130110000000+"}, "invalid_validity"),
        ({"validity_period": "000000000000000R"}, "invalid_validity"),
        ({"validity_period": "1 day"}, "invalid_validity"),
        ({"validity_period": "261130110000049+"}, "invalid_validity"),
        ({"schedule_delivery_time": "261330110000000+"}, "invalid_schedule"),
        ({"schedule_delivery_time": "2611301100"}, "invalid_schedule"),
        ({"esm_class": 0x04}, "invalid_esm_class"),
        ({"octets": b"", "tlvs": {0x0424: b"x" * 1_531}}, "too_long"),
        ({"octets": b""}, "blank"),
        ({"octets": b"\x05\x00", "esm_class": 0x40}, "unreadable"),
    ],
)
def test_what_cannot_be_read_is_refused(fields: dict, code: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        read(**fields)
    assert refusal.value.field_code == code


def test_a_header_that_joins_nothing_is_left_out() -> None:
    submission = read(octets=b"\x05\x00\x03\x09\x01\x01Hi", esm_class=0x40)

    assert (submission.draft.text, submission.part) == ("Hi", None)


@pytest.mark.parametrize(("registered_delivery", "wanted"), [(0, 0), (1, 1), (2, 2), (3, 3), (0x11, 1), (0x10, 0)])
def test_the_low_bits_ask_for_a_receipt(registered_delivery: int, wanted: int) -> None:
    assert read(registered_delivery=registered_delivery).wanted == wanted


def test_a_time_is_written_in_utc() -> None:
    assert times.write(NOW) == "261130120000000+"
