"""A sandbox in this process, and an app that takes its receipts."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3

from providers.simulator.carrier import CARRIERS, CarrierSettings, Sandbox
from providers.simulator.receipts import ReceiptPoster
from providers.simulator.request_log import RequestLog
from providers.simulator.server import SandboxServer
from providers.simulator.smpp.carrier import CarrierLogin, SmppCarrier
from providers.simulator.smpp.server import SmppCarrierServer

QUICK = CarrierSettings(latency_ms=0, latency_jitter_ms=0, receipt_delay_ms=10, hang_ms=300)


class App(ThreadingHTTPServer):
    """Responds with the statuses in `answers` first, then with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _AppHandler)
        self.changed = threading.Condition()
        self.received: list[dict[str, str]] = []
        self.answers: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/webhooks/provider1/status/?token=t"

    def wait_for(self, count: int) -> list[dict[str, str]]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, timeout=5)
            return list(self.received)


class _AppHandler(BaseHTTPRequestHandler):
    server: App

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.changed:
            status = self.server.answers.pop(0) if self.server.answers else 200
            if status == 200:
                self.server.received.append(content)
            self.server.changed.notify_all()
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        pass


@dataclass
class Client:
    url: str
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=5))

    def call(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        body = content if isinstance(content, bytes | None) else json.dumps(content).encode()
        answer = self.pool.request(method, f"{self.url}{path}", body=body)
        return answer.status, json.loads(answer.data)

    def send(self, carrier: str = "provider1", to: str = "+14155550123", **fields: str) -> tuple[int, Any]:
        return self.call("POST", f"/{carrier}", {"to_number": to, "message": "hello", **fields})

    def close(self) -> None:
        self.pool.clear()


@pytest.fixture
def app() -> Iterator[App]:
    app = App()
    thread = threading.Thread(target=app.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield app
    app.shutdown()
    app.server_close()
    thread.join()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with (
        closing(RequestLog()) as request_log,
        closing(ReceiptPoster(retry_delays=(0.01, 0.02), threads=2)) as receipts,
    ):
        yield Sandbox(dict.fromkeys(CARRIERS, QUICK), request_log=request_log, receipts=receipts)


@pytest.fixture
def smpp(sandbox: Sandbox) -> Iterator[SmppCarrierServer]:
    """The sandbox with its SMPP carrier."""
    carrier = SmppCarrier(CarrierLogin(), request_log=sandbox.request_log)
    with closing(SmppCarrierServer(("127.0.0.1", 0), carrier)) as server:
        sandbox.smpp = server
        yield server


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    server = SandboxServer(("127.0.0.1", 0), sandbox)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with closing(Client(f"http://127.0.0.1:{server.server_port}")) as client:
        yield client
    server.shutdown()
    server.server_close()
    thread.join()
