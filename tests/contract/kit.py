"""What every provider backend must do. A backend's test module subclasses `BackendContract` and fills in the hooks."""

import logging
import socket
import ssl
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from providers import send_gate
from providers.contract.callbacks import CallbackRequest, ReportedStatus, StatusReport
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.sender import Backend, BackendContext, Timeouts
from providers.errors import (
    CredentialsRefused,
    InvalidSignature,
    MalformedCallback,
    NotCalled,
    OutcomeUnknown,
    RateLimited,
    SendError,
    Unavailable,
)
from providers.send_gate import RetryAfter
from tests.contract.fake_carrier import (
    FakeCarrier,
    Play,
    answer,
    flood,
    hang_up,
    reset,
    say_nothing,
    send,
    trickle,
)

TO = "+14155550123"
SENDER = "+14155550199"
TEXT = "Grüße 👋 مرحبا & <b>=+"
REFERENCE = "0197f0aa-0000-7000-8000-000000000001"
SECRET = "s3cr3t-of-the-account"
CALLBACK_URL = "https://sms.example.org/webhooks/acme/status/?token=proof-of-ours"
PRIVATE = (TO, TO.removeprefix("+"), "Grüße", "Gr%C3%BC%C3%9Fe", SECRET, "proof-of-ours")

SLUG = "acme"
CONTEXT = BackendContext(
    slug=SLUG, callback_keys=("current-key", "former-key"), timeouts=Timeouts(connect=10, read=10), pool_size=4
)
IMPATIENT = replace(CONTEXT, timeouts=Timeouts(connect=0.4, read=0.4))  # where the time is meant to run out
OUTBOUND = OutboundMessage(to=TO, text=TEXT, sender=SENDER, reference=REFERENCE, callback_url=CALLBACK_URL)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN_ANSWERS: dict[str, Play] = {
    "no answer in time": say_nothing,
    "hung up without an answer": hang_up,
    "reset after the request": reset,
    "not HTTP": send(b"\x00\xff\x00 what?\r\n\r\n", then_close=True),
    "cut in the body": send(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{", then_close=True),
    "a broken chunk": send(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", then_close=True),
    "not really gzip": answer(200, b"plain", {"Content-Encoding": "gzip"}),
    "10 MB of body": flood(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n", b" " * 65536, 160),
    "10 MB of chunks": flood(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n", 160),
    "endless headers": trickle(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "an endless body": trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b" "),
    "a body that is not JSON": answer(200, b"<html>OK</html>"),
    "a body that is not text": answer(200, b"\xff\xfe\x00\x80"),
    "a body nested too deeply": answer(200, b"[" * 60_000),
    "a redirect": answer(302, b"", {"Location": "/elsewhere"}),
    "a redirect with a large body": flood(
        b"HTTP/1.1 307 X\r\nLocation: /a\r\nContent-Length: 10485760\r\n\r\n", b" " * 65536, 160
    ),
    "an unexpected success": answer(299, b"<html>"),
    "an unexpected 5xx": answer(599, b"{}"),
}


class BackendContract(ABC):
    """Hooks first; then the promises."""

    success_status = 201
    authorization: str | None = None  # the header that the configuration makes

    @abstractmethod
    def make(self, url: str, context: BackendContext = CONTEXT) -> Backend:
        """A backend that talks to this address. Where it has a secret, the secret is `SECRET`."""

    @abstractmethod
    def accepting_body(self, message_id: str) -> object:
        """What the carrier answers when it accepts."""

    @abstractmethod
    def proven(self, body: bytes, *, secret: str | None = None, url: str = CALLBACK_URL) -> CallbackRequest:
        """A callback with this body as the provider sends it; with a secret, proven by that instead of the real one."""

    @abstractmethod
    def unproven(self, body: bytes) -> CallbackRequest:
        """The same callback without any proof."""

    @abstractmethod
    def receipt_body(self, message_id: str | None, word: str | None) -> bytes:
        """A receipt; None leaves the field out."""

    @abstractmethod
    def inbound_body(self, text: str, sender: str = SENDER) -> bytes:
        """An incoming text to `TO`."""

    @abstractmethod
    def sent_text(self, carrier: FakeCarrier) -> dict[str, str]:
        """`to` and `text` of the last request that the carrier received."""

    def malformed_bodies(self) -> dict[str, bytes]:
        """Bodies that can be proven and make no sense, besides those that no backend understands."""
        return {}

    # --- fixtures -----------------------------------------------------------------------------------------------------

    @pytest.fixture
    def carrier(self) -> Iterator[FakeCarrier]:
        with closing(FakeCarrier()) as carrier:
            yield carrier

    @pytest.fixture
    def backend(self, carrier: FakeCarrier) -> Iterator[Backend]:
        with closing(self.make(carrier.url)) as backend:
            yield backend

    @pytest.fixture(autouse=True)
    def nothing_private_is_logged(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        caplog.set_level(logging.DEBUG)
        yield
        for record in caplog.get_records("setup") + caplog.get_records("call"):
            written = logging.Formatter().format(record)
            assert not [private for private in PRIVATE if private in written]

    def fault(self, backend: Backend) -> SendError:
        """The error of a send, after a look at everything it would show."""
        with pytest.raises(SendError) as caught:
            backend.send(OUTBOUND)
        error = caught.value
        shown = "".join([str(error), repr(error), error.detail, error.error_code, *traceback.format_exception(error)])
        assert not [private for private in PRIVATE if private in shown]
        return error

    # --- send ---------------------------------------------------------------------------------------------------------

    def test_an_accepted_text_has_the_providers_id(self, carrier: FakeCarrier, backend: Backend) -> None:
        carrier.play = answer(self.success_status, self.accepting_body("id-1"))

        accepted = backend.send(OUTBOUND)

        assert accepted == Accepted("id-1")
        assert self.sent_text(carrier) == {"to": TO, "text": TEXT}
        assert len(carrier.received) == 1

    @pytest.mark.parametrize("body", [b"", b"  \r\n", b"{}", b'{"message_id": null, "sid": null}'])
    def test_an_acceptance_without_an_id_is_an_acceptance(
        self, carrier: FakeCarrier, backend: Backend, body: bytes
    ) -> None:
        carrier.play = answer(self.success_status, body)

        assert backend.send(OUTBOUND) == Accepted("")

    @pytest.mark.parametrize("message_id", ["x" * 129, "a\x00b", "\ud800", True, ["id"], {"id": 1}, 1.5, "   "])
    def test_an_id_that_makes_no_sense_is_no_id(
        self, carrier: FakeCarrier, backend: Backend, message_id: object
    ) -> None:
        carrier.play = answer(self.success_status, self.accepting_body(message_id))  # type: ignore[arg-type]

        assert backend.send(OUTBOUND) == Accepted("")

    def test_connections_are_reused(self, carrier: FakeCarrier, backend: Backend) -> None:
        carrier.play = answer(self.success_status, self.accepting_body("id-1"))

        for _ in range(5):
            backend.send(OUTBOUND)

        assert (len(carrier.received), carrier.connections) == (5, 1)

    def test_a_call_asks_for_its_departure_when_its_connection_is_open_and_nothing_has_left(
        self, carrier: FakeCarrier, backend: Backend
    ) -> None:
        carrier.play = answer(self.success_status, self.accepting_body("id-1"))
        seen: list[tuple[int, int]] = []
        waits = [0.25, 0.0, 0.0]

        def gate() -> float:
            seen.append((carrier.connections, len(carrier.received)))
            return waits.pop(0)

        with send_gate.through(gate):
            with pytest.raises(RetryAfter) as caught:
                backend.send(OUTBOUND)
            assert (caught.value.seconds, carrier.received) == (0.25, [])
            assert backend.send(OUTBOUND) == backend.send(OUTBOUND) == Accepted("id-1")
        backend.send(OUTBOUND)

        assert [received for _, received in seen] == [0, 0, 1]
        assert waits == []
        assert len(carrier.received) == 3

    def test_a_call_that_must_not_leave_any_more_does_not(self, carrier: FakeCarrier, backend: Backend) -> None:
        carrier.play = answer(self.success_status, self.accepting_body("id-1"))

        def gate() -> float:
            raise NotCalled("its claim ended before the call could leave")

        backend.send(OUTBOUND)  # an open connection is no way around
        with send_gate.through(gate), pytest.raises(NotCalled):
            backend.send(OUTBOUND)

        assert len(carrier.received) == 1

    def test_nothing_of_the_environment_reaches_the_call(
        self, carrier: FakeCarrier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv("TWILIO_EDGE", "sydney")
        carrier.play = answer(self.success_status, self.accepting_body("id-1"), {"Set-Cookie": "a=b; Path=/"})

        with closing(self.make(carrier.url)) as backend:
            backend.send(OUTBOUND)
            backend.send(OUTBOUND)

        assert len(carrier.received) == 2
        assert "cookie" not in carrier.received[-1].headers
        assert carrier.received[-1].headers.get("authorization") == self.authorization

    @pytest.mark.parametrize("broken", BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS.keys())
    def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(self, carrier: FakeCarrier, broken: Play) -> None:
        carrier.play = broken
        began = time.monotonic()

        with closing(self.make(carrier.url, IMPATIENT)) as backend:
            error = self.fault(backend)

        assert type(error) is OutcomeUnknown
        assert time.monotonic() - began < 10
        assert len(carrier.received) == 1

    def test_a_refused_connection_is_provably_not_accepted(self, carrier: FakeCarrier, backend: Backend) -> None:
        carrier.close()

        error = self.fault(backend)

        assert (type(error), error.error_code) == (Unavailable, "provider_unreachable")
        assert carrier.received == []

    def test_a_connection_that_takes_too_long_is_provably_not_accepted(self) -> None:
        with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for waiting in (first, second):  # the queue is full now, and the kernel answers nobody else
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
            with closing(self.make(f"http://127.0.0.1:{listener.getsockname()[1]}", IMPATIENT)) as backend:
                error = self.fault(backend)

        assert (type(error), error.error_code) == (Unavailable, "provider_unreachable")
        assert error.detail == "connecting took too long"

    def test_an_unknown_host_is_provably_not_accepted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_such_name(*_args: object, **_kwargs: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")

        monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
        with closing(self.make("http://carrier.invalid")) as backend:
            error = self.fault(backend)

        assert (type(error), error.detail) == (Unavailable, "the host name is not known")

    def test_a_server_without_tls_is_provably_not_accepted(self, carrier: FakeCarrier) -> None:
        carrier.play = hang_up
        with closing(self.make(carrier.url.replace("http://", "https://"))) as backend:
            error = self.fault(backend)

        assert (type(error), error.error_code) == (Unavailable, "provider_unreachable")

    def test_a_certificate_of_another_name_is_provably_not_accepted(
        self, certificate_of_another_name: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate_of_another_name))
        with (
            closing(FakeCarrier(_server_tls(certificate_of_another_name))) as carrier,
            closing(self.make(carrier.url)) as backend,
        ):
            error = self.fault(backend)

            assert (type(error), error.detail) == (Unavailable, "the TLS handshake failed")
            assert carrier.received == []

    def test_a_trusted_certificate_is_accepted(self, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate))
        with closing(FakeCarrier(_server_tls(certificate))) as carrier, closing(self.make(carrier.url)) as backend:
            carrier.play = answer(self.success_status, self.accepting_body("id-1"))

            assert backend.send(OUTBOUND) == Accepted("id-1")

    def test_429_is_a_rate_limit_with_the_providers_wish(self, carrier: FakeCarrier, backend: Backend) -> None:
        carrier.play = answer(429, b"slow down", {"Retry-After": "7"})

        error = self.fault(backend)

        assert isinstance(error, RateLimited)
        assert error.retry_after == 7

    def test_a_429_whose_wish_makes_no_sense_is_a_rate_limit_all_the_same(
        self, carrier: FakeCarrier, backend: Backend
    ) -> None:
        for wish in (
            "Mon, 99999999999999999999 Jan 2024 00:00:00 GMT",
            "Mon, 1 Jan 2024 00:00:00 +99999999999999999999",
        ):
            carrier.play = answer(429, b"slow down", {"Retry-After": wish})

            error = self.fault(backend)

            assert isinstance(error, RateLimited)
            assert error.retry_after is None

    def test_401_means_that_the_credentials_are_refused(self, carrier: FakeCarrier, backend: Backend) -> None:
        carrier.play = answer(401, b"no")

        assert type(self.fault(backend)) is CredentialsRefused

    def test_an_unlisted_4xx_is_provably_not_accepted(self, carrier: FakeCarrier, backend: Backend) -> None:
        carrier.play = answer(418, f"unknown number {TO}".encode())

        error = self.fault(backend)

        assert (type(error), error.error_code) == (Unavailable, "provider_refused")

    # --- callbacks ----------------------------------------------------------------------------------------------------

    def test_a_proven_callback_is_let_in(self, backend: Backend) -> None:
        backend.verify(self.proven(self.receipt_body("id-1", "delivered")))

    def test_a_callback_without_proof_is_refused(self, backend: Backend) -> None:
        with pytest.raises(InvalidSignature) as caught:
            backend.verify(self.unproven(self.receipt_body("id-1", "delivered")))

        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize("secret", ["the-former-secret", SECRET.upper()])
    def test_a_proof_by_another_secret_is_refused(self, backend: Backend, secret: str) -> None:
        with pytest.raises(InvalidSignature):
            backend.verify(self.proven(self.receipt_body("id-1", "delivered"), secret=secret))

    @pytest.mark.parametrize("garbage", ["", " ", "Basic", "Basic é", "sha256=", "sha256=zz", "%00", "\udc80"])
    def test_a_proof_that_is_garbage_is_refused(self, backend: Backend, garbage: str) -> None:
        request = self.proven(self.receipt_body("id-1", "delivered"))
        broken = replace(request, headers=dict.fromkeys(request.headers, garbage), token=garbage)

        with pytest.raises(InvalidSignature):
            backend.verify(broken)

    def test_the_statuses_every_provider_has_are_understood(self, backend: Backend) -> None:
        report = backend.parse_status(self.proven(self.receipt_body("id-1", "delivered")))

        assert report == StatusReport("id-1", ReportedStatus.DELIVERED, "delivered")

    def test_an_unknown_status_word_is_reported_as_such(self, backend: Backend) -> None:
        report = backend.parse_status(self.proven(self.receipt_body("id-1", "teleported" * 10)))

        assert report == StatusReport("id-1", ReportedStatus.UNRECOGNIZED, ("teleported" * 10)[:64])

    def test_the_same_receipt_twice_says_the_same(self, backend: Backend) -> None:
        request = self.proven(self.receipt_body("id-1", "failed"))

        assert backend.parse_status(request) == backend.parse_status(request)

    def test_a_body_that_makes_no_sense_is_malformed(self, backend: Backend) -> None:
        bodies = {
            "empty": b"",
            "binary": b"\xff\xfe\x00\x80",
            "no id": self.receipt_body(None, "delivered"),
            "blank id": self.receipt_body("  ", "delivered"),
            "long id": self.receipt_body("x" * 129, "delivered"),
            "NUL in the id": self.receipt_body("a\x00b", "delivered"),
            "no status": self.receipt_body("id-1", None),
            "blank status": self.receipt_body("id-1", " "),
            "NUL in the status": self.receipt_body("id-1", "deli\x00vered"),
            "huge": b"a" * 5_000_000,
            **self.malformed_bodies(),
        }

        understood = [name for name, body in bodies.items() if not _is_malformed(backend, self.proven(body))]

        assert understood == []

    def test_an_incoming_text_is_understood(self, backend: Backend) -> None:
        inbound = backend.parse_inbound(self.proven(self.inbound_body(TEXT)))

        assert (inbound.sender, inbound.recipient, inbound.text) == (SENDER, TO, TEXT)
        assert (inbound.provider_message_id, inbound.media_urls) == ("in-1", ())

    @pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"[]", b"5", b"a" * 1_000_000])
    def test_an_incoming_text_that_makes_no_sense_is_malformed(self, backend: Backend, body: bytes) -> None:
        with pytest.raises(MalformedCallback):
            backend.parse_inbound(self.proven(body))

    def test_an_incoming_text_with_a_nul_or_without_a_sender_is_malformed(self, backend: Backend) -> None:
        for body in (self.inbound_body("a\x00b"), self.inbound_body("a", sender=" ")):
            with pytest.raises(MalformedCallback):
                backend.parse_inbound(self.proven(body))

    def test_an_incoming_text_gets_an_answer_that_says_what_it_is(self, backend: Backend) -> None:
        answer = backend.inbound_response

        assert (answer.content_type, bool(answer.body)) in {("application/json", True), ("text/xml", True)}

    def test_credentials_for_media_belong_to_one_origin(self, carrier: FakeCarrier) -> None:
        with closing(self.make(f"{carrier.url}/")) as backend:
            access = backend.media_access()

        assert access is None or (access.origin, SECRET in repr(access)) == (carrier.url, False)

    def test_nothing_private_is_in_the_repr_of_what_passes_through(self, backend: Backend) -> None:
        inbound = backend.parse_inbound(self.proven(self.inbound_body(TEXT)))

        shown = repr((OUTBOUND, inbound, self.proven(b"x"), backend.config, backend.context))

        assert not [private for private in (*PRIVATE, "current-key") if private in shown]


def _is_malformed(backend: Backend, request: CallbackRequest) -> bool:
    try:
        backend.parse_status(request)
    except MalformedCallback as error:
        return not [private for private in PRIVATE if private in str(error)]
    return False


def _server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
