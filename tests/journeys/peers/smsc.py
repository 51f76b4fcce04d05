"""A carrier that speaks SMPP 3.4 to the gateway under test: it records texts, and sends receipts and replies."""

import contextlib
import itertools
import socket
import socketserver
import struct
import threading
import time
from dataclasses import dataclass
from typing import Self

from providers import gsm

BIND_TRANSCEIVER, SUBMIT_SM, DELIVER_SM, UNBIND, ENQUIRE_LINK = 0x09, 0x04, 0x05, 0x06, 0x15
RESPONSE, OK, INVALID_DESTINATION = 0x80000000, 0, 0x0B
HEADER_INDICATOR, IS_RECEIPT = 0x40, 0x04
RECEIPTED_MESSAGE_ID, MESSAGE_STATE = 0x001E, 0x0427
STATES = {"DELIVRD": 2, "UNDELIV": 5}
INTERNATIONAL, ISDN = 1, 1


@dataclass(frozen=True)
class Submitted:
    """A text, or a part of one, as it arrived."""

    sender: str
    to: str
    esm_class: int
    validity: str
    wants_receipt: bool
    coding: int
    octets: bytes

    @property
    def place(self) -> tuple[int, int]:
        """The number of this part and of all parts, from the header of a joined text."""
        return (self.octets[5], self.octets[4]) if self.esm_class & HEADER_INDICATOR else (1, 1)

    @property
    def content(self) -> bytes:
        return self.octets[6:] if self.esm_class & HEADER_INDICATOR else self.octets

    @property
    def text(self) -> str:
        return gsm.decode(self.content) if self.coding == 0 else self.content.decode("utf-16-be")

    @classmethod
    def read(cls, body: bytes) -> Self:
        fields = _Fields(body)
        fields.text()
        fields.octets(2)
        sender = fields.text()
        fields.octets(2)
        to, esm_class = fields.text(), fields.octets(3)[0]
        fields.text()
        validity = fields.text()
        receipt, _, coding, _, length = fields.octets(5)
        return cls(sender, to, esm_class, validity, bool(receipt & 1), coding, fields.octets(length))


class _Fields:
    def __init__(self, body: bytes) -> None:
        self._rest = body

    def text(self) -> str:
        found, _, self._rest = self._rest.partition(b"\0")
        return found.decode("ascii")

    def octets(self, count: int) -> bytes:
        found, self._rest = self._rest[:count], self._rest[count:]
        return found


class Smsc:
    """A context manager. Numbers are digits without `+`.

    A text to a number in `refused` is refused; for one to a number in `undeliverable` the receipt says so.
    """

    def __init__(self) -> None:
        self.submitted: list[Submitted] = []
        self.refused: set[str] = set()
        self.undeliverable: set[str] = set()
        self.confirmed: list[int] = []
        self._ids, self._numbers = itertools.count(0xA1B2C3), itertools.count(1)
        self._lock = threading.Lock()
        self._bound: socket.socket | None = None
        smsc = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    smsc._serve(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads, self._server.block_on_close = True, False
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def is_bound(self) -> bool:
        return self._bound is not None

    def sent_to(self, number: str) -> list[Submitted]:
        return sorted((each for each in self.submitted if each.to == number), key=lambda each: each.place)

    def _serve(self, connection: socket.socket) -> None:
        while header := connection.recv(16, socket.MSG_WAITALL):
            length, command, status, sequence = struct.unpack(">IIII", header)
            body = connection.recv(length - 16, socket.MSG_WAITALL) if length > 16 else b""
            if command == SUBMIT_SM:
                self._submit(connection, sequence, Submitted.read(body))
            elif command == BIND_TRANSCEIVER:
                self._write(connection, command | RESPONSE, sequence, b"smsc\0")
                self._bound = connection
            elif command in {ENQUIRE_LINK, UNBIND}:
                self._write(connection, command | RESPONSE, sequence)
            elif command == DELIVER_SM | RESPONSE:
                self.confirmed.append(status)

    def _submit(self, connection: socket.socket, sequence: int, text: Submitted) -> None:
        if text.to in self.refused:
            self._write(connection, SUBMIT_SM | RESPONSE, sequence, status=INVALID_DESTINATION)
            return
        message_id = f"{next(self._ids):x}"
        self.submitted.append(text)
        self._write(connection, SUBMIT_SM | RESPONSE, sequence, message_id.encode() + b"\0")
        if text.wants_receipt:
            self._receipt(text, message_id, "UNDELIV" if text.to in self.undeliverable else "DELIVRD")

    def _receipt(self, text: Submitted, message_id: str, state: str) -> None:
        when = time.strftime("%y%m%d%H%M")
        content = f"id:{message_id} sub:001 dlvrd:001 submit date:{when} done date:{when} stat:{state} err:000 text:"
        octets = message_id.encode() + b"\0"
        parameters = struct.pack(">HH", RECEIPTED_MESSAGE_ID, len(octets)) + octets
        parameters += struct.pack(">HHB", MESSAGE_STATE, 1, STATES[state])
        self.deliver(text.to, text.sender, content.encode(), esm_class=IS_RECEIPT, parameters=parameters)

    def deliver(
        self, sender: str, to: str, octets: bytes, *, coding: int = 0, esm_class: int = 0, parameters: bytes = b""
    ) -> None:
        """A text from a phone; for one with the header of a part, `esm_class` is `HEADER_INDICATOR`."""
        assert self._bound is not None
        kind = bytes([INTERNATIONAL, ISDN])
        body = b"\0" + kind + sender.encode() + b"\0" + kind + to.encode() + b"\0" + bytes([esm_class, 0, 0])
        body += b"\0\0" + bytes([0, 0, coding, 0, len(octets)]) + octets + parameters
        self._write(self._bound, DELIVER_SM, next(self._numbers), body)

    def _write(
        self, connection: socket.socket, command: int, sequence: int, body: bytes = b"", *, status: int = OK
    ) -> None:
        with self._lock:
            connection.sendall(struct.pack(">IIII", 16 + len(body), command, status, sequence) + body)
