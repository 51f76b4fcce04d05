"""The SMPP carrier in a thread of its own, with an event loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from providers.simulator.smpp.carrier import SmppCarrier

STOP_SECONDS = 5.0


class SmppCarrierServer:
    """Runs as soon as it is made. Raises `OSError` for an address that cannot be listened on."""

    def __init__(self, address: tuple[str, int], carrier: SmppCarrier) -> None:
        self.carrier = carrier
        self._loop = asyncio.new_event_loop()
        try:
            self._server = self._loop.run_until_complete(
                self._loop.create_server(carrier.new_session, *address, backlog=256)
            )
        except BaseException:
            self._loop.close()
            raise
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., Any], **arguments: Any) -> Any:
        """The result of a function of the carrier, called in its event loop; its exceptions are raised here."""

        async def called() -> Any:
            return function(**arguments)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self.carrier.start)
        self._loop.run_forever()
        self.carrier.stop()
        self._server.close()
        self._loop.run_until_complete(_finish())
        self._loop.close()


async def _finish() -> None:
    """Let connections close and canceled tasks end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)
