"""Delivery receipts: a `deliver_sm` that says what became of a message, read and written.

Optional parameters count before the text, which has no standard, only an example that everybody follows a little:
`id:… sub:… dlvrd:… submit date:… done date:… stat:… err:… text:…`. A text that merely looks like a receipt is a
reply: otherwise any sender of a text could report deliveries.
Source: SMPP 3.4, section 5.2.12, 5.3.2.31, 5.3.2.35 and appendix B.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.errors import MalformedCallback
from providers.smpp.constants import DELIVERY_RECEIPT, MessageState, Tag
from providers.smpp.pdu import ShortMessage

INTERMEDIATE_NOTIFICATION: Final = 0x20  # of esm_class, like a receipt, before the message has ended
MAX_ID_LENGTH, MAX_WORD_LENGTH, MAX_SHORT_MESSAGE = 128, 64, 254
SHOWN_CHARACTERS = 20
_NETWORK_ERROR_OCTETS = 3

R = ReportedStatus
# What changes nothing is progress: an accepted message may still be delivered or not, and `UNKNOWN` says that the carrier does
# not know.
STATUSES: Final[Mapping[str, ReportedStatus]] = {
    "SCHEDULED": R.PROGRESS,
    "ENROUTE": R.PROGRESS,
    "ACCEPTD": R.PROGRESS,
    "ACCEPTED": R.PROGRESS,
    "BUFFERED": R.PROGRESS,
    "UNKNOWN": R.PROGRESS,
    "DELIVRD": R.DELIVERED,
    "DELIVERED": R.DELIVERED,
    "UNDELIV": R.UNDELIVERED,
    "UNDELIVERABLE": R.UNDELIVERED,
    "UNDELIVERED": R.UNDELIVERED,
    "EXPIRED": R.UNDELIVERED,
    "SKIPPED": R.FAILED,
    "FAILED": R.FAILED,
    "REJECTD": R.FAILED,
    "REJECTED": R.FAILED,
    "DELETED": R.CANCELED,
}
# The words of receipts for `message_state`; 0 and 9 are of SMPP 5.
STATES: Final[Mapping[int, str]] = {
    0: "SCHEDULED",
    MessageState.ENROUTE: "ENROUTE",
    MessageState.DELIVERED: "DELIVRD",
    MessageState.EXPIRED: "EXPIRED",
    MessageState.DELETED: "DELETED",
    MessageState.UNDELIVERABLE: "UNDELIV",
    MessageState.ACCEPTED: "ACCEPTD",
    MessageState.UNKNOWN: "UNKNOWN",
    MessageState.REJECTED: "REJECTD",
    9: "SKIPPED",
}

_KEY = re.compile(r"(?<![A-Za-z])(id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat|err|text)\s*:", re.IGNORECASE)
_NO_ERROR = re.compile(r"0*")


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """A receipt to write. The times are in UTC; `text` is the message's, of which a receipt shows the beginning.

    `error_code` has at most three characters.
    """

    message_id: str
    state: MessageState
    submitted_at: datetime
    done_at: datetime
    error_code: str = "000"
    text: str = ""


def is_receipt(message: ShortMessage) -> bool:
    """Whether a `deliver_sm` is a receipt, by what the carrier says of it."""
    is_declared = bool(message.esm_class & (DELIVERY_RECEIPT | INTERMEDIATE_NOTIFICATION))
    return is_declared or Tag.RECEIPTED_MESSAGE_ID in message.tlvs or Tag.MESSAGE_STATE in message.tlvs


def read_receipt(text: str, tlvs: Mapping[int, bytes], *, esm_class: int = DELIVERY_RECEIPT) -> StatusReport:
    """Raises `MalformedCallback` for a receipt without an id, or without a status."""
    fields = read_fields(text)
    message_id = _c_string(tlvs.get(Tag.RECEIPTED_MESSAGE_ID, b"")) or fields.get("id", "")
    raw_status = _state(tlvs.get(Tag.MESSAGE_STATE, b"")) or fields.get("stat", "").upper()
    if not 0 < len(message_id) <= MAX_ID_LENGTH or not message_id.isprintable():
        raise MalformedCallback("the receipt names no message")
    if not raw_status.isprintable() or not raw_status:
        raise MalformedCallback("the receipt has no status")
    status = STATUSES.get(raw_status, R.UNRECOGNIZED)
    if esm_class & INTERMEDIATE_NOTIFICATION and status is not R.UNRECOGNIZED:
        status = R.PROGRESS
    return StatusReport(
        message_id,
        status=status,
        raw_status=raw_status[:MAX_WORD_LENGTH],
        error_code=_network_error(tlvs.get(Tag.NETWORK_ERROR_CODE, b"")) or _error(fields.get("err", "")),
    )


def read_fields(text: str) -> dict[str, str]:
    """The first word behind each key, of those that are there: `id`, `sub`, `dlvrd`, `submitdate`, `donedate`, `stat`, `err`.

    `text` has the beginning of the message, which may contain keys itself. It is usually the last key. Where others follow it,
    those of the message come first, so the last of each key counts; but a key before it counts more.
    """
    found = list(_KEY.finditer(text))
    begin_of_text = next((at for at, key in enumerate(found) if _name(key) == "text"), len(found))
    behind: dict[str, str] = {}
    before: dict[str, str] = {}
    for at, key in enumerate(found):
        end = found[at + 1].start() if at + 1 < len(found) else len(text)
        word = next(iter(text[key.end() : end].split()), "")
        if at < begin_of_text:
            before.setdefault(_name(key), word)
        elif at > begin_of_text and word:
            behind[_name(key)] = word
    behind.pop("text", None)
    return before if before.get("id") and before.get("stat") else {**behind, **before}


def format_receipt(receipt: DeliveryReceipt) -> tuple[str, dict[int, bytes]]:
    """The text of a receipt, ASCII of at most 254 characters, and its optional parameters.

    Raises `ValueError` for an id that does not fit.
    """
    is_delivered = receipt.state is MessageState.DELIVERED
    head = (
        f"id:{receipt.message_id} sub:001 dlvrd:{'001' if is_delivered else '000'} "
        f"submit date:{receipt.submitted_at:%y%m%d%H%M} done date:{receipt.done_at:%y%m%d%H%M} "
        f"stat:{STATES[receipt.state]} err:{receipt.error_code[:3]:0>3} text:"
    )
    if not head.isascii() or not head.isprintable() or len(head) > MAX_SHORT_MESSAGE:
        raise ValueError("the id does not fit into a receipt")
    shown = "".join(each if " " <= each <= "~" else "?" for each in receipt.text[:SHOWN_CHARACTERS])
    tlvs = {
        int(Tag.RECEIPTED_MESSAGE_ID): receipt.message_id.encode("ascii") + b"\0",
        int(Tag.MESSAGE_STATE): bytes([receipt.state]),
    }
    return f"{head}{shown}"[:MAX_SHORT_MESSAGE], tlvs


def _name(key: re.Match[str]) -> str:
    return key[1].lower().replace(" ", "").replace("_", "")


def _c_string(value: bytes) -> str:
    """Some carriers leave out the NUL at the end."""
    return value.split(b"\0", 1)[0].decode("ascii", "replace").strip()


def _state(value: bytes) -> str:
    """The word, or the number of a state without one. Empty for a parameter that is no octet."""
    return STATES.get(value[0], str(value[0])) if len(value) == 1 else ""


def _network_error(value: bytes) -> str:
    """The code as a number: two octets behind the one for the kind of network. Empty without an error."""
    if len(value) != _NETWORK_ERROR_OCTETS:
        return ""
    code = int.from_bytes(value[1:], "big")
    return str(code) if code else ""


def _error(word: str) -> str:
    """The carrier's own code, often hexadecimal: as it is written. Zeros are no error."""
    return "" if _NO_ERROR.fullmatch(word) or not word.isprintable() else word[:MAX_WORD_LENGTH]
