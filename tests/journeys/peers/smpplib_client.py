"""A client on smpplib. The library is not thread-safe, so everything happens in the thread of the test."""

import time
import warnings
from dataclasses import dataclass
from typing import Any, Self

import smpplib.client
import smpplib.consts
import smpplib.gsm

ANSWER_SECONDS = 120.0


@dataclass(frozen=True)
class Delivered:
    """A `deliver_sm` as smpplib reads it."""

    text: bytes
    message_id: str
    state: int | None
    source: str


class SmpplibClient:
    """A context manager: a bound transceiver."""

    def __init__(self, port: int, *, system_id: str, password: str) -> None:
        self._login = {"system_id": system_id, "password": password}
        self.client = smpplib.client.Client("127.0.0.1", port, timeout=10, allow_unknown_opt_params=True)
        self.answers: list[tuple[int, str]] = []
        self.delivered: list[Delivered] = []
        self.client.set_message_sent_handler(self._note_answer)
        self.client.set_message_received_handler(self._note_delivery)
        self.client.set_error_pdu_handler(lambda _pdu: None)

    def __enter__(self) -> Self:
        self.client.connect()
        self.client.bind_transceiver(**self._login)
        return self

    def __exit__(self, *_: object) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.client.unbind()
            self.client.disconnect()

    def send(self, to: str, text: str, *, source: str = "") -> list[tuple[int, str]]:
        """Submit a text, in parts if it is long; the status and id of each response."""
        parts, coding, features = smpplib.gsm.make_parts(text)
        first = len(self.answers)
        for part in parts:
            self.client.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_INTL,
                source_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
                source_addr=source,
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
                dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
                destination_addr=to.lstrip("+"),
                short_message=part,
                data_coding=coding,
                esm_class=features,
                registered_delivery=True,
            )
        self._poll_until(lambda: len(self.answers) >= first + len(parts))
        return self.answers[first:]

    def wait_for_delivered(self, count: int) -> list[Delivered]:
        self._poll_until(lambda: len(self.delivered) >= count)
        return list(self.delivered)

    def _poll_until(self, condition: Any) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        while not condition():
            assert time.monotonic() < deadline, (self.answers, self.delivered)
            self.client.poll()
            time.sleep(0.02)

    def _note_answer(self, pdu: Any, **_: Any) -> None:
        message_id = pdu.message_id.decode() if pdu.message_id else ""
        self.answers.append((pdu.status, message_id))

    def _note_delivery(self, pdu: Any, **_: Any) -> int:
        message_id = pdu.receipted_message_id
        self.delivered.append(
            Delivered(
                pdu.short_message or b"",
                message_id.decode() if isinstance(message_id, bytes) else message_id or "",
                pdu.message_state,
                pdu.source_addr.decode() if isinstance(pdu.source_addr, bytes) else pdu.source_addr,
            )
        )
        return smpplib.consts.SMPP_ESME_ROK
