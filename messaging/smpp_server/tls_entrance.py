"""Connections to the TLS port until their handshake is done, so that they can be counted and refused before it.

asyncio's own listener with TLS shows a connection only after the handshake: a stranger could open any number and say nothing.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable


class TlsEntrance(asyncio.Protocol):
    """Makes the handshake within `seconds`, then hands the connection to the protocol that `connection` returns.

    `admit` says whether it may begin, by the peer's address; `left` is called when it has ended. That protocol may get data
    before its `connection_made`.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        seconds: float,
        connection: Callable[[], asyncio.Protocol],
        admit: Callable[["TlsEntrance"], bool],
        left: Callable[["TlsEntrance"], None],
    ) -> None:
        self.peer = ""
        self._context = context
        self._seconds = seconds
        self._connection = connection
        self._admit = admit
        self._left = left
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (asyncio's own signature is wider than what it gives)
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if isinstance(address, tuple) else ""
        if not self._admit(self):
            transport.abort()
            return
        transport.pause_reading()  # the handshake's first octets are for `start_tls`
        self._task = asyncio.get_running_loop().create_task(self._enter(transport))

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _enter(self, transport: asyncio.Transport) -> None:
        protocol, loop = self._connection(), asyncio.get_running_loop()
        secured: asyncio.Transport | None = None
        try:
            with contextlib.suppress(OSError):  # also of TLS, and a handshake that takes too long
                secured = await loop.start_tls(
                    transport, protocol, self._context, server_side=True, ssl_handshake_timeout=self._seconds
                )
        finally:
            self._left(self)
        if secured is None or secured.is_closing():
            transport.abort()
        else:
            protocol.connection_made(secured)
