"""One SMPP connection, in either role: framing, window, timers, keep-alive and unbind. It runs in one event loop.

The session answers `enquire_link`, `unbind` and commands that it does not know; all other requests go to its handler, which has
to answer each with `respond`. A request that was not answered says whether it was written: `NotWritten` is proof that the peer
never got it, `NoResponse` that it may have.
"""

import asyncio
import itertools
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from providers.smpp.constants import RESPONSE, CommandId, CommandStatus
from providers.smpp.pdu import HEADER, MAX_PDU_BYTES, Pdu, encode
from providers.smpp.window import RequestWindow

logger = logging.getLogger(__name__)

MAX_SEQUENCE: Final = 0x7FFF_FFFF
# Requests that were given up and may still be answered.
MAX_LATE: Final = 1_000
# After this many seconds a connection is closed with what it still has to send: the peer may have stopped reading.
CLOSING_SECONDS: Final = 5.0
# Octets that are kept for a peer that does not read. With more, nothing of it is read either.
MAX_UNTAKEN: Final = 256 * 1024
_KNOWN: Final = frozenset(int(command) for command in CommandId)
_WITHOUT_RESPONSE: Final = frozenset({CommandId.OUTBIND, CommandId.ALERT_NOTIFICATION})


class NotWritten(Exception):
    """The request was not written: provably, the peer never got it."""


class NoResponse(Exception):
    """The request was written and not answered: the peer may have got it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """`window`: unanswered requests of ours; `max_unanswered`: of the peer, before reading pauses. Times in seconds.

    `enquire_link_seconds`: silence of the peer before it is asked whether it is there. `bind_seconds`: how long a connection
    may stay without a bind, and `before_bind` how many PDUs it may send until then; None is no limit.
    """

    window: int = 10
    max_unanswered: int = 100
    enquire_link_seconds: float = 30.0
    response_seconds: float = 8.0
    bind_seconds: float = 10.0
    before_bind: int | None = None


class SessionHandler:
    """What a session's owner does. All methods run in the event loop and must not block."""

    def on_request(self, session: "Session", pdu: Pdu) -> None:
        """A request of the peer. It has to be answered with `session.respond`, now or later."""
        session.respond(pdu, status=CommandStatus.RINVCMDID)

    def on_late_response(self, session: "Session", context: object, pdu: Pdu) -> None:
        """A response arrived after its request was given up. `context` is what `Session.request` got."""

    def on_closed(self, session: "Session", reason: str) -> None:
        """The connection has ended. Called once, also if it ends before a bind."""


@dataclass(slots=True)
class _Pending:
    response: "asyncio.Future[Pdu]"
    timer: asyncio.TimerHandle
    context: object = field(default=None, repr=False)
    in_window: bool = True


class Session(asyncio.Protocol):
    """The protocol of one connection. `bound` is the command of the bind that both sides agreed on; its owner sets it."""

    def __init__(self, handler: SessionHandler, limits: SessionLimits) -> None:
        self.bound: CommandId | None = None
        self.peer = ""
        self._handler = handler
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._sequences = itertools.cycle(range(1, MAX_SEQUENCE + 1))
        self._pending: dict[int, _Pending] = {}
        self._late: OrderedDict[int, object] = OrderedDict()
        self._window = RequestWindow(limits.window, can_write=self._can_write)
        self._unanswered = 0
        self._untaken = 0
        self._before_bind = 0
        self._is_writable = True
        self._is_unbinding = False
        self._is_peer_unbinding = False
        self._is_reading = True
        self._is_closed = False
        self._reason = ""
        self._heard_at = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self._quiet: list[asyncio.Future[None]] = []

    # --- state --------------------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Requests of ours in the window."""
        return self._window.used

    @property
    def is_open(self) -> bool:
        """Requests can be made."""
        return not self._is_closing() and not self._is_closed and not self._is_unbinding

    @property
    def has_room(self) -> bool:
        """A request would be written at once."""
        return self._window.has_room

    def _can_write(self) -> bool:
        return self.is_open and self._is_writable

    # --- requests of ours ---------------------------------------------------------------------------------------------

    async def request(
        self,
        command: CommandId,
        body: bytes = b"",
        *,
        timeout: float | None = None,  # noqa: ASYNC109 (of the response alone, counted from the write)
        wait: float = 0.0,
        context: object = None,
        before_write: Callable[[], Awaitable[None]] | None = None,
    ) -> Pdu:
        """Write a request and return its response, whatever its status.

        Waits at most `wait` seconds for a place in the window; `before_write` is awaited immediately before the PDU is written.
        Raises `NotWritten` or `NoResponse`. A request that is canceled stays in the window until it is answered or given up.
        """
        if not await self._window.acquire(wait):
            raise NotWritten("the window is full" if self.is_open else "the session is closed")
        if not self._can_write():
            self._window.release()
            raise NotWritten("the session is closed")
        if before_write is not None:
            await self._announce(before_write)
        seconds = self._limits.response_seconds if timeout is None else timeout
        return await self._write_request(command, body, seconds, context, in_window=True)

    async def _announce(self, before_write: Callable[[], Awaitable[None]]) -> None:
        try:
            await before_write()
        except BaseException:
            self._window.release()
            raise
        if not self._can_write():
            self._window.release()
            raise NotWritten("the session is closed")

    async def unbind(self) -> None:
        """Stop new requests, let the open ones of both sides be answered, unbind, and close."""
        self._stop_requests()
        if self._is_closed:
            return
        await self._wait_until_quiet()
        if not self._is_closed:
            try:
                seconds = self._limits.response_seconds
                await self._write_request(CommandId.UNBIND, b"", seconds, None, in_window=False)
            except NoResponse:
                logger.info("no response to unbind")
            await self._wait_until_quiet()
        self.close("unbound")

    def close(self, reason: str) -> None:
        """Close the connection after what was written has been sent."""
        self._reason = self._reason or reason
        self._stop_requests()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._after(CLOSING_SECONDS, self._transport.abort)

    async def _write_request(
        self, command: CommandId, body: bytes, seconds: float, context: object, *, in_window: bool
    ) -> Pdu:
        sequence = next(self._sequences)
        response: asyncio.Future[Pdu] = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._give_up, sequence)
        self._pending[sequence] = _Pending(response, timer, context, in_window)
        self._write(encode(command, body, sequence=sequence))
        return await response

    def _give_up(self, sequence: int) -> None:
        pending = self._remove(sequence)
        self._late[sequence] = pending.context
        if len(self._late) > MAX_LATE:
            self._late.popitem(last=False)
        if not pending.response.done():
            pending.response.set_exception(NoResponse("no response in time"))

    def _remove(self, sequence: int) -> _Pending:
        pending = self._pending.pop(sequence)
        pending.timer.cancel()
        if pending.in_window:
            self._window.release()
        self._check_quiet()
        return pending

    # --- requests of the peer -----------------------------------------------------------------------------------------

    def respond(self, request: Pdu, *, status: int = 0, body: bytes = b"") -> None:
        """Answer a request that the handler got. Does nothing if the connection has ended."""
        self._unanswered -= 1
        self._write(encode(request.command | RESPONSE, body, status=status, sequence=request.sequence))
        self._check_reading()
        self._check_quiet()

    def _check_reading(self) -> None:
        """Read no faster than the handler answers, and than the peer takes the answers."""
        if self._transport is None:
            return
        is_behind = self._unanswered >= self._limits.max_unanswered or self._untaken > MAX_UNTAKEN
        if self._is_reading and is_behind:
            self._is_reading = False
            self._transport.pause_reading()
        elif not self._is_reading and not is_behind and self._unanswered <= self._limits.max_unanswered // 2:
            self._is_reading = True
            self._transport.resume_reading()

    def _received(self, pdu: Pdu) -> None:
        if self._is_too_much_before_bind():
            self.close("too many PDUs before a bind")
        elif pdu.is_response:
            self._received_response(pdu)
        elif pdu.command == CommandId.ENQUIRE_LINK:
            self._write(encode(CommandId.ENQUIRE_LINK | RESPONSE, sequence=pdu.sequence))
        elif pdu.command == CommandId.UNBIND:
            if not self._is_peer_unbinding:
                self._is_peer_unbinding = True
                self._loop.create_task(self._serve_unbind(pdu)).add_done_callback(_log_failure)
        elif pdu.command in _WITHOUT_RESPONSE:
            pass
        elif pdu.command not in _KNOWN:
            self._write(encode(CommandId.GENERIC_NACK, status=CommandStatus.RINVCMDID, sequence=pdu.sequence))
        else:
            self._unanswered += 1
            self._check_reading()
            self._handler.on_request(self, pdu)

    def _is_too_much_before_bind(self) -> bool:
        if self.bound is not None or self._limits.before_bind is None:
            return False
        self._before_bind += 1
        return self._before_bind > self._limits.before_bind

    def _received_response(self, pdu: Pdu) -> None:
        if (
            pdu.command == CommandId.GENERIC_NACK and pdu.status == CommandStatus.ROK
        ):  # it accepts nothing, whatever it says
            pdu = replace(pdu, status=int(CommandStatus.RUNKNOWNERR))
        if pdu.sequence in self._pending:
            pending = self._remove(pdu.sequence)
            if not pending.response.done():
                pending.response.set_result(pdu)
            elif pending.in_window:
                self._handler.on_late_response(self, pending.context, pdu)
        elif pdu.sequence in self._late:
            self._handler.on_late_response(self, self._late.pop(pdu.sequence), pdu)
        else:
            logger.info("a response to nothing (command 0x%08x)", pdu.command)

    async def _serve_unbind(self, pdu: Pdu) -> None:
        self._stop_requests()
        await self._wait_until_quiet()
        self._write(encode(CommandId.UNBIND | RESPONSE, sequence=pdu.sequence))
        self.close("the peer has unbound")

    # --- the connection -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (asyncio's own signature is wider than what it gives)
        self._transport = transport
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if isinstance(address, tuple) else ""
        self._heard_at = self._loop.time()
        self._after(self._limits.bind_seconds, self._check_bound)
        self._after(self._limits.enquire_link_seconds, self._check_link)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= HEADER.size and not self._is_closing():
            length, command, status, sequence = HEADER.unpack_from(self._buffer, at)
            if not HEADER.size <= length <= MAX_PDU_BYTES:
                self._write(encode(CommandId.GENERIC_NACK, status=CommandStatus.RINVCMDLEN, sequence=sequence))
                self.close("a PDU has an impossible length")
                break
            if len(self._buffer) - at < length:
                break
            body = bytes(self._buffer[at + HEADER.size : at + length])
            at += length
            self._received(Pdu(command, status, sequence, body))
        del self._buffer[:at]
        if self._is_closing():
            self._buffer.clear()

    def eof_received(self) -> None:
        """The peer has closed its side. It need not read what is still to be sent, so this is no longer a link."""
        self.close("the peer closed the connection")

    def connection_lost(self, error: Exception | None) -> None:
        self._is_closed = True
        self._reason = self._reason or ("the connection broke" if error else "the peer closed the connection")
        for timer in self._timers:
            timer.cancel()
        for sequence in list(self._pending):
            pending = self._remove(sequence)
            if not pending.response.done():
                pending.response.set_exception(NoResponse(self._reason))
        self._window.dismiss()
        for quiet in self._quiet:
            if not quiet.done():
                quiet.set_result(None)
        self._handler.on_closed(self, self._reason)

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        self._untaken = 0
        self._check_reading()
        self._window.admit()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            if not self._is_writable:
                self._untaken += len(data)
                self._check_reading()

    def _is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _stop_requests(self) -> None:
        self._is_unbinding = True
        self._window.dismiss()

    # --- timers -------------------------------------------------------------------------------------------------------

    def _after(self, seconds: float, check: Callable[[], None]) -> None:
        self._timers = [timer for timer in self._timers if timer.when() > self._loop.time() and not timer.cancelled()]
        self._timers.append(self._loop.call_later(seconds, check))

    def _check_bound(self) -> None:
        if self.bound is None:
            self.close("no bind in time")

    def _check_link(self) -> None:
        """Ask the peer whether it is there when it has been silent for long."""
        if self._is_closing():
            return
        if self._is_deaf():  # the handler has to catch up first
            self._after(self._limits.enquire_link_seconds, self._check_link)
            return
        silent = self._loop.time() - self._heard_at
        if silent < self._limits.enquire_link_seconds:
            self._after(self._limits.enquire_link_seconds - silent, self._check_link)
            return
        self._loop.create_task(self._enquire_link()).add_done_callback(_log_failure)

    async def _enquire_link(self) -> None:
        seconds = self._limits.response_seconds
        try:
            await self._write_request(CommandId.ENQUIRE_LINK, b"", seconds, None, in_window=False)
        except NoResponse:
            if not self._is_deaf():
                self.close("no response to enquire_link")
                return
        self._after(self._limits.enquire_link_seconds, self._check_link)

    def _is_deaf(self) -> bool:
        """The peer may speak, but is not read, because too many of its requests are unanswered."""
        return not self._is_reading and self._untaken <= MAX_UNTAKEN

    async def _wait_until_quiet(self) -> None:
        """Wait until no request of either side is open, at most as long as a response may take."""
        if self._is_quiet() or self._is_closed:
            return
        quiet: asyncio.Future[None] = self._loop.create_future()
        self._quiet.append(quiet)
        try:
            await asyncio.wait_for(quiet, self._limits.response_seconds)
        except TimeoutError:
            logger.info("requests are still open at unbind")
        finally:
            self._quiet.remove(quiet)

    def _is_quiet(self) -> bool:
        return self._window.used == 0 and self._unanswered == 0

    def _check_quiet(self) -> None:
        if self._quiet and self._is_quiet():
            for quiet in self._quiet:
                if not quiet.done():
                    quiet.set_result(None)


def _log_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a session's task failed with %s", type(error).__name__)
