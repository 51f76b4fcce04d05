"""Receipts of every carrier's own making are read, and ours are read by anybody."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.errors import MalformedCallback
from providers.smpp.constants import MessageState, Tag
from providers.smpp.pdu import ShortMessage, SmppAddress
from providers.smpp.receipts import (
    DELIVERY_RECEIPT,
    INTERMEDIATE_NOTIFICATION,
    STATES,
    STATUSES,
    DeliveryReceipt,
    format_receipt,
    is_receipt,
    read_fields,
    read_receipt,
)

DELIVERED = ReportedStatus.DELIVERED
STANDARD = "id:0000123 sub:001 dlvrd:001 submit date:2611300915 done date:2611300916 stat:DELIVRD err:000 text:Hello"
AT = datetime(2026, 11, 30, 9, 15, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (STANDARD, StatusReport("0000123", DELIVERED, "DELIVRD")),
        (STANDARD.replace("2611300915", "261130091559"), StatusReport("0000123", DELIVERED, "DELIVRD")),
        (STANDARD.upper(), StatusReport("0000123", DELIVERED, "DELIVRD")),
        (STANDARD.replace(" ", "\r\n"), StatusReport("0000123", DELIVERED, "DELIVRD")),
        (STANDARD.replace(":", ": "), StatusReport("0000123", DELIVERED, "DELIVRD")),
        (STANDARD.replace(":", " : "), StatusReport("0000123", DELIVERED, "DELIVRD")),
        ("stat:DELIVRD done date:2611300916 err:000 id:0000123", StatusReport("0000123", DELIVERED, "DELIVRD")),
        ("id:123 stat:delivrd", StatusReport("123", DELIVERED, "DELIVRD")),
        ("id:123 sub: dlvrd: stat:DELIVRD err: text:", StatusReport("123", DELIVERED, "DELIVRD")),
        ("id:a7-B sub:001 stat:UNDELIV err:0A1", StatusReport("a7-B", ReportedStatus.UNDELIVERED, "UNDELIV", "0A1")),
        (
            "id:5 submit_date:1 done_date:2 stat:EXPIRED err:12",
            StatusReport("5", ReportedStatus.UNDELIVERED, "EXPIRED", "12"),
        ),
        # Jasmin
        (
            "id:5b3b3a4e-7c1c-4b0e-a3d1-3b9a4f3ac1f0 submit date:2611300915 done date:2611300916 stat:REJECTD err:000",
            StatusReport("5b3b3a4e-7c1c-4b0e-a3d1-3b9a4f3ac1f0", ReportedStatus.FAILED, "REJECTD"),
        ),
        # the message contains what a receipt has
        (f"{STANDARD} id:9 stat:UNDELIV err:5", StatusReport("0000123", DELIVERED, "DELIVRD")),
        (
            "text:your id:9 is stat:UNDELIV id:123 sub:001 stat:DELIVRD err:000",
            StatusReport("123", DELIVERED, "DELIVRD"),
        ),
        ("id:123 text:stat:UNDELIV and id:9 stat:DELIVRD", StatusReport("123", DELIVERED, "DELIVRD")),
        ("id:123 stat:LOST err:7", StatusReport("123", ReportedStatus.UNRECOGNIZED, "LOST", "7")),
    ],
)
def test_a_receipt_is_read_from_its_text(text: str, report: StatusReport) -> None:
    assert read_receipt(text, {}) == report


@pytest.mark.parametrize(
    ("tlvs", "report"),
    [
        ({Tag.RECEIPTED_MESSAGE_ID: b"77\0"}, StatusReport("77", DELIVERED, "DELIVRD")),
        ({Tag.RECEIPTED_MESSAGE_ID: b"77"}, StatusReport("77", DELIVERED, "DELIVRD")),
        ({Tag.RECEIPTED_MESSAGE_ID: b"\0"}, StatusReport("0000123", DELIVERED, "DELIVRD")),
        ({Tag.MESSAGE_STATE: b"\x05"}, StatusReport("0000123", ReportedStatus.UNDELIVERED, "UNDELIV")),
        ({Tag.MESSAGE_STATE: b"\x63"}, StatusReport("0000123", ReportedStatus.UNRECOGNIZED, "99")),
        ({Tag.MESSAGE_STATE: b""}, StatusReport("0000123", DELIVERED, "DELIVRD")),
        ({Tag.NETWORK_ERROR_CODE: b"\x03\x00\x1b"}, StatusReport("0000123", DELIVERED, "DELIVRD", "27")),
        ({Tag.NETWORK_ERROR_CODE: b"\x03\x00\x00"}, StatusReport("0000123", DELIVERED, "DELIVRD")),
        ({Tag.NETWORK_ERROR_CODE: b"\x03"}, StatusReport("0000123", DELIVERED, "DELIVRD")),
    ],
)
def test_an_optional_parameter_counts_before_the_text(tlvs: dict[int, bytes], report: StatusReport) -> None:
    assert read_receipt(STANDARD, tlvs) == report


def test_optional_parameters_alone_are_a_receipt() -> None:
    tlvs = {Tag.RECEIPTED_MESSAGE_ID: b"77\0", Tag.MESSAGE_STATE: b"\x08", Tag.NETWORK_ERROR_CODE: b"\x03\x00\x06"}

    assert read_receipt("", tlvs) == StatusReport("77", ReportedStatus.FAILED, "REJECTD", "6")


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("ENROUTE", ReportedStatus.PROGRESS),
        ("ACCEPTD", ReportedStatus.PROGRESS),
        ("UNKNOWN", ReportedStatus.PROGRESS),
        ("DELIVRD", ReportedStatus.DELIVERED),
        ("UNDELIV", ReportedStatus.UNDELIVERED),
        ("EXPIRED", ReportedStatus.UNDELIVERED),
        ("REJECTD", ReportedStatus.FAILED),
        ("DELETED", ReportedStatus.CANCELED),
    ],
)
def test_every_word_of_the_standard_has_a_meaning(word: str, status: ReportedStatus) -> None:
    assert read_receipt(f"id:1 stat:{word}", {}).status is status
    assert set(STATES.values()) <= set(STATUSES)


def test_a_notification_before_the_end_is_progress_whatever_it_says() -> None:
    read = read_receipt("id:1 stat:UNDELIV err:27", {}, esm_class=INTERMEDIATE_NOTIFICATION)

    assert read == StatusReport("1", ReportedStatus.PROGRESS, "UNDELIV", "27")


@pytest.mark.parametrize(
    ("text", "tlvs"),
    [
        ("", {}),
        ("stat:DELIVRD", {}),
        ("id:123", {}),
        ("id: stat:DELIVRD", {}),
        ("void:123 stat:DELIVRD", {}),
        (f"id:{'1' * 129} stat:DELIVRD", {}),
        ("id:1\x01 stat:DELIVRD", {}),
        ("id:1 stat:DEL\x01", {}),
        ("stat:DELIVRD", {Tag.RECEIPTED_MESSAGE_ID: b"\x01\x02"}),
        ("text:id:123 stat", {}),
    ],
)
def test_a_receipt_without_an_id_or_a_status_is_malformed(text: str, tlvs: dict[int, bytes]) -> None:
    with pytest.raises(MalformedCallback):
        read_receipt(text, tlvs)


@given(text=st.text(alphabet="id:statexsub 0AD\n\x00é", max_size=80), value=st.binary(max_size=5))
def test_any_text_is_a_report_or_malformed(text: str, value: bytes) -> None:
    tlvs = dict.fromkeys((Tag.RECEIPTED_MESSAGE_ID, Tag.MESSAGE_STATE, Tag.NETWORK_ERROR_CODE), value)
    try:
        report = read_receipt(text, tlvs)
    except MalformedCallback:
        return

    assert report.provider_message_id.isprintable()
    assert 0 < len(report.raw_status) <= 64
    assert report.raw_status.isprintable()
    assert report.error_code.isprintable()


@pytest.mark.parametrize(
    ("esm_class", "tlvs", "expected"),
    [
        (DELIVERY_RECEIPT, {}, True),
        (DELIVERY_RECEIPT | 0x40, {}, True),
        (INTERMEDIATE_NOTIFICATION, {}, True),
        (0, {Tag.RECEIPTED_MESSAGE_ID: b"1\0"}, True),
        (0, {Tag.MESSAGE_STATE: b"\x02"}, True),
        (0, {}, False),
        (0x40, {}, False),
        (0x03, {Tag.SAR_MSG_REF_NUM: b"\0\1"}, False),
    ],
)
def test_the_carrier_says_what_is_a_receipt(esm_class: int, tlvs: dict[int, bytes], *, expected: bool) -> None:
    message = ShortMessage(SmppAddress("1"), SmppAddress("2"), esm_class=esm_class, tlvs=tlvs)

    assert is_receipt(message) is expected


def test_a_receipt_is_written_in_the_usual_form() -> None:
    text, tlvs = format_receipt(
        DeliveryReceipt("id-1", MessageState.UNDELIVERABLE, AT, AT, error_code="1b", text="Grüße an alle, die es lesen")
    )

    assert text == (
        "id:id-1 sub:001 dlvrd:000 submit date:2611300915 done date:2611300915 stat:UNDELIV err:01b "
        "text:Gr??e an alle, die e"
    )
    assert tlvs == {0x1E: b"id-1\0", 0x427: b"\x05"}


@given(
    message_id=st.text(alphabet="0123456789abcdef-", min_size=1, max_size=64),
    state=st.sampled_from(MessageState),
    text=st.text(max_size=40),
)
def test_a_written_receipt_fits_and_is_read_again_with_and_without_its_parameters(
    message_id: str, state: MessageState, text: str
) -> None:
    written, tlvs = format_receipt(DeliveryReceipt(message_id, state, AT, AT, text=text))

    assert len(written.encode("ascii")) <= 254
    assert read_receipt(written, tlvs) == read_receipt(written, {})
    assert read_fields(written)["id"] == message_id
    assert read_receipt("", tlvs).raw_status == STATES[state]


@pytest.mark.parametrize("message_id", ["1" * 200, "ü", "a\n"])
def test_an_id_that_does_not_fit_is_not_written(message_id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        format_receipt(DeliveryReceipt(message_id, MessageState.DELIVERED, AT, AT))
