import contextlib
import struct
from types import SimpleNamespace
from typing import Any

import pytest
import smpp34
import smpplib.command
import smpplib.smpp
from hypothesis import given
from hypothesis import strategies as st

from providers.smpp.constants import CommandId, CommandStatus, Tag, status_name
from providers.smpp.pdu import (
    HEADER,
    Bind,
    CancelRequest,
    MalformedPdu,
    MessageState,
    QueryRequest,
    QueryResult,
    ShortMessage,
    SmppAddress,
    bind_response_body,
    encode,
    message_id_body,
    read_message_id,
)

ADDRESSES = st.builds(
    SmppAddress,
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20),
    st.integers(0, 6),
    st.integers(0, 18),
)
MESSAGES = st.builds(
    ShortMessage,
    ADDRESSES,
    ADDRESSES,
    st.binary(max_size=254),
    data_coding=st.integers(0, 255),
    esm_class=st.integers(0, 255),
    registered_delivery=st.integers(0, 255),
    validity_period=st.sampled_from(["", "000007000000000R"]),
    tlvs=st.dictionaries(st.integers(0x1400, 0x3FFF) | st.sampled_from(Tag), st.binary(max_size=300), max_size=3),
)


@given(MESSAGES)
def test_a_short_message_is_read_as_it_was_written(message: ShortMessage) -> None:
    assert ShortMessage.decode(message.encode()) == message


@given(MESSAGES)
def test_another_implementation_reads_the_same_fields(message: ShortMessage) -> None:
    without_ours = ShortMessage(**{**_fields(message), "tlvs": {}})
    pdu = _read_by_smpplib(CommandId.SUBMIT_SM, without_ours.encode())
    assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == _as_bytes(message.source)
    assert (pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi) == _as_bytes(message.destination)
    assert (pdu.short_message or b"", pdu.data_coding, pdu.esm_class) == (
        message.octets,
        message.data_coding,
        message.esm_class,
    )
    assert pdu.validity_period == message.validity_period.encode()


def _read_by_smpplib(command: CommandId, body: bytes) -> Any:
    client = SimpleNamespace(next_sequence=lambda: 1, sequence=1)
    return smpplib.smpp.parse_pdu(encode(command, body, sequence=7), client=client)


def _fields(message: ShortMessage) -> dict[str, object]:
    return {name: getattr(message, name) for name in ShortMessage.__slots__}


def _as_bytes(address: SmppAddress) -> tuple[bytes, int, int]:
    return address.text.encode(), address.ton, address.npi


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(body: bytes) -> None:
    for kind in (ShortMessage, Bind, QueryRequest, QueryResult, CancelRequest):
        with contextlib.suppress(MalformedPdu):
            kind.decode(body)  # type: ignore[attr-defined]
    assert isinstance(read_message_id(body), str)


@given(MESSAGES, st.data())
def test_a_message_that_is_cut_anywhere_is_read_or_refused(message: ShortMessage, data: st.DataObject) -> None:
    body = message.encode()
    with contextlib.suppress(MalformedPdu):
        ShortMessage.decode(body[: data.draw(st.integers(0, len(body)))])


def test_a_body_that_cannot_be_read_says_what_its_sender_is_answered_with() -> None:
    with pytest.raises(MalformedPdu) as caught:
        ShortMessage.decode(b"\0\1")
    assert caught.value.status == CommandStatus.RINVPARLEN


@pytest.mark.parametrize(
    "message",
    [
        ShortMessage(SmppAddress("1" * 21), SmppAddress("1")),
        ShortMessage(SmppAddress("1"), SmppAddress("1\x001")),
        ShortMessage(SmppAddress("é"), SmppAddress("1")),
        ShortMessage(SmppAddress("1"), SmppAddress("1"), b"x" * 255),
        ShortMessage(SmppAddress("1"), SmppAddress("1"), validity_period="0" * 17),
        ShortMessage(SmppAddress("1"), SmppAddress("1"), service_type="ABCDEF"),
    ],
)
def test_what_a_field_cannot_hold_is_not_written(message: ShortMessage) -> None:
    with pytest.raises(ValueError, match=r"fit|exceeds"):
        message.encode()


def test_the_payload_is_read_from_where_it_is() -> None:
    plain = ShortMessage(SmppAddress("1"), SmppAddress("2"), b"short", tlvs={Tag.MESSAGE_PAYLOAD: b"long"})
    assert plain.payload == b"short"
    assert ShortMessage(SmppAddress("1"), SmppAddress("2"), tlvs={Tag.MESSAGE_PAYLOAD: b"long"}).payload == b"long"


def test_a_text_parameter_without_its_nul_is_whole() -> None:
    body = ShortMessage(SmppAddress("1"), SmppAddress("2"), tlvs={Tag.RECEIPTED_MESSAGE_ID: b"4711"}).encode()
    assert ShortMessage.decode(body).tlvs == {Tag.RECEIPTED_MESSAGE_ID: b"4711"}


def test_binds_queries_and_cancels_are_read_as_they_were_written() -> None:
    bind = Bind("client", "secret", "SMS", addr_ton=1, addr_npi=1, address_range="^49")
    query = QueryRequest("abc", SmppAddress("Acme", 5, 0))
    result = QueryResult("abc", "261130120000000+", MessageState.DELIVERED, 3)
    cancel = CancelRequest("", "abc", SmppAddress("Acme", 5, 0), SmppAddress("4915", 1, 1))
    assert Bind.decode(bind.encode()) == bind
    assert QueryRequest.decode(query.encode()) == query
    assert QueryResult.decode(result.encode()) == result
    assert CancelRequest.decode(cancel.encode()) == cancel


def test_other_implementations_read_our_bind() -> None:
    body = Bind("client", "secret", "SMS").encode()
    pdu = _read_by_smpplib(CommandId.BIND_TRANSCEIVER, body)
    assert (pdu.system_id, pdu.password, pdu.system_type) == (b"client", b"secret", b"SMS")
    assert pdu.interface_version == 0x34
    assert smpp34.decode(encode(CommandId.BIND_TRANSCEIVER, body, sequence=1)).command_id == CommandId.BIND_TRANSCEIVER


def test_the_password_is_in_no_representation() -> None:
    assert "secret" not in repr(Bind("client", "secret"))


@pytest.mark.parametrize(
    ("body", "message_id"),
    [(b"abc\0", "abc"), (b"abc", "abc"), (b"", ""), (b"\0", ""), (b"abc\0\x00\x1d\x00\x01x", "abc"), (b"\xe9\0", "�")],
)
def test_the_id_of_a_response_is_read_with_or_without_its_end(body: bytes, message_id: str) -> None:
    assert read_message_id(body) == message_id


def test_responses_to_binds_and_submissions() -> None:
    assert message_id_body("abc") == b"abc\0"
    assert message_id_body() == b"\0"
    assert bind_response_body("us") == b"us\0" + struct.pack(">HHB", 0x0210, 1, 0x34)
    assert HEADER.unpack(encode(CommandId.ENQUIRE_LINK, sequence=9)) == (16, 0x15, 0, 9)


def test_statuses_have_the_names_of_the_standard() -> None:
    assert (status_name(0x58), status_name(0x400)) == ("ESME_RTHROTTLED", "0x00000400")
