"""What a carrier delivers to us: a `deliver_sm` is a receipt or an incoming message."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from providers.contract.callbacks import StatusReport
from providers.contract.messages import InboundMessage, MessagePart
from providers.errors import MalformedCallback
from providers.numbers import NumberFormat
from providers.smpp import addresses
from providers.smpp.constants import UDH
from providers.smpp.decoding import decode, octets_of_part, read_udh, sar_part
from providers.smpp.pdu import ShortMessage, SmppAddress
from providers.smpp.receipts import is_receipt, read_receipt
from providers.smpp.text import Alphabet

_LATIN_1 = 3  # of data_coding


class AccountFormats(Protocol):
    """What an account's configuration says about the texts and numbers of its carrier."""

    @property
    def default_alphabet(self) -> Alphabet: ...

    @property
    def numbers(self) -> NumberFormat: ...


def read_deliver(message: ShortMessage, formats: AccountFormats) -> StatusReport | InboundMessage:
    """Raises `MalformedCallback` for what is neither a receipt that names a message, nor a text of a sender."""
    if is_receipt(message):
        return _receipt(message, formats.default_alphabet)
    text, part = read_text(message, formats.default_alphabet)
    if text is None:
        raise MalformedCallback("the message is binary data, not a text")
    sender = addresses.read(message.source, formats.numbers)
    if not sender:
        raise MalformedCallback("the message has no sender")
    return InboundMessage(
        "", sender=sender, recipient=addresses.read(message.destination, formats.numbers), text=text, part=part
    )


def _receipt(message: ShortMessage, default_alphabet: Alphabet) -> StatusReport:
    """Most carriers write receipts in ASCII, whatever their default alphabet is: an id may have an underscore."""
    if message.data_coding == 0:
        plain, _part = read_text(replace(message, data_coding=_LATIN_1), default_alphabet)
        with suppress(MalformedCallback):
            return read_receipt(plain or "", message.tlvs, esm_class=message.esm_class)
    text, _part = read_text(message, default_alphabet)
    return read_receipt(text or "", message.tlvs, esm_class=message.esm_class)


def read_text(message: ShortMessage, default_alphabet: Alphabet) -> tuple[str | None, MessagePart | None]:
    """The text, None if it is binary data, and its place in a long text."""
    octets, header_octets, part = message.payload, 0, None
    if message.esm_class & UDH:
        header = read_udh(octets)
        header_octets, part = header.octets, header.part
    part = part or sar_part(message.tlvs)
    octets = octets[header_octets:]
    try:
        text = decode(octets, message.data_coding, default_alphabet, header_octets=header_octets)
    except ValueError:
        return None, part
    if part is not None:
        octets, charset = octets_of_part(octets, message.data_coding, default_alphabet, header_octets=header_octets)
        part = replace(part, octets=octets if charset else b"", charset=charset)
    return text, part


def raw_record(message: ShortMessage) -> bytes:
    """The delivery as JSON, to be stored as it was received. The same delivery is the same record, when it is repeated too."""
    fields = {
        "source": _address(message.source),
        "destination": _address(message.destination),
        "service_type": message.service_type,
        "esm_class": message.esm_class,
        "protocol_id": message.protocol_id,
        "priority": message.priority,
        "data_coding": message.data_coding,
        "short_message": message.octets.hex(),
        "tlvs": {f"0x{tag:04x}": message.tlvs[tag].hex() for tag in sorted(message.tlvs)},
    }
    return json.dumps(fields).encode()


def _address(address: SmppAddress) -> dict[str, str | int]:
    return {"address": address.text, "ton": address.ton, "npi": address.npi}
