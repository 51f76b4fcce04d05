"""Jasmin and Kannel, each with a carrier that speaks SMPP, as `tests/journeys/peers` starts them."""

import contextlib
import itertools
import socket
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from benchmarks import load
from benchmarks.processes import cpu_of_sessions, wait_until
from benchmarks.rounds import Measured
from tests.journeys.peers import jasmin as jasmin_process
from tests.journeys.peers import kannel as kannel_process
from tests.journeys.peers.smsc import Smsc

CONNECTIONS = 16
HIGHEST_RATE = 25_000  # requests a second: as many are prepared
BIND_SECONDS = 20.0
NO_REPLIES = "http://127.0.0.1:1/?none"


@dataclass(frozen=True)
class Peer:
    """A gateway that is bound to its carrier. `target` has the user and the text; a number is added to it."""

    url: str
    target: str
    pids: Collection[int]
    numbers: Iterator[int]


def jasmin_missing() -> str:
    """Why Jasmin cannot be measured here; "" if it can. Unlike its journey, this does not need receipts (0.11.1 sends none)."""
    if not jasmin_process.VENV:
        return "JASMIN_VENV names no virtual environment with jasmin in it"
    if not Path(jasmin_process.DAEMON).exists():
        return f"JASMIN_VENV ({jasmin_process.VENV}) has no jasmin in it"
    try:
        socket.create_connection(("127.0.0.1", jasmin_process.RABBITMQ_PORT), timeout=1).close()
    except OSError:
        return f"no RabbitMQ listens on 127.0.0.1:{jasmin_process.RABBITMQ_PORT}"
    return ""


def kannel_missing() -> str:
    return "" if kannel_process.IS_INSTALLED else "Kannel is not installed (apt-get install kannel)"


@contextlib.contextmanager
def jasmin() -> Iterator[Peer]:
    """Its CPU is that of the one process that it is started as; RabbitMQ and Redis are not counted."""
    with (
        tempfile.TemporaryDirectory(prefix="jasmin-") as folder,
        Smsc() as smsc,
        jasmin_process.Jasmin(Path(folder), smsc_port=smsc.port) as gateway,
    ):
        gateway.start(replies=NO_REPLIES)
        _wait_for_carrier(smsc)
        query = {"username": gateway.username, "password": gateway.password, "content": "Your code is 123456"}
        yield Peer(gateway.url, f"{urlsplit(gateway.url).path}?{urlencode(query)}", gateway.pids, itertools.count())


@contextlib.contextmanager
def kannel() -> Iterator[Peer]:
    with (
        tempfile.TemporaryDirectory(prefix="kannel-") as folder,
        Smsc() as smsc,
        kannel_process.Kannel(Path(folder), smsc_port=smsc.port, denied="+4477") as gateway,
    ):
        gateway.start(replies=NO_REPLIES)
        _wait_for_carrier(smsc)
        query = {
            "username": gateway.username,
            "password": gateway.password,
            "from": "15005550006",
            "text": "Your code is 123456",
        }
        yield Peer(gateway.url, f"{urlsplit(gateway.url).path}?{urlencode(query)}", gateway.pids, itertools.count())


def send(peer: Peer, *, seconds: float) -> Measured:
    """Messages a second that the gateway accepts, one a request, and its CPU for each."""
    before = cpu_of_sessions(peer.pids)
    count = round(HIGHEST_RATE * seconds)
    prepared = (
        load.request("GET", f"{peer.target}&to=1415{2_000_000 + index}")
        for index in itertools.islice(peer.numbers, count)
    )
    done = load.send(peer.url, prepared, connections=CONNECTIONS, seconds=seconds)
    return {"per_second": done.per_second, "cpu_ms": (cpu_of_sessions(peer.pids) - before) / done.requests * 1000}


def _wait_for_carrier(smsc: Smsc) -> None:
    wait_until(lambda: smsc.is_bound, seconds=BIND_SECONDS, what="the gateway is bound to its carrier")
