"""The carrier's `deliver_sm`: receipts and replies, kept until they are acknowledged with status 0."""

import asyncio
import itertools
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from providers.simulator.smpp.settings import SmppCarrierSettings, written_id
from providers.smpp.constants import DELIVERY_RECEIPT, MessageState, Tag
from providers.smpp.pdu import CommandId, CommandStatus, ShortMessage
from providers.smpp.session import NoResponse, NotWritten, Session

SENDERS: Final = 16
WAIT_FOR_WINDOW: Final = 5.0
RETRY_DELAYS: Final[Sequence[float]] = (0.2, 0.5, 1, 2, 4, 8, 16, 30)
BETWEEN_RECEIPTS: Final = 0.1
MOBILE_NETWORK, UNKNOWN_SUBSCRIBER = 3, 1
"""Of a `network_error_code`: GSM, and the error of its MAP."""

ENDINGS: Final = {
    "delivered": ("DELIVRD", MessageState.DELIVERED, 0),
    "failed": ("UNDELIV", MessageState.UNDELIVERABLE, 0),
    "invalid": ("UNDELIV", MessageState.UNDELIVERABLE, UNKNOWN_SUBSCRIBER),
}


def receipt(
    message: ShortMessage, number: int, word: str, *, settings: SmppCarrierSettings, now: time.struct_time
) -> ShortMessage:
    """The receipt for a submitted message. `number` is its id, `word` a status of the magic numbers."""
    status, state, error = ENDINGS[word]
    message_id = written_id(number, settings.receipt_ids)
    text = ""
    tlvs: dict[int, bytes] = {}
    if settings.receipt_form != "tlvs":
        when = time.strftime("%y%m%d%H%M", now)
        done = int(state == MessageState.DELIVERED)
        text = f"id:{message_id} sub:001 dlvrd:00{done} submit date:{when} done date:{when} stat:{status} err:{error:03} text:"
    if settings.receipt_form != "text":
        tlvs = {Tag.RECEIPTED_MESSAGE_ID: message_id.encode() + b"\0", Tag.MESSAGE_STATE: bytes([state])}
        if error:
            tlvs[Tag.NETWORK_ERROR_CODE] = struct.pack(">BH", MOBILE_NETWORK, error)
    return ShortMessage(
        source=message.destination,
        destination=message.source,
        octets=text.encode(),
        esm_class=DELIVERY_RECEIPT,
        tlvs=tlvs,
    )


@dataclass(eq=False)
class Delivery:
    """The PDUs to deliver one after the other, each when the one before was acknowledged."""

    pdus: list[ShortMessage]
    tries: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)


class DeliveryQueue:
    """Sends what is due to any bound receiver, and counts: `posted`, `refused` (and sent again), `pending`."""

    def __init__(self) -> None:
        self._due: asyncio.Queue[Delivery] = asyncio.Queue()
        self._receivers: list[Session] = []
        self._some_receiver = asyncio.Event()
        self._turns = itertools.count()
        self._senders: list[asyncio.Task[None]] = []
        self._counts = {"posted": 0, "refused": 0, "pending": 0}
        self.on_write: Callable[[Session], None] = _nothing

    def start(self) -> None:
        self._senders = [asyncio.create_task(self._send_forever()) for _ in range(SENDERS)]

    def stop(self) -> None:
        for sender in self._senders:
            sender.cancel()

    def counts(self) -> dict[str, int]:
        return dict(self._counts)

    def add_receiver(self, session: Session) -> None:
        self._receivers.append(session)
        self._some_receiver.set()

    def remove_receiver(self, session: Session) -> None:
        if session in self._receivers:
            self._receivers.remove(session)
        if not self._receivers:
            self._some_receiver.clear()

    def schedule(self, pdus: Sequence[ShortMessage], *, delay: float = 0.0) -> Delivery:
        delivery = Delivery(list(pdus))
        if delivery.pdus:
            self._counts["pending"] += 1
            self._later(delivery, delay)
        return delivery

    def _later(self, delivery: Delivery, delay: float) -> None:
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, self._due.put_nowait, delivery)
        else:
            self._due.put_nowait(delivery)

    async def _send_forever(self) -> None:
        while True:
            await self._send(await self._due.get())

    async def _send(self, delivery: Delivery) -> None:
        await self._some_receiver.wait()
        session = self._receivers[next(self._turns) % len(self._receivers)]
        body = delivery.pdus[0].encode()

        async def before_write() -> None:
            self.on_write(session)

        try:
            response = await session.request(
                CommandId.DELIVER_SM, body, wait=WAIT_FOR_WINDOW, before_write=before_write
            )
            status = response.status
        except (NotWritten, NoResponse):
            status = CommandStatus.RSYSERR
        if status != CommandStatus.ROK:
            self._counts["refused"] += 1
            self._later(delivery, RETRY_DELAYS[min(delivery.tries, len(RETRY_DELAYS) - 1)])
            delivery.tries += 1
            return
        del delivery.pdus[0]
        self._counts["posted"] += 1
        delivery.tries = 0
        delivery.done.set()
        if delivery.pdus:
            self._later(delivery, BETWEEN_RECEIPTS)
        else:
            self._counts["pending"] -= 1


def _nothing(_session: Session) -> None:
    """What happens by default when a PDU is written."""
