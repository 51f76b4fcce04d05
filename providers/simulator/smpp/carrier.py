"""The simulated SMPP carrier: it accepts or refuses messages by the magic numbers, and sends receipts and replies."""

import asyncio
import hmac
import itertools
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from providers.simulator.magic_numbers import Behaviour, MagicResponse, behaviour_of
from providers.simulator.request_log import RequestLog
from providers.simulator.smpp.receipts import ENDINGS, DeliveryQueue, receipt
from providers.simulator.smpp.settings import SmppCarrierSettings, written_id
from providers.simulator.smpp.texts import Joining, encoded, split
from providers.smpp.constants import BINDS
from providers.smpp.pdu import (
    Bind,
    CommandId,
    CommandStatus,
    MalformedPdu,
    MessageState,
    Pdu,
    QueryRequest,
    QueryResult,
    ShortMessage,
    SmppAddress,
    bind_response_body,
    message_id_body,
)
from providers.smpp.session import Session, SessionHandler, SessionLimits

CARRIER: Final = "smpp"
MAX_REMEMBERED: Final = 200_000
LIMITS: Final = SessionLimits(window=50, max_unanswered=100_000)  # the number that hangs is never answered
RECEIVING: Final = frozenset({CommandId.BIND_RECEIVER, CommandId.BIND_TRANSCEIVER})
SENDING: Final = frozenset({CommandId.BIND_TRANSMITTER, CommandId.BIND_TRANSCEIVER})
RECEIPT_ALWAYS, RECEIPT_OF_FAILURE, RECEIPT_MASK = 1, 2, 3
INTERNATIONAL, ISDN = 1, 1


@dataclass(frozen=True, slots=True)
class CarrierLogin:
    system_id: str = "sandbox"
    password: str = field(default="sandbox", repr=False)


class SmppCarrier(SessionHandler):
    """All its sessions have one login. `start` is called in the event loop in which they run; settings from any thread."""

    def __init__(
        self, login: CarrierLogin, *, request_log: RequestLog, settings: SmppCarrierSettings | None = None
    ) -> None:
        self._login = login
        self._log = request_log
        self.settings = settings or SmppCarrierSettings()
        self.deliveries = DeliveryQueue()
        self.deliveries.on_write = self._close_at_receipt
        self._joining = Joining()
        self._ids = itertools.count(random.getrandbits(40) | 1 << 40)
        self._references = itertools.count(1)
        self._states: OrderedDict[int, MessageState] = OrderedDict()
        self._failed_once: OrderedDict[tuple[str, str, bytes], None] = OrderedDict()
        self._steps: Counter[str] = Counter()
        self._sessions: set[Session] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[int, Callable[[Session, Pdu], None]] = {
            CommandId.SUBMIT_SM: self._submit,
            CommandId.QUERY_SM: self._query,
            **dict.fromkeys(BINDS, self._bind),
        }

    def start(self) -> None:
        self.deliveries.start()

    def stop(self) -> None:
        self.deliveries.stop()
        for session in list(self._sessions):
            session.close("the carrier stops")

    def new_session(self) -> Session:
        return Session(self, LIMITS)

    def counts(self) -> dict[str, Any]:
        return {
            "sessions": len(self._sessions),
            "incomplete": self._joining.incomplete,
            "receipts": self.deliveries.counts(),
        }

    def close_links(self) -> int:
        """Close all connections without unbind; return how many there were."""
        sessions = list(self._sessions)
        for session in sessions:
            session.close("the link was cut")
        return len(sessions)

    def reply(self, *, sender: str, to: str, text: str) -> None:
        """Deliver a text from a phone, in parts if it is long. Raises `ValueError` for a number that does not fit."""
        pdus = [
            ShortMessage(
                source=SmppAddress(sender.lstrip("+"), INTERNATIONAL, ISDN),
                destination=SmppAddress(to.lstrip("+"), INTERNATIONAL, ISDN),
                octets=octets,
                data_coding=coding,
                esm_class=esm_class,
            )
            for coding, esm_class, octets in encoded(text, reference=next(self._references))
        ]
        for pdu in pdus:
            pdu.encode()
        self.deliveries.schedule(pdus)

    # --- sessions -----------------------------------------------------------------------------------------------------

    def on_request(self, session: Session, pdu: Pdu) -> None:
        handler = self._handlers.get(pdu.command)
        if handler is None:
            session.respond(pdu, status=CommandStatus.RINVCMDID)
            return
        try:
            handler(session, pdu)
        except MalformedPdu as error:
            session.respond(pdu, status=error.status)

    def on_closed(self, session: Session, reason: str) -> None:
        self._sessions.discard(session)
        self.deliveries.remove_receiver(session)

    def _bind(self, session: Session, pdu: Pdu) -> None:
        if self._close_at("bind", session):
            return
        bind = Bind.decode(pdu.body)
        if session.bound is not None:
            session.respond(pdu, status=CommandStatus.RALYBND)
        elif bind.system_id != self._login.system_id:
            session.respond(pdu, status=CommandStatus.RINVSYSID)
        elif not hmac.compare_digest(bind.password.encode(), self._login.password.encode()):
            session.respond(pdu, status=CommandStatus.RINVPASWD)
        else:
            session.bound = CommandId(pdu.command)
            session.respond(pdu, body=bind_response_body(self._login.system_id))
            if self._close_at("bound", session):
                return
            self._sessions.add(session)
            if session.bound in RECEIVING:
                self.deliveries.add_receiver(session)

    def _query(self, session: Session, pdu: Pdu) -> None:
        query = QueryRequest.decode(pdu.body)
        forms = (self.settings.response_ids, self.settings.receipt_ids)
        state = next((self._states.get(number) for form in forms if (number := _number(query.message_id, form))), None)
        if state is None:
            session.respond(pdu, status=CommandStatus.RQUERYFAIL)
            return
        result = QueryResult(query.message_id, time.strftime("%y%m%d%H%M%S000+", time.gmtime()), state)
        session.respond(pdu, body=result.encode())

    def _close_at_receipt(self, session: Session) -> None:
        self._close_at("receipt", session, soon=True)

    def _close_at(self, step: str, session: Session, *, soon: bool = False) -> bool:
        """Whether the link is closed here; with `soon`, after what the caller writes next."""
        settings = self.settings
        if step != settings.close_at or not settings.close_every:
            return False
        self._steps[step] += 1
        if self._steps[step] % settings.close_every:
            return False
        if soon:
            asyncio.get_running_loop().call_soon(session.close, "the link was cut")
        else:
            session.close("the link was cut")
        return True

    # --- messages -----------------------------------------------------------------------------------------------------

    def _submit(self, session: Session, pdu: Pdu) -> None:
        if session.bound not in SENDING:
            session.respond(pdu, status=CommandStatus.RINVBNDSTS)
            return
        if self._close_at("submit", session):
            return
        message = ShortMessage.decode(pdu.body)
        if self.settings.latency_ms:
            asyncio.get_running_loop().call_later(self.settings.latency_ms / 1000, self._serve, session, pdu, message)
        else:
            self._serve(session, pdu, message)

    def _serve(self, session: Session, pdu: Pdu, message: ShortMessage) -> None:
        """Decided when the latency is over: a link that was lost meanwhile does not change that the carrier has the message."""
        behaviour = behaviour_of(f"+{message.destination.text}")
        if status := self._refusal(behaviour, message):
            self._log.refuse(
                carrier=CARRIER,
                reference="",
                to=f"+{message.destination.text}",
                status_code=status,
                reason=f"ESME_{status.name}",
            )
            session.respond(pdu, status=status)
            return
        task = asyncio.get_running_loop().create_task(self._accept(session, pdu, message, behaviour))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refusal(self, behaviour: Behaviour, message: ShortMessage) -> CommandStatus:
        if behaviour.call is MagicResponse.ALWAYS_FAIL:
            return CommandStatus.RSYSERR
        if behaviour.call is MagicResponse.FAIL_ONCE and self._is_first(message):
            return CommandStatus.RSYSERR
        chance = random.random()  # noqa: S311 (not a secret)
        if chance < self.settings.throttle_rate:
            return CommandStatus.RTHROTTLED
        if chance < self.settings.throttle_rate + self.settings.failure_rate:
            return CommandStatus.RSYSERR
        return CommandStatus.ROK

    def _is_first(self, message: ShortMessage) -> bool:
        """Whether the carrier did not get this part of a text before; a part is known by its octets, not by its header."""
        key = (message.source.text, message.destination.text, split(message)[1])
        if key in self._failed_once:
            return False
        _put(self._failed_once, key, None)
        return True

    async def _accept(self, session: Session, pdu: Pdu, message: ShortMessage, behaviour: Behaviour) -> None:
        settings, number = self.settings, next(self._ids)
        message_id = written_id(number, settings.response_ids)
        words = behaviour.receipts
        _put(self._states, number, ENDINGS[words[0]][1] if words else MessageState.ENROUTE)
        self._log_accepted(message, message_id)
        if self._close_at("accepted", session):
            self._schedule_receipts(message, number, words)
            return
        if behaviour.receipt_first:
            first = self._schedule_receipts(message, number, words[:1], at_once=True)
            if first is not None:
                await first.wait()
            words = words[1:]
        if behaviour.call is not MagicResponse.HANG:
            session.respond(pdu, body=message_id_body(message_id))
            self._close_at("answered", session)
        self._schedule_receipts(message, number, words)

    def _schedule_receipts(
        self, message: ShortMessage, number: int, words: tuple[str, ...], *, at_once: bool = False
    ) -> asyncio.Event | None:
        """An event that is set when the first one is acknowledged; None if the sender wants no receipt."""
        settings, wanted = self.settings, message.registered_delivery & RECEIPT_MASK
        pdus = [
            receipt(message, number, word, settings=settings, now=time.gmtime())
            for word in words
            if wanted == RECEIPT_ALWAYS or (wanted == RECEIPT_OF_FAILURE and word != "delivered")
        ]
        if not pdus:
            return None
        return self.deliveries.schedule(pdus, delay=0 if at_once else settings.receipt_delay_ms / 1000).done

    def _log_accepted(self, message: ShortMessage, message_id: str) -> None:
        text = self._joining.add(message, message_id, default_alphabet=self.settings.default_alphabet)
        if text is None:
            return
        self._log.accept(
            carrier=CARRIER,
            message_id=text.message_ids[0],
            reference="",
            to=f"+{text.to}",
            status_code=CommandStatus.ROK,
            more={
                "from": text.source,
                "text": text.text,
                "message_ids": list(text.message_ids),
                "data_coding": text.data_coding,
            },
        )


def _number(message_id: str, form: str) -> int:
    """The number of an id, 0 if it is none."""
    try:
        return int(message_id, 10 if "decimal" in form else 16)
    except ValueError:
        return 0


def _put(entries: OrderedDict[Any, Any], key: object, value: object) -> None:  # Any: keys and values of both uses
    entries[key] = value
    if len(entries) > MAX_REMEMBERED:
        entries.popitem(last=False)
