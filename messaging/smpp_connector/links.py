"""One connection to a carrier: connects, binds, and connects again when it ends."""

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.utils import timezone
from requests.certs import where as certificates  # type: ignore[attr-defined]  # it is certifi's, in this public module

from providers.models import SmppBind
from providers.smpp.constants import CommandId, CommandStatus, status_name
from providers.smpp.pdu import Bind, Pdu
from providers.smpp.session import NoResponse, NotWritten, Session, SessionHandler, SessionLimits

logger = logging.getLogger(__name__)

State = SmppBind.State

CONNECT_SECONDS: Final = 10.0
# For the answers to what is open, and for the unbind itself.
UNBIND_SECONDS: Final = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# A connection that lasts this long is followed by the first pause again.
STEADY_SECONDS: Final = 30.0
# The carrier does not accept our credentials. Each attempt may count against us, so they are rare. Some carriers answer
# `RBINDFAIL` as long as they think that an earlier connection of ours is open.
REFUSED_PAUSES: Final = {
    int(CommandStatus.RINVPASWD): 900.0,
    int(CommandStatus.RINVSYSID): 900.0,
    int(CommandStatus.RBINDFAIL): 60.0,
}
MODES: Final = {
    CommandId.BIND_TRANSCEIVER: "transceiver",
    CommandId.BIND_TRANSMITTER: "transmitter",
    CommandId.BIND_RECEIVER: "receiver",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """Where to connect, and as whom. Times are in seconds."""

    host: str
    port: int
    bind: Bind = field(repr=False)
    limits: SessionLimits
    tls: ssl.SSLContext | None = None


class _BindFailed(Exception):
    """`refused_for`: the pause in seconds if the carrier refused our credentials."""

    def __init__(self, detail: str, *, refused_for: float | None = None) -> None:
        super().__init__(detail)
        self.refused_for = refused_for


class Link(SessionHandler):
    """A connection that is kept up in one mode (`BIND_TRANSCEIVER` and so on) until `stop`.

    `receive` gets each `deliver_sm`, `late` each response that came after its request was given up. `changed` is called after
    each change of `state`.
    """

    def __init__(
        self,
        settings: LinkSettings,
        mode: CommandId,
        *,
        receive: Callable[[Session, Pdu], None],
        late: Callable[[object, Pdu], None],
        changed: Callable[["Link"], None],
    ) -> None:
        self.mode = mode
        self.state = State.CONNECTING
        self.since: datetime = timezone.now()
        self.error = ""
        self.session: Session | None = None
        self._settings = settings
        self._receive = receive
        self._late = late
        self._changed = changed
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def can_submit(self) -> bool:
        return self.state == State.BOUND and self.session is not None and self.session.is_open and self.sends

    @property
    def sends(self) -> bool:
        return self.mode != CommandId.BIND_RECEIVER

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Unbind when the window is empty, and do not connect again."""
        self._stopping.set()
        session = self.session
        if session is not None:
            try:
                await asyncio.wait_for(session.unbind(), UNBIND_SECONDS)
            except TimeoutError:
                session.close("no response to unbind")
        elif self._task is not None:  # it connects, or waits before it does
            self._task.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._set(State.UNBOUND)

    async def _run(self) -> None:
        pause, loop = FIRST_PAUSE, asyncio.get_running_loop()
        while not self._stopping.is_set():
            self._set(State.CONNECTING, self.error)
            refused_for = None
            try:
                await self._connect()
            except _BindFailed as failure:
                refused_for = failure.refused_for
                self._set(State.DOWN if refused_for is None else State.REFUSED, str(failure))
            else:
                began = loop.time()
                self._set(State.BOUND)
                await self._ended.wait()
                if not self._stopping.is_set():
                    self._set(State.DOWN, self.error)
                pause = FIRST_PAUSE if loop.time() - began > STEADY_SECONDS else pause
            seconds = refused_for or pause
            pause = min(pause * 2, LONGEST_PAUSE)
            with contextlib.suppress(TimeoutError):
                jitter = 0.5 + random.random() / 2  # noqa: S311 (not a secret)
                await asyncio.wait_for(self._stopping.wait(), seconds * jitter)

    async def _connect(self) -> None:
        """Connect and bind. Raises `_BindFailed`."""
        settings, loop = self._settings, asyncio.get_running_loop()
        self._ended.clear()
        self.session = None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, session = await loop.create_connection(
                    lambda: Session(self, settings.limits), settings.host, settings.port, ssl=settings.tls
                )
        except ssl.SSLCertVerificationError:
            raise _BindFailed("the carrier's certificate is not valid for this host") from None
        except ssl.SSLError:
            raise _BindFailed("the TLS handshake failed") from None
        except TimeoutError:
            raise _BindFailed("connecting took too long") from None
        except (OSError, UnicodeError):  # the latter for a name that has no form in DNS
            raise _BindFailed("the carrier cannot be reached") from None
        try:
            response = await session.request(self.mode, settings.bind.encode())
        except (NoResponse, NotWritten) as error:
            session.close(str(error))
            raise _BindFailed(f"no response to the bind: {error}") from None
        except asyncio.CancelledError:
            session.close("the bind is not wanted any more")
            raise
        if response.status != CommandStatus.ROK:
            session.close("the bind was refused")
            detail = f"the carrier refused the bind as {MODES[self.mode]}: {status_name(response.status)}"
            raise _BindFailed(detail, refused_for=REFUSED_PAUSES.get(response.status))
        session.bound = self.mode
        self.session = session
        if not session.is_open:  # it closed after its response
            self.on_closed(session, "the carrier closed the connection after the bind")

    def _set(self, state: SmppBind.State, error: str = "") -> None:
        if (state, error) != (self.state, self.error):
            if state != self.state:
                self.since = timezone.now()
            self.state, self.error = state, error
            self._changed(self)

    # --- SessionHandler -----------------------------------------------------------------------------------------------

    def on_request(self, session: Session, pdu: Pdu) -> None:
        if pdu.command == CommandId.DELIVER_SM:  # the first one may come together with the response to the bind
            self._receive(session, pdu)
        else:
            session.respond(pdu, status=CommandStatus.RINVCMDID)

    def on_late_response(self, session: Session, context: object, pdu: Pdu) -> None:
        if context is not None:
            self._late(context, pdu)

    def on_closed(self, session: Session, reason: str) -> None:
        if session is self.session:
            self.error = reason
            self.session = None
            self._ended.set()


def tls_context(*, ca_file: str | None, certificate: tuple[str, str] | None) -> ssl.SSLContext:
    """Checks the carrier's certificate and host name. `certificate` is ours: the files of it and of its key.

    Raises `OSError` or `ssl.SSLError` for files that cannot be used.
    """
    context = ssl.create_default_context(cafile=ca_file or certificates())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context
