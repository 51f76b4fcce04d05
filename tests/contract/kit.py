"""The tests of every provider backend. A backend's test module subclasses `SenderContract` and fills in the hooks.

For a backend with callbacks or a status lookup, subclass also `CallbackContract` or `StatusLookupContract`.
"""

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
from providers.contract.callbacks import callback_parser
from providers.contract.lookup import status_lookup
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.sender import BackendContext, Sender, Timeouts
from providers.errors import (
    CredentialsRefused,
    NoMessageId,
    NotCalled,
    OutcomeUnknown,
    RateLimited,
    Refused,
    SendError,
    Unavailable,
)
from providers.send_gate import RetryAfter
from tests.contract.fake_carrier import BROKEN_RESPONSES, FakeCarrier, Play, Received, answer, hang_up

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
IMPATIENT = replace(
    CONTEXT, timeouts=Timeouts(connect=0.4, read=0.4)
)  # for tests in which a time-out is meant to happen
OUTBOUND = OutboundMessage(to=TO, text=TEXT, sender=SENDER, reference=REFERENCE, callback_url=CALLBACK_URL)


class SenderContract(ABC):
    """The hooks first, then the tests."""

    has_callbacks = False
    has_status_lookup = False
    success_status = 201
    authorization: str | None = None  # the header that the configuration makes, where it is the same in each request

    @abstractmethod
    def make(self, url: str, context: BackendContext = CONTEXT) -> Sender:
        """A backend for the provider at this address. Its secret, if it has one, is `SECRET`."""

    @abstractmethod
    def accepting_body(self, message_id: str) -> object:
        """The body of an accepting response."""

    @abstractmethod
    def sent_text(self, carrier: FakeCarrier) -> dict[str, str]:
        """`to` and `text` of the last request that the carrier received."""

    def is_authorized(self, request: Received) -> bool:
        """Whether the request carries the credentials of the configuration, and no others."""
        return request.headers.get("authorization") == self.authorization

    # --- fixtures -----------------------------------------------------------------------------------------------------

    @pytest.fixture
    def carrier(self) -> Iterator[FakeCarrier]:
        with closing(FakeCarrier()) as carrier:
            yield carrier

    @pytest.fixture
    def backend(self, carrier: FakeCarrier) -> Iterator[Sender]:
        with closing(self.make(carrier.url)) as backend:
            yield backend

    @pytest.fixture(autouse=True)
    def nothing_private_is_logged(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        caplog.set_level(logging.DEBUG)
        yield
        for record in caplog.get_records("setup") + caplog.get_records("call"):
            written = logging.Formatter().format(record)
            assert not [private for private in PRIVATE if private in written]

    def fault(self, backend: Sender) -> SendError:
        """The error of a send; nothing private is in it."""
        with pytest.raises(SendError) as caught:
            backend.send(OUTBOUND)
        assert_nothing_private(caught.value)
        return caught.value

    # --- capabilities -------------------------------------------------------------------------------------------------

    def test_the_capabilities_are_those_of_the_class(self, backend: Sender) -> None:
        capabilities = backend.capabilities

        assert capabilities.callbacks == (callback_parser(backend) is not None) == self.has_callbacks
        assert capabilities.status_lookup == (status_lookup(backend) is not None) == self.has_status_lookup
        assert capabilities.callbacks or not capabilities.token_in_callback

    def test_nothing_private_is_in_the_repr_of_a_message_and_of_the_configuration(self, backend: Sender) -> None:
        shown = repr((OUTBOUND, backend.config, backend.context))

        assert not [private for private in (*PRIVATE, "current-key") if private in shown]

    # --- send ---------------------------------------------------------------------------------------------------------

    def test_an_accepted_message_has_the_providers_id(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = answer(self.success_status, self.accepting_body("id-1"))

        accepted = backend.send(OUTBOUND)

        assert accepted == Accepted("id-1")
        assert self.sent_text(carrier) == {"to": TO, "text": TEXT}
        assert len(carrier.received) == 1

    @pytest.mark.parametrize("body", [b"", b"  \r\n", b"{}", b"[]", b'{"message_id": null, "sid": null}', b"ERROR:14"])
    def test_an_accepting_status_without_an_id_is_unknown(
        self, carrier: FakeCarrier, backend: Sender, body: bytes
    ) -> None:
        carrier.play = answer(self.success_status, body)

        with pytest.raises(OutcomeUnknown):
            backend.send(OUTBOUND)

    @pytest.mark.parametrize(
        "message_id", ["x" * 129, "a\x00b", "\ud800", True, ["id"], {"id": 1}, 1.5, "   ", "None", "null", "undefined"]
    )
    def test_an_invalid_id_is_unknown(self, carrier: FakeCarrier, backend: Sender, message_id: object) -> None:
        carrier.play = answer(self.success_status, self.accepting_body(message_id))  # type: ignore[arg-type]

        with pytest.raises(NoMessageId) as caught:
            backend.send(OUTBOUND)
        assert caught.value.error_code == "no_message_id"

    def test_connections_are_reused(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = answer(self.success_status, self.accepting_body("id-1"))

        for _ in range(5):
            backend.send(OUTBOUND)

        assert (len(carrier.received), carrier.connections) == (5, 1)

    def test_the_gate_is_asked_between_connecting_and_the_first_byte(
        self, carrier: FakeCarrier, backend: Sender
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

    def test_a_call_that_the_gate_refuses_is_not_made(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = answer(self.success_status, self.accepting_body("id-1"))

        def gate() -> float:
            raise NotCalled("its claim ended before the call could leave")

        backend.send(OUTBOUND)  # the second call reuses its connection
        with send_gate.through(gate), pytest.raises(NotCalled):
            backend.send(OUTBOUND)

        assert len(carrier.received) == 1

    def test_a_call_uses_nothing_of_the_environment(
        self, carrier: FakeCarrier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login user password secret\n")
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
        assert self.is_authorized(carrier.received[-1])

    @pytest.mark.parametrize("broken", BROKEN_RESPONSES.values(), ids=BROKEN_RESPONSES.keys())
    def test_a_broken_response_leaves_the_outcome_unknown(self, carrier: FakeCarrier, broken: Play) -> None:
        carrier.play = broken
        began = time.monotonic()

        with closing(self.make(carrier.url, IMPATIENT)) as backend:
            error = self.fault(backend)

        assert isinstance(error, OutcomeUnknown)
        assert time.monotonic() - began < 10
        assert len(carrier.received) == 1

    def test_a_refused_connection_is_provably_not_accepted(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.close()

        error = self.fault(backend)

        assert (type(error), error.error_code) == (Unavailable, "provider_unreachable")
        assert carrier.received == []

    def test_a_connection_that_takes_too_long_is_provably_not_accepted(self) -> None:
        with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for waiting in (first, second):  # the backlog is full now: the kernel answers no further connection
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
        monkeypatch.setattr("providers.http.transport.certificates", lambda: str(certificate_of_another_name))
        with (
            closing(FakeCarrier(_server_tls(certificate_of_another_name))) as carrier,
            closing(self.make(carrier.url)) as backend,
        ):
            error = self.fault(backend)

            assert (type(error), error.detail) == (Unavailable, "the TLS handshake failed")
            assert carrier.received == []

    def test_a_trusted_certificate_is_accepted(self, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("providers.http.transport.certificates", lambda: str(certificate))
        with closing(FakeCarrier(_server_tls(certificate))) as carrier, closing(self.make(carrier.url)) as backend:
            carrier.play = answer(self.success_status, self.accepting_body("id-1"))

            assert backend.send(OUTBOUND) == Accepted("id-1")

    def test_429_is_a_rate_limit_with_retry_after(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = answer(429, b"slow down", {"Retry-After": "7"})

        error = self.fault(backend)

        assert isinstance(error, RateLimited)
        assert error.retry_after == 7

    def test_429_with_an_invalid_retry_after_is_a_rate_limit(self, carrier: FakeCarrier, backend: Sender) -> None:
        for retry_after in (
            "Mon, 99999999999999999999 Jan 2024 00:00:00 GMT",
            "Mon, 1 Jan 2024 00:00:00 +99999999999999999999",
        ):
            carrier.play = answer(429, b"slow down", {"Retry-After": retry_after})

            error = self.fault(backend)

            assert isinstance(error, RateLimited)
            assert error.retry_after is None

    def test_401_means_refused_credentials(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = answer(401, b"no")

        assert type(self.fault(backend)) is CredentialsRefused

    def test_an_unlisted_4xx_refuses_the_text(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = answer(418, f"unknown number {TO}".encode())

        error = self.fault(backend)

        assert (type(error), error.error_code) == (Refused, "provider_refused")


def assert_nothing_private(error: SendError) -> None:
    shown = "".join([str(error), repr(error), error.detail, error.error_code, *traceback.format_exception(error)])
    assert not [private for private in PRIVATE if private in shown]


def _server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
