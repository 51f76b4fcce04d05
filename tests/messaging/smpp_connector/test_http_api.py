"""The inner address, over real connections: when the headers leave is what workers rely on."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from messaging.smpp_connector import http_api
from messaging.smpp_connector.http_api import HttpApi
from messaging.smpp_connector.process import InnerServer
from messaging.smpp_connector.stalls import StallWatch
from messaging.smpp_connector.submissions import NotSubmitted, Submission
from providers.backends.smpp import connector_key
from providers.smpp.constants import CommandId
from providers.smpp.pdu import Pdu, message_id_body

SECRET = "current-secret"
ORDER = {"attempt": "a1", "reference": "m1", "within": 5.0, "pdus": ["00ff"]}


class FakeBinds:
    """Writes when `write` is set, and answers when `answer` is."""

    def __init__(self, refusal: NotSubmitted | None = None) -> None:
        self.refusal = refusal
        self.submissions: list[Submission] = []
        self.not_delivered: list[Submission] = []
        self.write, self.answer, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def submit(self, submission: Submission, *, before_write: Callable[[], Awaitable[None]]) -> None:
        self.submissions.append(submission)
        if self.refusal is not None:
            raise self.refusal
        await self.write.wait()
        await before_write()
        await self.answer.wait()
        submission.answers = [Pdu(CommandId.SUBMIT_SM | 0x80000000, 0, 1, message_id_body("id-1"))]

    def not_reported(self, submission: Submission) -> None:
        self.not_delivered.append(submission)
        self.ended.set()


class FakeConnector:
    def __init__(self, binds: FakeBinds, state: str = "bound") -> None:
        self.binds = binds
        self.state = state
        self.stalls = StallWatch(lambda: self.now)

    now = 0.0

    def binds_of(self, slug: str) -> FakeBinds | None:
        return self.binds if slug == "acme" else None

    def status(self) -> dict[str, Any]:
        return {"acme": {"1": {"state": self.state, "error": "", "in_flight": 0}}}


class Client:
    """One connection."""

    def __init__(self, connector: FakeConnector, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connector, self._reader, self.writer = connector, reader, writer

    def send(
        self, path: str, body: Any = None, *, method: str = "POST", key: str | None = connector_key(SECRET)
    ) -> None:
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        proof = f"Authorization: Bearer {key}\r\n" if key else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{proof}Content-Length: {len(content)}\r\n\r\n"
        self.writer.write(head.encode() + content)

    async def head(self) -> int:
        async with asyncio.timeout(5):
            return int((await self._reader.readuntil(b"\r\n\r\n")).split()[1])

    async def body(self) -> Any:
        """The first chunk or, in a short response, all."""
        async with asyncio.timeout(5):
            text = b""
            while not text.rstrip().endswith((b"}", b"0")):
                text += await self._reader.read(4096)
        return json.loads(next(line for line in text.split(b"\r\n") if line.startswith(b"{")))

    async def call(self, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        self.send(path, body, **options)
        return await self.head(), await self.body()


@asynccontextmanager
async def serving(binds: FakeBinds, state: str = "bound") -> AsyncIterator[Client]:
    connector = FakeConnector(binds, state)
    app = HttpApi(connector, secret_keys=[SECRET, "former"])  # type: ignore[arg-type]
    listening = socket.create_server(("127.0.0.1", 0))
    server = InnerServer(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        yield Client(connector, reader, writer)
    finally:
        writer.close()
        binds.write.set()
        binds.answer.set()
        server.should_exit = True
        await task


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


def test_the_headers_leave_before_the_write_and_the_body_with_the_answers() -> None:
    async def scenario() -> None:
        binds = FakeBinds()
        async with serving(binds) as client:
            client.send("/accounts/acme/submit", ORDER)
            head = asyncio.create_task(client.head())
            await asyncio.sleep(0.02)
            assert not head.done()
            binds.write.set()
            assert await head == 200
            binds.answer.set()
            assert await client.body() == {"responses": [{"status": 0, "id": "id-1"}]}
            [submission] = binds.submissions
            assert (submission.attempt, submission.reference, submission.pdus) == ("a1", "m1", [b"\x00\xff"])
            assert binds.not_delivered == []

    run(scenario)


def test_what_a_dead_worker_does_not_get_is_saved() -> None:
    async def scenario() -> None:
        binds = FakeBinds()
        async with serving(binds) as client:
            client.send("/accounts/acme/submit", ORDER)
            binds.write.set()
            assert await client.head() == 200
            client.writer.close()
            await client.writer.wait_closed()
            await asyncio.sleep(0.05)  # until the server has seen it
            binds.answer.set()
            await asyncio.wait_for(binds.ended.wait(), 5)
            assert binds.not_delivered == binds.submissions

    run(scenario)


def test_what_is_answered_after_a_stop_that_did_not_wait_is_saved() -> None:
    async def scenario() -> None:
        binds = FakeBinds()
        app = HttpApi(FakeConnector(binds), secret_keys=[SECRET])  # type: ignore[arg-type]
        requests = [{"type": "http.request", "body": json.dumps(ORDER).encode()}]
        started = asyncio.Event()

        async def receive() -> dict[str, Any]:
            return requests.pop() if requests else await asyncio.Future()

        async def send(_message: Any) -> None:
            started.set()

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/accounts/acme/submit",
            "headers": [(b"authorization", f"Bearer {connector_key(SECRET)}".encode())],
        }
        binds.write.set()
        request = asyncio.create_task(app(scope, receive, send))
        await asyncio.wait_for(started.wait(), 5)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert binds.not_delivered == []
        binds.answer.set()
        await asyncio.wait_for(binds.ended.wait(), 5)
        assert binds.not_delivered == binds.submissions

    run(scenario)


@pytest.mark.parametrize("code", ["no_bind", "window_full", "credentials"])
def test_a_refusal_says_that_nothing_was_written(code: str) -> None:
    async def scenario() -> None:
        async with serving(FakeBinds(NotSubmitted(code, "because"))) as client:
            answer = await client.call("/accounts/acme/submit", ORDER)
            assert answer == (503, {"error": code, "detail": "because"})

    run(scenario)


def test_what_was_handed_over_while_the_process_stood_still_is_not_written() -> None:
    async def scenario() -> None:
        binds = FakeBinds()
        async with serving(binds) as client:
            client.send("/accounts/acme/submit", ORDER)
            client.connector.now += 3600
            binds.write.set()
            assert await client.head() == 503
            assert (await client.body())["error"] == "stalled"
            binds.answer.set()
            client.connector.now += 2
            assert (await client.call("/accounts/acme/submit", ORDER))[0] == 200

    run(scenario)


def test_an_account_that_is_not_held_here() -> None:
    async def scenario() -> None:
        async with serving(FakeBinds()) as client:
            status, body = await client.call("/accounts/other/submit", ORDER)
            assert (status, body["error"]) == (503, "no_bind")

    run(scenario)


@pytest.mark.parametrize("key", [None, "", connector_key("another"), SECRET])
def test_only_workers_may_submit(key: str | None) -> None:
    async def scenario() -> None:
        binds = FakeBinds()
        async with serving(binds) as client:
            assert await client.call("/accounts/acme/submit", ORDER, key=key) == (401, {"error": "unauthorized"})
            assert await client.call("/status", method="GET", key=key) == (401, {"error": "unauthorized"})
            assert binds.submissions == []

    run(scenario)


def test_workers_with_the_former_secret_may_submit() -> None:
    async def scenario() -> None:
        async with serving(FakeBinds()) as client:
            assert (await client.call("/status", method="GET", key=connector_key("former")))[0] == 200

    run(scenario)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        ORDER | {"pdus": []},
        ORDER | {"pdus": ["zz"]},
        ORDER | {"pdus": "00"},
        ORDER | {"pdus": ["00"] * 65},
        ORDER | {"within": 0},
        ORDER | {"within": 1e9},
        ORDER | {"within": "x"},
        ORDER | {"attempt": 7},
        {"pdus": ["00"]},
        b"[" * 100_000,
        b" " * (http_api.MAX_BODY_BYTES + 1),
    ],
)
def test_what_is_no_submission_is_refused(body: Any) -> None:
    async def scenario() -> None:
        binds = FakeBinds()
        async with serving(binds) as client:
            assert await client.call("/accounts/acme/submit", body) == (400, {"error": "malformed"})
            assert binds.submissions == []

    run(scenario)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/accounts/acme/submit"), ("POST", "/accounts/..%2f/submit")]
)
def test_there_is_nothing_else(method: str, path: str) -> None:
    async def scenario() -> None:
        async with serving(FakeBinds()) as client:
            assert await client.call(path, method=method) == (404, {"error": "not_found"})

    run(scenario)


@pytest.mark.parametrize(("state", "status"), [("bound", 200), ("down", 503)])
def test_readiness_and_liveness_need_no_proof(state: str, status: int) -> None:
    async def scenario() -> None:
        async with serving(FakeBinds(), state) as client:
            assert (await client.call("/healthz", method="GET", key=None))[0] == 200
            found = await client.call("/readyz", method="GET", key=None)
            assert found[0] == status
            assert found[1]["without_bind"] == ([] if status == 200 else ["acme"])

    run(scenario)
