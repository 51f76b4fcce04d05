"""Jasmin as one process, with a configuration of its own, between the product and a carrier.

It needs RabbitMQ on 127.0.0.1:5672. JASMIN_VENV names the virtual environment in which `jasmin` is installed.
"""

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from config.run import services
from tests.environment import EmbeddedValkey
from tests.journeys.peers.daemon import Daemon

VENV = os.environ.get("JASMIN_VENV", "")
DAEMON = f"{VENV}/bin/jasmind.py"
LISTENERS = "lib/python3*/site-packages/jasmin/managers/listeners.py"
RABBITMQ_PORT = 5672
CONFIGURATION = """
[http-api]
bind = 127.0.0.1
port = {http}
long_content_max_parts = 10

[jcli]
port = {console}
authentication = False

[router]
bind = 127.0.0.1
port = {router}

[client-management]
bind = 127.0.0.1
port = {clients}

[smpp-server]
bind = 127.0.0.1
port = {smpp_server}

[smpp-server-pb]
bind = 127.0.0.1
port = {smpp_server_pb}

[amqp-broker]
spec = {spec}

[redis-client]
port = {redis.port}
password = {redis.password}

[dlr]
dlr_lookup_retry_delay = 1

[dlr-thrower]
retry_delay = 1

[deliversm-thrower]
retry_delay = 1
"""
# Lines for its console, which answers each with a prompt; it greets without one.
CONSOLE = """
group -a
gid clients
ok
user -a
uid switchboard
gid clients
username {username}
password {password}
ok
smppccm -a
cid carrier
host 127.0.0.1
port {smsc}
username made-up
password made-up
submit_throughput 0
con_fail_delay 1
ok
smppccm -1 carrier
mtrouter -a
type DefaultRoute
connector smppc(carrier)
rate 0.0
ok
httpccm -a
cid replies
url {replies}
method POST
ok
morouter -a
type DefaultRoute
connector http(replies)
ok
"""
PROMPTS = (b"jcli : ", b"> ")


class Jasmin:
    """A context manager. `start` takes the address for replies."""

    username, password = "switchboard", "made-up"  # SMPP allows a password of 8 characters

    def __init__(self, folder: Path, *, smsc_port: int) -> None:
        self._folder, self._smsc_port = folder, smsc_port
        self._http_port = services.free_port()
        self.smpp_server_port = services.free_port()
        self._valkey = EmbeddedValkey(folder)
        self._daemon: Daemon | None = None

    def __enter__(self) -> Self:
        self._valkey.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._daemon is not None:
            self._daemon.stop()
        self._valkey.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http_port}/send"

    @property
    def pids(self) -> list[int]:
        return [self._daemon.pid] if self._daemon else []

    def start(self, *, replies: str) -> None:
        """Return when it has a user, a connector to the carrier and routes."""
        [packages] = Path(VENV).glob("lib/python3*/site-packages")
        console_port = services.free_port()
        file = self._folder / "jasmin.cfg"
        file.write_text(
            CONFIGURATION.format(
                http=self._http_port,
                console=console_port,
                router=services.free_port(),
                clients=services.free_port(),
                spec=packages / "txamqp/specs/standard/amqp0-9-1.stripped.xml",
                smpp_server=self.smpp_server_port,
                smpp_server_pb=services.free_port(),
                redis=urlsplit(self._valkey.url),
            )
        )
        (self._folder / "store").mkdir()
        flags = ["--enable-dlr-lookup", "--enable-dlr-thrower"]
        if "enable-deliver-thrower" in Path(DAEMON).read_text():  # since 0.11.1 replies need it
            flags.append("--enable-deliver-thrower")
        command = [f"{VENV}/bin/python", DAEMON, "--config", str(file), *flags]
        environment = {f"{name}_PATH": str(self._folder) for name in ("CONFIG", "LOG", "RESOURCE")}
        environment["STORE_PATH"] = str(self._folder / "store")
        self._daemon = Daemon(command, self._folder / "jasmind.log", environment)
        self._daemon.wait_for_port(console_port)
        self._configure(console_port, replies)

    def _configure(self, port: int, replies: str) -> None:
        values = {"username": self.username, "password": self.password, "smsc": self._smsc_port, "replies": replies}
        with socket.create_connection(("127.0.0.1", port), timeout=10) as console:
            for line in CONSOLE.format(**values).strip().splitlines():
                console.sendall(line.encode() + b"\r\n")
                answer = _read_prompt(console)
                assert not any(word in answer for word in ("rror", "nknown", "nvalid", "ailed")), answer


def _read_prompt(console: socket.socket) -> str:
    said = b""
    while not said.endswith(PROMPTS):
        received = console.recv(4096)
        assert received, said
        said += received
    return said.decode(errors="replace")


def missing() -> str:
    """Why the journey cannot run here; "" if it can."""
    if not VENV:
        return "JASMIN_VENV names no virtual environment with jasmin in it"
    listeners = list(Path(VENV).glob(LISTENERS))
    if not listeners:
        return f"JASMIN_VENV ({VENV}) has no jasmin in it"
    if "_pdu.response" in listeners[0].read_text():
        return "this Jasmin (0.11.1) fails at every response of a carrier and sends no receipts; install 0.11.0"
    try:
        socket.create_connection(("127.0.0.1", RABBITMQ_PORT), timeout=1).close()
    except OSError:
        return f"no RabbitMQ listens on 127.0.0.1:{RABBITMQ_PORT}"
    return ""
