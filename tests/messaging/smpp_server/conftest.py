"""A server in a thread with a loop of its own, and clients of the library smpplib."""

import asyncio
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import smpplib.client
import smpplib.exceptions

from messaging.models import GatewayCredential
from messaging.smpp_server import courier
from messaging.smpp_server.server import ServerOptions, SmppServer
from providers.smpp.session import SessionLimits
from tests.factories import GatewayCredentialFactory, QueueFactory, SenderFactory

TIMEOUT = 10
SENDER = "+15005550006"


@dataclass
class RunningServer:
    server: SmppServer
    loop: asyncio.AbstractEventLoop
    stop_event: asyncio.Event
    thread: threading.Thread

    @property
    def port(self) -> int:
        return self.server.addresses[0][1]

    def stop(self) -> None:
        with suppress(RuntimeError):  # it has ended
            self.loop.call_soon_threadsafe(self.stop_event.set)
        self.thread.join(TIMEOUT)
        assert not self.thread.is_alive()

    def call(self, job: Callable[[], Any]) -> Any:
        """Await a coroutine in the server's loop."""

        async def run() -> Any:
            return await job()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(TIMEOUT)


def start(**options: Any) -> RunningServer:
    started, found = threading.Event(), {}

    async def main() -> None:
        server = SmppServer(ServerOptions("127.0.0.1", 0, **options))
        stop = asyncio.Event()
        found.update(server=server, loop=asyncio.get_running_loop(), stop_event=stop)
        await server.run(stop, ready=started.set)

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    assert started.wait(TIMEOUT)
    return RunningServer(thread=thread, **found)


@pytest.fixture
def start_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., RunningServer]]:
    """Starts a server; all are stopped at the end."""
    monkeypatch.setattr(courier, "POLL_SECONDS", 0.02)
    running: list[RunningServer] = []

    def start_one(**options: Any) -> RunningServer:
        running.append(start(**{"limits": SessionLimits(response_seconds=3.0), **options}))
        return running[-1]

    yield start_one
    for each in running:
        each.stop()


@pytest.fixture
def gateway(start_server, transactional_db) -> RunningServer:
    QueueFactory()
    SenderFactory(number=SENDER, is_default=True)
    return start_server()


@pytest.fixture
def credential(transactional_db) -> GatewayCredential:
    return GatewayCredentialFactory(system_id="shop")


class SmppClient(smpplib.client.Client):
    """Raises for no refusal of a submission, and keeps what it receives."""

    def __init__(self, port: int, *, ssl_context: ssl.SSLContext | None = None) -> None:
        super().__init__("127.0.0.1", port, timeout=TIMEOUT, allow_unknown_opt_params=True, ssl_context=ssl_context)
        self.logger.setLevel(logging.CRITICAL)
        self.received: list[Any] = []
        self.sent: list[Any] = []
        self.set_message_received_handler(self._take)
        self.set_message_sent_handler(self._note_answer)
        self.set_error_pdu_handler(lambda _pdu: None)
        self.connect()

    def _take(self, pdu: Any) -> int:
        self.received.append(pdu)
        return 0

    def _note_answer(self, pdu: Any) -> None:  # smpplib passes it by name
        self.sent.append(pdu)

    def answer_to_submit(self, **fields: Any) -> Any:
        """Submit, and return the response."""
        values = {
            "source_addr_ton": 1,
            "source_addr": SENDER,
            "dest_addr_ton": 1,
            "destination_addr": "14155550101",
            "short_message": b"Hello",
            **fields,
        }
        before = len(self.sent)
        self.send_message(**values)
        while len(self.sent) == before:
            self.read_once(auto_send_enquire_link=False)
        return self.sent[-1]

    def read_until(self, count: int) -> list[Any]:
        """Read until so many deliver_sm have come."""
        while len(self.received) < count:
            self.read_once(auto_send_enquire_link=False)
        return self.received

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.state = 0


@pytest.fixture
def connect(gateway) -> Iterator[Callable[..., SmppClient]]:
    """Opens a client to the server, bound as what is named; all are closed at the end."""
    clients: list[SmppClient] = []

    def open_one(bind: str | None = "transceiver", *, system_id: str = "shop", password: str = "secret12", port=None):
        client = SmppClient(port or gateway.port)
        clients.append(client)
        if bind:
            getattr(client, f"bind_{bind}")(system_id=system_id, password=password)
        return client

    yield open_one
    for client in clients:
        client.close()


@pytest.fixture
def refused():
    """Returns the status of the bind that a function makes."""

    def status(function: Callable[[], object]) -> int:
        with pytest.raises(smpplib.exceptions.PDUError) as error:
            function()
        return error.value.args[1]

    return status


class RawClient:
    """A socket that writes what it is told, and reads PDUs."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read_pdu(self) -> tuple[int, int, int, bytes] | None:
        """Command, status, sequence and body; None when the server has closed."""
        header = self._read(16)
        if header is None:
            return None
        length, command, status, sequence = struct.unpack(">LLLL", header)
        return command, status, sequence, self._read(length - 16) or b""

    def _read(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            with suppress(ConnectionError):
                received = self._socket.recv(size - len(data))
            if not received:
                return None
            data += received
        return data

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def raw(gateway) -> Iterator[Callable[..., RawClient]]:
    clients: list[RawClient] = []

    def open_one(port: int | None = None) -> RawClient:
        clients.append(RawClient(port or gateway.port))
        return clients[-1]

    yield open_one
    for client in clients:
        client.close()
