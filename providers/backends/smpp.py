"""SMPP 3.4. The process `run_smpp` (a connector) holds the binds; a text is handed to it by HTTP, as the PDUs to write.

The connector begins its response (200) immediately before it writes the first PDU. So a call that ends before that was provably
not accepted, and the next connector is tried: of several, some hold no bind of the account. Whatever fails later is unknown.
"""

import hmac
import itertools
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from providers import exchanges, send_gate
from providers.backends import smpp_answers
from providers.backends.smpp_config import SmppConfig
from providers.backends.validity import seconds_left
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.sender import BackendContext, Sender
from providers.errors import Misconfigured, NotCalled, Refused, Rejected, Unavailable
from providers.http.transport import HttpResponse, Transport
from providers.smpp import addresses
from providers.smpp.pdu import ShortMessage, SmppAddress
from providers.smpp.references import References
from providers.smpp.text import TextPart, split

WITH_RECEIPT: Final = 1  # of registered_delivery: a receipt, whatever becomes of the message
# A relative time has two digits for days, and its months have no fixed length.
MAX_VALIDITY: Final = 31 * 86_400 - 1
ASKED_LAST_SECONDS: Final = 2.0
# The time in which the connector reports what the carrier has answered by then.
MARGIN_SECONDS: Final = 0.5
MAX_SHOWN_OCTETS: Final = 254


class SmppBackend(Sender):
    Config = SmppConfig
    config: SmppConfig

    def __init__(self, config: SmppConfig, context: BackendContext) -> None:
        super().__init__(config, context)
        self._transport = Transport(context.timeouts, pool_size=context.pool_size)
        self._references = References()
        self._urls = [f"{url.rstrip('/')}/accounts/{context.slug}/submit" for url in context.smpp_connector_urls]
        self._turns = itertools.count()
        self._asked_last: dict[int, float] = {}  # connectors that could not write, until when they are asked last
        self._headers = {"Authorization": f"Bearer {connector_key(context.callback_keys[0])}"}

    # --- send ---------------------------------------------------------------------------------------------------------

    def send(self, text: OutboundMessage) -> Accepted:
        """Hand the text to a connector. The next one is tried after one that provably wrote nothing: at most one writes."""
        messages = self._messages(text)
        body = {
            "attempt": text.attempt,
            "reference": text.reference,
            "within": max(self.context.timeouts.read - MARGIN_SECONDS, self.context.timeouts.read / 2),
            "pdus": [_encoded(message).hex() for message in messages],
        }
        response = self._handed_over(body, _described(text.text, messages), messages)
        return smpp_answers.accepted(response, parts=len(messages))

    def _handed_over(self, body: Any, described: bytes, messages: Sequence[ShortMessage]) -> HttpResponse:
        """The response of the first connector that wrote something, or may have."""
        faults: list[Unavailable] = []
        with send_gate.one_call():
            for index in self._order():
                self._note_request(self._urls[index], described, messages)
                try:
                    response = self._call(self._urls[index], body)
                except NotCalled:
                    raise
                except Unavailable as fault:
                    faults.append(fault)
                    self._asked_last[index] = time.monotonic() + ASKED_LAST_SECONDS
                else:
                    return response
        if not faults:
            raise Misconfigured("SMPP_CONNECTOR_URL names no connector")
        raise smpp_answers.most_telling(faults)

    def _order(self) -> list[int]:
        """In turn, because each may hold some of the binds; those that could not write a moment ago come last."""
        count, now, turn = len(self._urls), time.monotonic(), next(self._turns)
        in_turn = [(turn + place) % count for place in range(count)]
        return sorted(in_turn, key=lambda index: self._asked_last.get(index, 0.0) > now)

    def _call(self, url: str, body: Any) -> HttpResponse:
        """Raises `Unavailable` where nothing was written."""
        response = self._transport.call(
            "POST", url, headers=self._headers, json=body, is_answered_first=True, is_recorded=False
        )
        exchanges.note_response(response.status, {"Content-Type": "application/json"}, smpp_answers.described(response))
        fault = smpp_answers.not_written(response)
        if fault is not None:
            raise fault
        return response

    def _note_request(self, url: str, described: bytes, messages: Sequence[ShortMessage]) -> None:
        """What the carrier gets, instead of what the connector gets: that has the text in clear only for machines."""
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        exchanges.note_request(
            "submit_sm",
            f"smpp://{host}:{self.config.port}",
            {"Connector": url, "Content-Type": "application/json"},
            described,
            private=tuple(_hex(message.payload) for message in messages),
        )

    def _messages(self, text: OutboundMessage) -> list[ShortMessage]:
        """Raises `Rejected` for a text that cannot be encoded."""
        config, now = self.config, datetime.now(UTC)
        source = addresses.write(text.sender or config.from_number, config.numbers)
        destination = addresses.write(text.to, config.numbers)
        try:
            parts = split(
                text.text,
                alphabet=config.default_alphabet,
                long_text=config.long_text,
                reference=self._references.next(text.to, now=now),
            )
        except ValueError:
            raise Rejected("the text cannot be encoded", code="text_not_encodable") from None
        validity = relative_time(seconds_left(text.valid_until, now=now, shortest=1, longest=MAX_VALIDITY))
        return [_message(part, source, destination, validity) for part in parts]

    def close(self) -> None:
        self._transport.close()


def connector_key(secret_key: str) -> str:
    """The proof of workers towards a connector. It is derived, so that the secret itself is on no wire."""
    return hmac.new(secret_key.encode(), b"smpp-connector", sha256).hexdigest()


def relative_time(seconds: int | None) -> str:
    """A time from now on as SMPP writes it (`YYMMDDhhmmss000R`, section 7.1.1.2); "" for None, the carrier's own default."""
    if seconds is None:
        return ""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"0000{day:02}{hour:02}{minute:02}{second:02}000R"


def _message(part: TextPart, source: SmppAddress, destination: SmppAddress, validity: str) -> ShortMessage:
    return ShortMessage(
        source=source,
        destination=destination,
        octets=part.octets,
        data_coding=part.data_coding,
        esm_class=part.esm_class,
        registered_delivery=WITH_RECEIPT,
        validity_period=validity,
        tlvs=part.tlvs,
    )


def _encoded(message: ShortMessage) -> bytes:
    """Raises `Refused` for a name outside ASCII, the only value that may not fit."""
    try:
        return message.encode()
    except ValueError:
        raise Refused("the sender cannot be written as an SMPP address", code="sender_not_encodable") from None


def _described(text: str, messages: Sequence[ShortMessage]) -> bytes:
    """The PDUs for the account's page and `try_provider`."""
    pdus = [
        {
            "source": _address(message.source),
            "destination": _address(message.destination),
            "esm_class": f"0x{message.esm_class:02x}",
            "data_coding": message.data_coding,
            "registered_delivery": message.registered_delivery,
            "validity_period": message.validity_period,
            "short_message": _hex(message.octets),
            "tlvs": {f"0x{tag:04x}": _hex(value) for tag, value in message.tlvs.items()},
        }
        for message in messages
    ]
    return json.dumps({"text": text, "pdus": pdus}, ensure_ascii=False).encode("utf-8", "replace")


def _hex(octets: bytes) -> str:
    """The beginning, so that what is recorded is not cut within it later: what is cut is not recognised as the text."""
    return octets.hex() if len(octets) <= MAX_SHOWN_OCTETS else f"{octets[:MAX_SHOWN_OCTETS].hex()}..."


def _address(address: SmppAddress) -> str:
    return f"{address.text} (TON {int(address.ton)}, NPI {int(address.npi)})"
