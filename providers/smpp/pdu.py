"""PDUs of SMPP 3.4, as they are on the wire.

Lengths of text fields are not enforced when a PDU is read: peers send longer ones than the standard allows. A PDU as a whole is
bounded (`MAX_PDU_BYTES`). The bodies of `submit_sm` and `deliver_sm` are read and written by the library `smpp34`.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import smpp34

from providers.smpp.constants import INTERFACE_VERSION, CommandId, CommandStatus, MessageState, Tag

__all__ = [
    "MAX_PDU_BYTES",
    "Bind",
    "CancelRequest",
    "CommandId",
    "CommandStatus",
    "MalformedPdu",
    "MessageState",
    "Pdu",
    "QueryRequest",
    "QueryResult",
    "ShortMessage",
    "SmppAddress",
    "Tag",
    "bind_response_body",
    "encode",
    "message_id_body",
    "read_message_id",
]

HEADER: Final = struct.Struct(">LLLL")
# A `message_payload` has up to 64 KiB.
MAX_PDU_BYTES: Final = 70_000
# The longest text fields of the standard, without their final NUL.
MAX_SYSTEM_ID, MAX_SYSTEM_TYPE, MAX_ADDRESS, MAX_ADDRESS_RANGE, MAX_MESSAGE_ID = 15, 12, 20, 40, 64
# The standard allows a password of 8 characters; some carriers give out longer ones.
MAX_PASSWORD = 64
_MAX_TEXT = 256
MAX_SERVICE_TYPE, MAX_TIME = 5, 16
_SEQUENCE_OF_CODEC = 1


class MalformedPdu(ValueError):
    """A PDU that cannot be read. `status` is what its sender is answered with."""

    def __init__(self, detail: str, status: int = CommandStatus.RINVPARLEN) -> None:
        super().__init__(detail)
        self.status = int(status)


@dataclass(frozen=True, slots=True)
class Pdu:
    """One PDU, its body not read yet. `command` need not be one that we know."""

    command: int
    status: int
    sequence: int
    body: bytes = field(default=b"", repr=False)

    @property
    def is_response(self) -> bool:
        return bool(self.command & CommandId.GENERIC_NACK)


def encode(command: int, body: bytes = b"", *, status: int = 0, sequence: int) -> bytes:
    """The whole PDU, header included."""
    return HEADER.pack(HEADER.size + len(body), command, status, sequence) + body


@dataclass(frozen=True, slots=True)
class SmppAddress:
    """A number, short code or name as a PDU has it, with its type of number and numbering plan."""

    text: str = field(repr=False)
    ton: int = 0
    npi: int = 0


@dataclass(frozen=True, slots=True)
class ShortMessage:
    """The body of a `submit_sm` or `deliver_sm`, which have the same fields.

    `octets` is the field `short_message`, its UDH included: at most 254 octets. `tlvs` are the optional parameters by tag; of
    several with the same tag the last one counts.
    """

    source: SmppAddress
    destination: SmppAddress
    octets: bytes = field(default=b"", repr=False)
    data_coding: int = 0
    esm_class: int = 0
    registered_delivery: int = 0
    validity_period: str = ""
    schedule_delivery_time: str = ""
    protocol_id: int = 0
    priority: int = 0
    service_type: str = ""
    replace_if_present: int = 0
    tlvs: Mapping[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def payload(self) -> bytes:
        """The octets of the text, wherever they are."""
        return self.octets or self.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")

    def encode(self) -> bytes:
        """The body. Raises `ValueError` for a value that its field cannot hold."""
        for address in (self.source, self.destination):
            _check_text(address.text, MAX_ADDRESS)
        _check_text(self.service_type, MAX_SERVICE_TYPE)
        for time in (self.validity_period, self.schedule_delivery_time):
            _check_text(time, MAX_TIME)
        written = smpp34.SubmitSm(
            self.source.text,
            self.destination.text,
            self.octets,
            service_type=self.service_type,
            source_addr_ton=self.source.ton,
            source_addr_npi=self.source.npi,
            dest_addr_ton=self.destination.ton,
            dest_addr_npi=self.destination.npi,
            esm_class=self.esm_class,
            protocol_id=self.protocol_id,
            priority_flag=self.priority,
            schedule_delivery_time=self.schedule_delivery_time,
            validity_period=self.validity_period,
            registered_delivery=self.registered_delivery,
            replace_if_present_flag=self.replace_if_present,
            data_coding=self.data_coding,
            tlvs=[smpp34.Tlv(tag, value) for tag, value in self.tlvs.items()],
            sequence_number=_SEQUENCE_OF_CODEC,
        )
        return written.encode()[HEADER.size :]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises `MalformedPdu`. Octets of addresses that are not UTF-8 become U+FFFD."""
        try:
            read = smpp34.decode(encode(CommandId.DELIVER_SM, body, sequence=_SEQUENCE_OF_CODEC))
        except smpp34.SmppError:
            raise MalformedPdu("the fields do not fit the length of the PDU") from None
        if not isinstance(read, smpp34.DeliverSm):
            raise MalformedPdu("the PDU cannot be read")
        if max(len(read.source_addr), len(read.destination_addr), len(read.service_type)) > _MAX_TEXT:
            raise MalformedPdu("an address is too long")
        return cls(
            source=SmppAddress(read.source_addr, read.source_addr_ton, read.source_addr_npi),
            destination=SmppAddress(read.destination_addr, read.dest_addr_ton, read.dest_addr_npi),
            octets=bytes(read.short_message),
            data_coding=read.data_coding,
            esm_class=read.esm_class,
            registered_delivery=read.registered_delivery,
            validity_period=read.validity_period[:_MAX_TEXT],
            schedule_delivery_time=read.schedule_delivery_time[:_MAX_TEXT],
            protocol_id=read.protocol_id,
            priority=read.priority_flag,
            service_type=read.service_type,
            replace_if_present=read.replace_if_present_flag,
            tlvs={tlv.tag: bytes(tlv.value) for tlv in read.tlvs},
        )


@dataclass(frozen=True, slots=True)
class Bind:
    """The body of a `bind_transmitter`, `bind_receiver` or `bind_transceiver`."""

    system_id: str
    password: str = field(repr=False)
    system_type: str = ""
    interface_version: int = INTERFACE_VERSION
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""

    def encode(self) -> bytes:
        """Raises `ValueError` for a value that its field cannot hold."""
        numbers = bytes([self.interface_version, self.addr_ton, self.addr_npi])
        texts = (
            _text(self.system_id, MAX_SYSTEM_ID),
            _text(self.password, MAX_PASSWORD),
            _text(self.system_type, MAX_SYSTEM_TYPE),
        )
        return b"".join(texts) + numbers + _text(self.address_range, MAX_ADDRESS_RANGE)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises `MalformedPdu`."""
        reader = _Reader(body)
        return cls(
            reader.text(), reader.text(), reader.text(), reader.octet(), reader.octet(), reader.octet(), reader.text()
        )


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """The body of a `query_sm`."""

    message_id: str
    source: SmppAddress

    def encode(self) -> bytes:
        return _text(self.message_id, MAX_MESSAGE_ID) + _address(self.source)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises `MalformedPdu`."""
        reader = _Reader(body)
        return cls(reader.text(), reader.address())


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The body of a `query_sm_resp`. `final_date` is empty until the message has ended."""

    message_id: str
    final_date: str
    state: int
    error_code: int = 0

    def encode(self) -> bytes:
        return (
            _text(self.message_id, MAX_MESSAGE_ID)
            + _text(self.final_date, MAX_TIME)
            + bytes([self.state, self.error_code])
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises `MalformedPdu`."""
        reader = _Reader(body)
        return cls(reader.text(), reader.text(), reader.octet(), reader.octet())


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """The body of a `cancel_sm`."""

    service_type: str
    message_id: str
    source: SmppAddress
    destination: SmppAddress

    def encode(self) -> bytes:
        texts = _text(self.service_type, MAX_SERVICE_TYPE) + _text(self.message_id, MAX_MESSAGE_ID)
        return texts + _address(self.source) + _address(self.destination)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises `MalformedPdu`."""
        reader = _Reader(body)
        return cls(reader.text(), reader.text(), reader.address(), reader.address())


def message_id_body(message_id: str = "") -> bytes:
    """The body of a `submit_sm_resp`, and of a `deliver_sm_resp`, in which the id is empty."""
    return _text(message_id, MAX_MESSAGE_ID)


def read_message_id(body: bytes) -> str:
    """The id in a `submit_sm_resp`, empty without one; its NUL and what follows it may be missing.

    Octets outside ASCII become U+FFFD, so that the id is not printable and is refused like any other that is not.
    """
    return body[: _MAX_TEXT + 1].split(b"\0", 1)[0].decode("ascii", "replace")


def bind_response_body(system_id: str) -> bytes:
    """The body of the response to a bind, with the version of the interface."""
    version = struct.pack(">HHB", Tag.SC_INTERFACE_VERSION, 1, INTERFACE_VERSION)
    return _text(system_id, MAX_SYSTEM_ID) + version


class _Reader:
    """Reads fields one after the other. Raises `MalformedPdu` where the body ends too early."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def text(self) -> str:
        end = self._body.find(b"\0", self._at, self._at + _MAX_TEXT)
        if end < 0:
            raise MalformedPdu("a text has no end")
        value, self._at = self._body[self._at : end], end + 1
        return value.decode("utf-8", "replace")

    def octet(self) -> int:
        if self._at >= len(self._body):
            raise MalformedPdu("the body ends too early")
        self._at += 1
        return self._body[self._at - 1]

    def address(self) -> SmppAddress:
        ton, npi = self.octet(), self.octet()
        return SmppAddress(self.text(), ton, npi)


def _address(address: SmppAddress) -> bytes:
    return bytes([address.ton, address.npi]) + _text(address.text, MAX_ADDRESS)


def _text(value: str, longest: int) -> bytes:
    _check_text(value, longest)
    return value.encode("ascii") + b"\0"


def _check_text(value: str, longest: int) -> None:
    """Raise `ValueError` for a text that some peers would cut, or that a NUL would end."""
    if len(value) > longest or not value.isascii() or "\0" in value:
        raise ValueError("a text does not fit its field")
