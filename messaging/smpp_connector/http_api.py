"""The inner address: workers hand texts over here. It is not for clients, and belongs on a private network.

`POST /accounts/{slug}/submit` with `{"attempt", "reference", "within", "pdus": [hex, …]}`. The headers of the response leave
immediately before the first PDU is written, its body when all answers are there or `within` seconds are over. So a worker whose
connection ends before the headers knows that nothing was written. `GET /healthz`, `/readyz` and
`/status` are for operators.
"""

import asyncio
import hmac
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from messaging.smpp_connector.connector import Connector
from messaging.smpp_connector.submissions import NotSubmitted, Submission
from providers.backends.smpp import connector_key

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES: Final = 256 * 1024
MAX_PDUS: Final = 64
MAX_WITHIN: Final = 120.0
_SUBMIT = re.compile(r"/accounts/([a-z0-9][a-z0-9_-]{0,39})/submit")


class HttpApi:
    """An ASGI application. `secret_keys` are the current `SECRET_KEY` and the former ones."""

    def __init__(self, connector: Connector, *, secret_keys: Sequence[str]) -> None:
        self._connector = connector
        self._keys = [connector_key(secret) for secret in secret_keys]
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/healthz":
            await _respond(send, 200, {"status": "ok"})
        elif scope["path"] == "/readyz":
            await self._readyz(send)
        elif not self._is_authenticated(scope):
            await _respond(send, 401, {"error": "unauthorized"})
        elif scope["path"] == "/status" and scope["method"] == "GET":
            await _respond(send, 200, self._connector.status())
        elif (found := _SUBMIT.fullmatch(scope["path"])) and scope["method"] == "POST":
            await self._submit(found[1], receive, send)
        else:
            await _respond(send, 404, {"error": "not_found"})

    async def _readyz(self, send: Send) -> None:
        """Ready while each account with a bind in this process has one that is up; also without any account."""
        down = [slug for slug, binds in self._connector.status().items() if not _is_up(binds)]
        await _respond(send, 503 if down else 200, {"status": "not ready" if down else "ready", "without_bind": down})

    def _is_authenticated(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        given = headers.get(b"authorization", b"").removeprefix(b"Bearer ").decode("latin-1")
        return any(hmac.compare_digest(given.encode(), key.encode()) for key in self._keys)

    async def _submit(self, slug: str, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        try:
            submission = _submission(slug, body)
        except ValueError:
            await _respond(send, 400, {"error": "malformed"})
            return
        binds = self._connector.binds_of(slug)
        if binds is None:
            await _respond(send, 503, {"error": "no_bind", "detail": "this connector holds no bind of the account"})
            return
        gone = asyncio.ensure_future(_disconnected(receive))
        is_started = False

        async def start() -> None:
            nonlocal is_started
            if self._connector.stalls.just_ended():
                raise NotSubmitted("stalled", "this connector stood still, and its worker may have given up")
            is_started = True
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})

        # Shielded: what is written has an answer, which is saved even if the worker dies.
        work = asyncio.ensure_future(binds.submit(submission, before_write=start))
        self._running.add(work)
        work.add_done_callback(self._running.discard)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:  # the process stops, and has waited long enough
            work.add_done_callback(lambda _: binds.not_reported(submission))
            raise
        except NotSubmitted as refusal:
            if not is_started:
                await _respond(send, 503, {"error": refusal.code, "detail": str(refusal)})
                return
        finally:
            is_gone = gone.done()
            gone.cancel()
        if is_gone:
            binds.not_reported(submission)
            return
        await send({"type": "http.response.body", "body": json.dumps({"responses": submission.as_json()}).encode()})


_HEADERS: Final = [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]


def _submission(slug: str, body: bytes) -> Submission:
    """Raises `ValueError`."""
    try:
        content = json.loads(body)
        pdus = [bytes.fromhex(pdu) for pdu in content["pdus"]]
        attempt, reference, within = content["attempt"], content["reference"], float(content["within"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("malformed") from error
    if not (isinstance(attempt, str) and isinstance(reference, str) and 0 < within <= MAX_WITHIN):
        raise ValueError("malformed")
    if not 0 < len(pdus) <= MAX_PDUS:
        raise ValueError("malformed")
    return Submission(slug, attempt, reference, pdus, within)


def _is_up(binds: Mapping[str, Mapping[str, Any]]) -> bool:
    return any(bind["state"] == "bound" for bind in binds.values())


async def _read(receive: Receive) -> bytes:
    """The body; too large or broken ones are empty, which is malformed."""
    body = b""
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return b""
        body += bytes(event.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            return b""
        if not event.get("more_body"):
            return body


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _respond(send: Send, status: int, content: Any) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
