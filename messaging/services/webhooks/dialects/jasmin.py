"""Jasmin's receipts: parameters in a query or a form, confirmed by `ACK/Jasmin` in the answer.

Options are the level that the client asked for and the method: `2:POST`. Level 1 is the carrier's answer to the submission,
level 2 the receipt, level 3 both.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

from messaging.event_types import EventType
from messaging.models import Message
from messaging.services import events
from messaging.services.webhooks import gateway_receipts
from messaging.services.webhooks.dialects.base import ClientCall, Dialect, Occasion
from providers.http.transport import HttpResponse
from providers.smpp.constants import CommandStatus, MessageState, status_name
from providers.smpp.receipts import STATES

ANSWERED, RECEIPT, BOTH = 1, 2, 3
CONFIRMATION: Final = b"ACK/Jasmin"
HEADERS: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/plain"}
ENDED_UNSENT: Final = frozenset({EventType.MESSAGE_FAILED, EventType.MESSAGE_CANCELED})
ENDED: Final = frozenset({EventType.MESSAGE_DELIVERED, EventType.MESSAGE_UNDELIVERED, EventType.MESSAGE_UNKNOWN})
# A refused text is told at level 1, where the client asked for that, otherwise at level 2: Jasmin tells the latter nothing.
LEVELS: Final[Mapping[int, frozenset[EventType]]] = {
    ANSWERED: ENDED_UNSENT | {EventType.MESSAGE_SENT},
    RECEIPT: ENDED_UNSENT | ENDED,
    BOTH: ENDED_UNSENT | ENDED | {EventType.MESSAGE_SENT},
}
REFUSALS: Final[Mapping[str, CommandStatus]] = {"011": CommandStatus.RINVDSTADR}


def name_of(level: int, method: str) -> str:
    """The text of `Message.callback_dialect`. The method is `GET` or `POST`."""
    return f"jasmin:{level}:{method}"


class JasminDialect(Dialect):
    max_response_bytes = 256

    def wants(self, event_type: str, options: str) -> bool:
        return event_type in LEVELS.get(_read(options)[0], ())

    def request(self, occasion: Occasion) -> ClientCall | None:
        if occasion.event is None or occasion.message is None:
            return None
        level, method = _read(occasion.options)
        message = events.as_of(occasion.message, occasion.event)
        is_answer = level != RECEIPT and occasion.event.type not in ENDED
        values = _acceptance(message) if is_answer else _receipt(message, occasion.event.at)
        if method == "GET":
            return ClientCall("GET", _with_query(occasion.url, urlencode(values)), HEADERS, b"")
        return ClientCall("POST", occasion.url, HEADERS, urlencode(values).encode())

    def is_confirmed(self, response: HttpResponse) -> bool:
        return super().is_confirmed(response) and response.body.strip() == CONFIRMATION


def _read(options: str) -> tuple[int, str]:
    level, _, method = options.partition(":")
    return (int(level) if level.isdecimal() else 0), method


def _acceptance(message: Message) -> dict[str, str]:
    refusal = REFUSALS.get(gateway_receipts.error_of(message), CommandStatus.RSUBMITFAIL)
    is_refused = gateway_receipts.state_of(message) is not None
    return {
        "id": str(message.pk),
        "level": str(ANSWERED),
        "message_status": status_name(refusal if is_refused else CommandStatus.ROK),
        "connector": message.provider_id or "",
    }


def _receipt(message: Message, at: datetime) -> dict[str, str]:
    """The text is not quoted."""
    state = gateway_receipts.state_of(message) or MessageState.UNKNOWN
    is_open = state is MessageState.UNKNOWN
    return {
        "id": str(message.pk),
        "level": str(RECEIPT),
        "message_status": STATES[state],
        "connector": message.provider_id or "",
        "id_smsc": message.provider_message_id,
        "sub": "001",
        "dlvrd": "001" if state is MessageState.DELIVERED else "000",
        "subdate": f"{message.sent_at or message.created_at:%y%m%d%H%M}",
        "donedate": f"{at:%y%m%d%H%M}",
        "err": gateway_receipts.NO_ERROR if is_open else gateway_receipts.error_of(message),
        "text": "",
    }


def _with_query(url: str, query: str) -> str:
    parts = urlsplit(url)
    return parts._replace(query=f"{parts.query}&{query}" if parts.query else query, fragment="").geturl()
