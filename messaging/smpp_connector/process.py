"""Runs the connector and its inner address in one event loop, until SIGTERM or SIGINT."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence

import uvicorn

from messaging.smpp_connector.connector import Connector
from messaging.smpp_connector.http_api import HttpApi

# Workers keep their connections open between texts.
KEEP_ALIVE_SECONDS = 75
# A response may take as long as the carrier's and the wait for the window.
STOP_SECONDS = 15


class InnerServer(uvicorn.Server):
    """Leaves the signals to `serve`: the binds are ended after the last response."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(*, host: str, port: int, secret_keys: Sequence[str]) -> None:
    """Serve until a signal: first no new texts, then the binds are ended, then the leases given back.

    Raises what the connector raises, so that a process without binds is not taken for one that works.
    """
    connector = Connector()
    # uvicorn writes the headers of a response at once, in the same call: decision 43 rests on it.
    config = uvicorn.Config(
        HttpApi(connector, secret_keys=secret_keys),
        host=host,
        port=port,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = InnerServer(config)

    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    binds = asyncio.create_task(connector.run())
    binds.add_done_callback(lambda _: stop())
    try:
        await server.serve()
    finally:
        connector.stop()
        await binds
