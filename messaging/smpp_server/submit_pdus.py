"""Read a `submit_sm`: who gets which text from which sender, when, and which part of a text it is.

Numbers are never guessed: what is not written in international notation is refused.
"""

import re
from datetime import datetime
from typing import Final

from messaging import e164, segments
from messaging.services.errors import InvalidField
from messaging.services.gateway import texts, times
from messaging.services.gateway.submissions import ClientSubmission, SubmittedPart
from messaging.services.outbound.submit import DEFAULT_VALID_FOR, MessageInput
from providers import senders
from providers.contract.messages import MessagePart
from providers.numbers import MAX_SHORT_CODE
from providers.smpp.addresses import TypeOfNumber
from providers.smpp.constants import KIND_MASK, UDH
from providers.smpp.decoding import read_udh, sar_part
from providers.smpp.pdu import ShortMessage, SmppAddress

# As in the REST API; a longer validity is shortened to it.
MAX_VALID_FOR: Final = 604_800
# A text of more parts cannot fit into the segments of a message.
MAX_PARTS: Final = 2 * segments.MAX_SEGMENTS
RECEIPT_MASK: Final = 0x03
_DIGITS = re.compile(r"\+?[0-9]{1,20}")
_LONGEST_SEPARATE_SHORT_CODE = 6


def read(message: ShortMessage, *, credential_id: int, now: datetime) -> ClientSubmission:
    """Raises `InvalidField`."""
    if message.esm_class & KIND_MASK:
        raise InvalidField("esm_class", "invalid_esm_class", "This is no ordinary message.")
    octets, place = _content(message)
    send_at = _send_at(message.schedule_delivery_time, now)
    draft = MessageInput(
        to=_recipient(message.destination),
        text="" if place is not None else _text(octets, message.data_coding),
        valid_for=_valid_for(message.validity_period, send_at, now),
        sender=_sender(message.source),
        send_at=send_at,
    )
    return ClientSubmission(
        credential_id=credential_id,
        draft=draft,
        source=message.source,
        destination=message.destination,
        wanted=message.registered_delivery & RECEIPT_MASK,
        part=_part(place, octets, message.data_coding) if place is not None else None,
    )


def _content(message: ShortMessage) -> tuple[bytes, MessagePart | None]:
    """The octets of the text without a header, and which part of a text they are."""
    if not message.esm_class & UDH:
        return message.payload, sar_part(message.tlvs)
    header = read_udh(message.payload)
    if header.octets == 0:
        raise InvalidField("message", "unreadable", "The header cannot be read.")
    return message.payload[header.octets :], header.part


def _text(octets: bytes, data_coding: int) -> str:
    text = texts.read(octets, data_coding)
    if len(text) > segments.MAX_OUTBOUND_CHARACTERS:
        raise InvalidField("message", "too_long", f"At most {segments.MAX_OUTBOUND_CHARACTERS} characters.")
    return text


def _part(place: MessagePart, octets: bytes, data_coding: int) -> SubmittedPart:
    if place.count > MAX_PARTS or len(octets) > segments.MAX_OUTBOUND_CHARACTERS:
        raise InvalidField("message", "too_long", f"At most {MAX_PARTS} parts.")
    return SubmittedPart(place.reference, place.count, place.number, octets, data_coding)


def _recipient(address: SmppAddress) -> str:
    if not _DIGITS.fullmatch(address.text):
        raise InvalidField("to", "invalid_recipient", "The number has digits only, and a plus.")
    if not address.text.startswith("+") and address.ton not in {TypeOfNumber.UNKNOWN, TypeOfNumber.INTERNATIONAL}:
        raise InvalidField("to", "invalid_recipient", "The number is not international.")
    try:
        return e164.normalise(f"+{address.text.removeprefix('+')}")
    except e164.InvalidNumber as error:
        raise InvalidField("to", "invalid_recipient", str(error)) from None


def _sender(address: SmppAddress) -> str | None:
    """As senders are stored; None for the owner's default. The sender has to be one of the owner's."""
    text = address.text.strip()
    if not text:
        return None
    if address.ton != TypeOfNumber.ALPHANUMERIC and _DIGITS.fullmatch(text):
        is_short = not text.startswith("+") and len(text) <= (
            _LONGEST_SEPARATE_SHORT_CODE if address.ton == TypeOfNumber.INTERNATIONAL else MAX_SHORT_CODE
        )
        text = text if is_short else f"+{text.removeprefix('+')}"
    try:
        return senders.normalise(text)
    except senders.InvalidSender as error:
        raise InvalidField("from", "invalid_sender", str(error)) from None


def _send_at(text: str, now: datetime) -> datetime | None:
    """None for a time that has passed: the message is due at once."""
    if not text:
        return None
    try:
        send_at = times.read(text, now=now)
    except (ValueError, OverflowError):
        raise InvalidField("send_at", "invalid_schedule", "Not a time.") from None
    return send_at if send_at > now else None


def _valid_for(text: str, send_at: datetime | None, now: datetime) -> int:
    """Seconds from the time that the message is due."""
    if not text:
        return DEFAULT_VALID_FOR
    due = send_at or now
    try:
        seconds = (times.read(text, now=due) - due).total_seconds()
    except (ValueError, OverflowError):
        raise InvalidField("valid_for", "invalid_validity", "Not a time.") from None
    if seconds < 1:
        raise InvalidField("valid_for", "invalid_validity", "The validity has ended.")
    return min(int(seconds), MAX_VALID_FOR)
