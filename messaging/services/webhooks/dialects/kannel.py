"""Kannel's delivery reports: a GET of the client's `dlr-url`, its escapes filled.

Options are the mask of the reports that the client asked for and, after a colon, how it wrote the recipient's number: with `+`,
with `00`, or with digits only.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from messaging.event_types import EventType
from messaging.models import Message
from messaging.services import events
from messaging.services.webhooks import gateway_receipts
from messaging.services.webhooks.dialects import escapes
from messaging.services.webhooks.dialects.base import ClientCall, Dialect, Occasion
from providers.smpp.constants import MessageState
from providers.smpp.receipts import DeliveryReceipt, format_receipt

DELIVERED, FAILED, BUFFERED, ACCEPTED, REFUSED = 1, 2, 4, 8, 16
ALL: Final = DELIVERED | FAILED | BUFFERED | ACCEPTED | REFUSED
# A text whose outcome is unknown is reported as buffered, Kannel's type for everything that may still succeed or fail.
TYPES: Final[Mapping[str, int]] = {
    EventType.MESSAGE_SENT: ACCEPTED,
    EventType.MESSAGE_DELIVERED: DELIVERED,
    EventType.MESSAGE_UNDELIVERED: FAILED,
    EventType.MESSAGE_FAILED: REFUSED,
    EventType.MESSAGE_CANCELED: REFUSED,
    EventType.MESSAGE_UNKNOWN: BUFFERED,
}
INVALID_NUMBER: Final = "011"
REFUSALS: Final[Mapping[str, str]] = {INVALID_NUMBER: "NACK/0x0000000b/Invalid Destination Address"}
OTHER_REFUSAL: Final = "NACK/0x00000045/Submit failed"
ACKNOWLEDGED: Final = "ACK/"


def name_of(mask: int, prefix: str) -> str:
    """The text of `Message.callback_dialect`. `prefix` is `+`, `00` or empty."""
    return f"kannel:{mask}:{prefix}"


class KannelDialect(Dialect):
    def wants(self, event_type: str, options: str) -> bool:
        return bool(TYPES.get(event_type, 0) & _read(options)[0])

    def request(self, occasion: Occasion) -> ClientCall | None:
        if occasion.event is None or occasion.message is None:
            return None
        message = events.as_of(occasion.message, occasion.event)
        kind, at = TYPES[occasion.event.type], occasion.event.at
        values = _values(message, kind, at, prefix=_read(occasion.options)[1])
        return ClientCall("GET", escapes.fill(occasion.url, values), {}, b"")


def _read(options: str) -> tuple[int, str]:
    mask, _, prefix = options.partition(":")
    return (int(mask) if mask.isdecimal() else 0), prefix


def _values(message: Message, kind: int, at: datetime, *, prefix: str) -> dict[str, str]:
    """The letters that are filled for a report. Those of the submission were filled when it was accepted."""
    text = _text(message, kind, at)
    words = text.split()
    recipient = prefix + message.to_number.removeprefix("+")
    return {
        "d": str(kind),
        "A": text,
        "b": text,
        "a": " ".join(words),
        "k": words[0],
        "s": "".join(words[1:2]),
        "S": "".join(words[2:3]),
        "r": " ".join(words[1:]),
        "t": f"{at:%Y-%m-%d %H:%M:%S}",
        "T": str(int(at.timestamp())),
        "p": recipient,
        "q": f"+{recipient[2:]}" if recipient.startswith("00") else recipient,
        "P": message.from_number,
        "Q": message.from_number,
        "I": str(message.pk),
        "F": message.provider_message_id,
        "i": message.provider_id or "",
    }


def _text(message: Message, kind: int, at: datetime) -> str:
    """What a message centre would have answered to the submission, or written into its receipt."""
    if kind == ACCEPTED:
        return ACKNOWLEDGED
    error = gateway_receipts.error_of(message)
    if kind == REFUSED:
        return REFUSALS.get(error, OTHER_REFUSAL)
    receipt = DeliveryReceipt(
        message_id=_printable(message.provider_message_id) or str(message.pk),
        state=gateway_receipts.state_of(message) or MessageState.UNKNOWN,
        submitted_at=message.sent_at or message.created_at,
        done_at=at,
        error_code=error if kind == FAILED else gateway_receipts.NO_ERROR,
    )
    return format_receipt(receipt)[0]


def _printable(provider_message_id: str) -> str:
    return provider_message_id if provider_message_id.isascii() and provider_message_id.isprintable() else ""
