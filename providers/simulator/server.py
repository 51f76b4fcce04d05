"""The sandbox over HTTP: two carriers, and a request log and settings for tests, also of the SMPP carrier."""

import json
import socketserver
from collections.abc import Callable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from providers.simulator.carrier import CARRIERS, SMPP, Sandbox, TextRequest

if TYPE_CHECKING:
    from providers.simulator.smpp.server import SmppCarrierServer

MAX_REQUEST_BYTES = 1024 * 1024
IDLE_SECONDS = 60


class BadRequestError(Exception):
    """The request is invalid (400); the text is the reason."""


class SandboxServer(ThreadingHTTPServer):
    daemon_threads = True  # a hanging carrier must not keep the process alive
    block_on_close = False
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        super().__init__(address, SandboxHandler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's own resolves the host's name, which can take seconds
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not log clients that disconnected."""


class SandboxHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: SandboxServer

    def do_GET(self) -> None:
        self._serve(
            {
                "/healthz": self._health,
                "/_inbox": self._read_inbox,
                "/_log": self._read_log,
                "/_settings": self._read_settings,
            }
        )

    def do_DELETE(self) -> None:
        self._serve({"/_log": self._clear_log, "/_links": self._close_links})

    def do_POST(self) -> None:
        carriers = {f"/{carrier}": self._hand_over for carrier in CARRIERS}
        self._serve({**carriers, "/_settings": self._change_settings, "/_replies": self._reply})

    def do_PATCH(self) -> None:
        self._serve({"/_settings": self._change_settings})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Do not log requests: there are many, and their paths may be private."""

    def _serve(self, routes: dict[str, Callable[[], tuple[int, Any]]]) -> None:
        route = routes.get(urlsplit(self.path).path.rstrip("/") or "/")
        if route is None:
            self.close_connection = True  # its body, if it has one, is not read
        try:
            status, content = route() if route else (404, {"error": "there is nothing here"})
        except BadRequestError as error:
            status, content = 400, {"error": str(error)}
        self._respond(status, content)

    def _respond(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        # http.server's own buffer: headers and body in one packet, instead of one each
        self._headers_buffer.append(b"\r\n" + body)  # type: ignore[attr-defined]  # not in the type stubs
        self.flush_headers()

    # --- carriers -----------------------------------------------------------------------------------------------------

    def _hand_over(self) -> tuple[int, Any]:
        content = self._read_json()
        request = TextRequest(
            to=_text(content, "to_number", is_needed=True),
            message=_text(content, "message", is_needed=True),
            callback_url=_text(content, "callback_url"),
            reference=_text(content, "reference"),
        )
        if request.callback_url and not request.callback_url.startswith(("http://", "https://")):
            raise BadRequestError("callback_url must be an http or https address")
        return self.server.sandbox.hand_over(urlsplit(self.path).path.strip("/"), request)

    # --- for tests ----------------------------------------------------------------------------------------------------

    def _health(self) -> tuple[int, Any]:
        sandbox = self.server.sandbox
        health = {"status": "ok", "receipts": sandbox.receipts.counts()}
        if sandbox.smpp:
            health[SMPP] = sandbox.smpp.call(sandbox.smpp.carrier.counts)
        return 200, health

    def _read_inbox(self) -> tuple[int, Any]:
        """`+` in an address may arrive as a blank."""
        number = parse_qs(urlsplit(self.path).query).get("to", [""])[-1].replace(" ", "+")
        return 200, {"texts": self.server.sandbox.inbox(number)}

    def _read_log(self) -> tuple[int, Any]:
        since = parse_qs(urlsplit(self.path).query).get("since", ["0"])[-1]
        if not since.isascii() or not since.isdigit():
            raise BadRequestError("since must be a whole number")
        return 200, self.server.sandbox.request_log.since(int(since[:15]))

    def _clear_log(self) -> tuple[int, Any]:
        self.server.sandbox.request_log.clear()
        return 200, {}

    def _read_settings(self) -> tuple[int, Any]:
        return 200, {carrier: asdict(settings) for carrier, settings in self.server.sandbox.all_settings().items()}

    def _change_settings(self) -> tuple[int, Any]:
        try:
            self.server.sandbox.change(self._read_json())
        except ValueError as error:
            raise BadRequestError(str(error)) from None
        return self._read_settings()

    def _close_links(self) -> tuple[int, Any]:
        smpp = self._smpp()
        return 200, {"closed": smpp.call(smpp.carrier.close_links)}

    def _reply(self) -> tuple[int, Any]:
        content = self._read_json()
        sender, to, text = (_text(content, name, is_needed=True) for name in ("from", "to", "message"))
        smpp = self._smpp()
        try:
            smpp.call(smpp.carrier.reply, sender=sender, to=to, text=text)
        except ValueError:
            raise BadRequestError("from and to must be numbers of at most 20 digits") from None
        return 200, {}

    def _smpp(self) -> "SmppCarrierServer":
        if self.server.sandbox.smpp is None:
            raise BadRequestError("the SMPP carrier was not started (--smpp-port)")
        return self.server.sandbox.smpp

    def _read_json(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length[:10]) > MAX_REQUEST_BYTES:
            self.close_connection = True  # its body is not read
            raise BadRequestError("send a body with its length, at most 1 MiB")
        try:
            content = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise BadRequestError("the body is not JSON") from None
        if not isinstance(content, dict):
            raise BadRequestError("the body must be a JSON object")
        return content


def _text(content: dict[str, Any], name: str, *, is_needed: bool = False) -> str:
    value = content.get(name)
    if value is None and not is_needed:
        return ""
    if not isinstance(value, str) or (is_needed and not value):
        raise BadRequestError(f"{name} must be a text")
    return value
