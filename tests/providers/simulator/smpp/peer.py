"""A client of the simulated carrier in the same event loop, and what it received."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from providers.simulator.request_log import RequestLog
from providers.simulator.smpp.carrier import CarrierLogin, SmppCarrier
from providers.simulator.smpp.settings import SmppCarrierSettings
from providers.smpp.pdu import Bind, CommandId, Pdu, ShortMessage, SmppAddress, message_id_body, read_message_id
from providers.smpp.session import NoResponse, Session, SessionHandler, SessionLimits

SECONDS = 5.0
NUMBER = "14155550123"
ENDED = (ConnectionError, NoResponse)


class Client(SessionHandler):
    """Answers `deliver_sm` with the statuses in `answers` first, then with 0."""

    def __init__(self) -> None:
        self.received: list[ShortMessage] = []
        self.answers: list[int] = []
        self.changed = asyncio.Event()
        self.closed = asyncio.Event()
        self.session: Session

    def on_request(self, session: Session, pdu: Pdu) -> None:
        status = self.answers.pop(0) if self.answers else 0
        if status == 0:
            self.received.append(ShortMessage.decode(pdu.body))
        session.respond(pdu, status=status, body=message_id_body())
        self.changed.set()

    def on_closed(self, session: Session, reason: str) -> None:
        self.closed.set()

    async def bind(
        self, command: CommandId = CommandId.BIND_TRANSCEIVER, *, system_id: str = "sandbox", password: str = "sandbox"
    ) -> int:
        pdu = await self.session.request(command, Bind(system_id, password).encode())
        self.session.bound = command
        return pdu.status

    async def submit(
        self, octets: bytes = b"hello", *, to: str = NUMBER, seconds: float | None = None, **fields: Any
    ) -> tuple[int, str]:
        message = ShortMessage(
            SmppAddress("15005550006", 1, 1), SmppAddress(to, 1, 1), octets, **{"registered_delivery": 1, **fields}
        )
        pdu = await self.session.request(CommandId.SUBMIT_SM, message.encode(), timeout=seconds, wait=SECONDS)
        return pdu.status, read_message_id(pdu.body)

    async def wait_for(self, count: int) -> list[ShortMessage]:
        async with asyncio.timeout(SECONDS):
            while len(self.received) < count:
                self.changed.clear()
                await self.changed.wait()
        return list(self.received)


@dataclass
class Carriers:
    carrier: SmppCarrier
    port: int
    log: RequestLog
    clients: list[Client] = field(default_factory=list)

    async def connect(self, *, bind: bool = True) -> Client:
        client = Client()
        _, client.session = await asyncio.get_running_loop().create_connection(
            lambda: Session(client, SessionLimits(response_seconds=SECONDS)), "127.0.0.1", self.port
        )
        self.clients.append(client)
        if bind:
            assert await client.bind() == 0
        return client

    @property
    def accepted(self) -> list[dict[str, Any]]:
        return self.log.since(0)["accepted"]

    @property
    def refused(self) -> list[dict[str, Any]]:
        return self.log.since(0)["refused"]


def run(scenario: Callable[[Carriers], Awaitable[None]], **settings: Any) -> None:
    """Run a scenario with a carrier that is quick, except for these settings."""

    async def running() -> None:
        log = RequestLog()
        quick = SmppCarrierSettings().changed({"receipt_delay_ms": 0, **settings})
        carrier = SmppCarrier(CarrierLogin(), request_log=log, settings=quick)
        server = await asyncio.get_running_loop().create_server(carrier.new_session, "127.0.0.1", 0)
        carrier.start()
        carriers = Carriers(carrier, server.sockets[0].getsockname()[1], log)
        try:
            await scenario(carriers)
        finally:
            for client in carriers.clients:
                client.session.close("the test is over")
            carrier.stop()
            server.close()
            for _ in range(3):
                await asyncio.sleep(0)

    asyncio.run(running())
