"""Debian's Kannel as two processes, with a configuration of its own, between the product and a carrier."""

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from config.run import services
from tests.journeys.peers.daemon import Daemon

BEARERBOX, SMSBOX = (shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("bearerbox", "smsbox"))
IS_INSTALLED = bool(BEARERBOX and SMSBOX)
CONFIGURATION = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = made-up
smsbox-port = {box}
smsbox-interface = 127.0.0.1
box-deny-ip = "*.*.*.*"
box-allow-ip = "127.0.0.1"
store-file = {folder}/kannel.store

{connection}

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {box}
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
http-request-retry = 10
http-queue-delay = 1

group = sendsms-user
username = {username}
password = {password}
max-messages = 10
concatenation = true
black-list-regex = "^\\{denied}"

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "{replies}&id=%I&from=%p&to=%P&message=%b&coding=%c"
"""

SMPP_CONNECTION = """
group = smsc
smsc = smpp
smsc-id = carrier
host = 127.0.0.1
port = {smsc}
transceiver-mode = true
smsc-username = {system_id}
smsc-password = {smsc_password}
system-type = ""
address-range = ""
reconnect-delay = 1
"""
# To another Kannel: it appends the message's id and the mask of the reports, as parameters.
HTTP_CONNECTION = """
group = smsc
smsc = http
smsc-id = carrier
system-type = kannel
send-url = {send_url}
smsc-username = {system_id}
smsc-password = {smsc_password}
port = {receipts}
dlr-url = "http://127.0.0.1:{receipts}/sms?username={system_id}&password={smsc_password}&to=%p&from=%P&text=%A"
"""


class Kannel:
    """A context manager. `start` takes the address for replies.

    It sends to a carrier that speaks SMPP at `smsc_port`, or with `send_url` to one that has the interface of Kannel.
    """

    username, password = "switchboard", "made-up-password"

    def __init__(
        self,
        folder: Path,
        *,
        smsc_port: int = 0,
        send_url: str = "",
        denied: str,
        login: tuple[str, str] = ("made-up", "made-up"),
    ) -> None:
        self._folder, self._smsc_port, self._send_url = folder, smsc_port, send_url
        self._denied, self._login = denied, login
        self._sendsms_port = services.free_port()
        self._daemons: list[Daemon] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for daemon in reversed(self._daemons):
            daemon.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._sendsms_port}/cgi-bin/sendsms"

    @property
    def pids(self) -> list[int]:
        return [daemon.pid for daemon in self._daemons]

    def start(self, *, replies: str) -> None:
        """Return when both processes accept connections."""
        box_port = services.free_port()
        file = self._folder / "kannel.conf"
        connection = HTTP_CONNECTION if self._send_url else SMPP_CONNECTION
        file.write_text(
            CONFIGURATION.format(
                folder=self._folder,
                admin=services.free_port(),
                box=box_port,
                connection=connection.strip().format(
                    smsc=self._smsc_port,
                    send_url=self._send_url,
                    receipts=services.free_port(),
                    system_id=self._login[0],
                    smsc_password=self._login[1],
                ),
                sendsms=self._sendsms_port,
                username=self.username,
                password=self.password,
                denied=self._denied,
                replies=replies,
            )
        )
        for command, port in ((BEARERBOX, box_port), (SMSBOX, self._sendsms_port)):
            daemon = Daemon([str(command), "-v", "0", str(file)], self._folder / f"{Path(str(command)).name}.log", {})
            self._daemons.append(daemon)
            daemon.wait_for_port(port)
