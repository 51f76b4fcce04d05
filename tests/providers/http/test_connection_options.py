"""Carriers in a private network: a CA of their own, client certificates, and proxies."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from urllib3.util import parse_url

from providers import send_gate
from providers.contract.sender import Timeouts
from providers.errors import CredentialsRefused, Misconfigured, NotCalled, OutcomeUnknown, Unavailable
from providers.http.connection_options import ConnectionOptions
from providers.http.connections import BoundedConnection
from providers.http.transport import POOL_CLASSES, HttpResponse, Transport
from tests.contract.fake_carrier import FakeCarrier, Play, answer, hang_up, say_nothing, trickle
from tests.providers.http.private_network import Authority, open_tunnel

TIMEOUTS = Timeouts(connect=1, read=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "carriers")


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "others")


@pytest.fixture
def start() -> Iterator[Callable[..., FakeCarrier]]:
    with ExitStack() as stack:
        yield lambda *args: stack.enter_context(closing(FakeCarrier(*args)))


def call(url: str, **options: Any) -> HttpResponse:
    with closing(transport(**options)) as http:
        return http.call("POST", f"{url}/send", json={})


def transport(**options: Any) -> Transport:
    named = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    return Transport(TIMEOUTS, pool_size=1, options=ConnectionOptions.model_validate(named))


def pair(files: tuple[Path, Path]) -> dict[str, str]:
    return {"cert_file": str(files[0]), "key_file": str(files[1])}


# --- ca_file --------------------------------------------------------------------------------------------------------------


def test_only_the_authority_of_the_account_is_trusted(
    start: Callable[..., FakeCarrier], authority: Authority, other_authority: Authority
) -> None:
    carrier = start(authority.server())

    assert call(carrier.url, ca_file=authority.file).status == 200
    for options in ({}, {"ca_file": other_authority.file}):
        with pytest.raises(Unavailable, match="the TLS handshake failed"):
            call(carrier.url, **options)
    assert len(carrier.received) == 1


def test_a_file_that_cannot_be_read_is_a_misconfiguration(authority: Authority, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    other_key = pair((authority.issue("a")[0], authority.issue("b")[1]))
    encrypted = pair(authority.issue("encrypted", password=b"secret"))

    for options in (
        *({"ca_file": tmp_path / "missing.pem"}, {"ca_file": empty}, {"ca_file": tmp_path}),
        *({"client_certificate": str(empty)}, {"client_certificate": str(tmp_path / "missing.pem")}),
        *({"client_certificate": other_key}, {"client_certificate": encrypted}),
    ):
        with pytest.raises(Misconfigured) as caught:
            call("https://127.0.0.1:9", **options)
        assert str(tmp_path) not in str(caught.value)


def test_a_file_is_read_when_it_is_there_and_missed_when_it_has_gone(
    start: Callable[..., FakeCarrier], authority: Authority, tmp_path: Path
) -> None:
    carrier = start(authority.server())
    carrier.play = answer(200, b"", {"Connection": "close"})
    file = tmp_path / "ca.pem"

    with closing(transport(ca_file=file)) as http:
        with pytest.raises(Misconfigured):
            http.call("POST", carrier.url)
        file.write_bytes(authority.file.read_bytes())
        assert http.call("POST", carrier.url).status == 200
        file.unlink()
        with pytest.raises(Misconfigured):
            http.call("POST", carrier.url)
    assert len(carrier.received) == 1


# --- client_certificate ---------------------------------------------------------------------------------------------------


def test_a_client_certificate_is_shown_from_two_files_or_one(
    start: Callable[..., FakeCarrier], authority: Authority, tmp_path: Path
) -> None:
    carrier = start(authority.server(clients_of=authority))
    files = authority.issue("client")
    together = tmp_path / "client.pem"
    together.write_bytes(files[0].read_bytes() + files[1].read_bytes())

    for certificate in (pair(files), str(together)):
        assert call(carrier.url, ca_file=authority.file, client_certificate=certificate).status == 200


def test_a_certificate_that_is_refused_has_sent_nothing(
    start: Callable[..., FakeCarrier], authority: Authority, other_authority: Authority
) -> None:
    carrier = start(authority.server(clients_of=authority))
    refused = [other_authority.issue("stranger"), authority.issue("expired", days=-1)]

    for certificate in [
        None,
        *(pair(files) for files in refused),
    ] * 5:  # the alert may come before or after our last byte
        with pytest.raises(CredentialsRefused, match="the provider refuses the client certificate"):
            call(carrier.url, ca_file=authority.file, client_certificate=certificate)

    assert carrier.received == []


# --- proxy ----------------------------------------------------------------------------------------------------------------


def test_a_call_goes_through_a_tunnel_of_the_proxy(start: Callable[..., FakeCarrier], authority: Authority) -> None:
    carrier, proxy = start(authority.server()), start()
    carrier.play = answer(201, b"{}")
    proxy.play = open_tunnel
    address = proxy.url.replace("http://", "http://us%40r:p%3Aw@")

    with closing(transport(ca_file=authority.file, proxy=address)) as http:
        statuses = [http.call("POST", f"{carrier.url}/send", json={}).status for _ in range(2)]

    assert statuses == [201, 201]
    assert [(request.method, request.target) for request in carrier.received] == [("POST", "/send")] * 2
    assert [(request.method, request.target) for request in proxy.received] == [("CONNECT", carrier.url[8:])]
    assert proxy.received[0].headers["proxy-authorization"] == "Basic dXNAcjpwOnc="
    assert "proxy-authorization" not in carrier.received[0].headers


def test_a_tunnel_that_the_carrier_has_closed_is_opened_again(
    start: Callable[..., FakeCarrier], authority: Authority
) -> None:
    carrier, proxy = start(authority.server()), start()
    carrier.play = answer(200, b"", {"Connection": "close"})
    proxy.play = open_tunnel

    with closing(transport(ca_file=authority.file, proxy=proxy.url)) as http:
        http.call("POST", carrier.url)
        time.sleep(TIMEOUTS.read + 0.1)  # the deadline of the first response is over
        assert http.call("POST", carrier.url).status == 200

    assert [request.method for request in proxy.received] == ["CONNECT", "CONNECT"]


def test_the_gate_is_asked_after_the_tunnel_and_before_the_request(
    start: Callable[..., FakeCarrier], authority: Authority
) -> None:
    carrier, proxy = start(authority.server()), start()
    proxy.play = open_tunnel
    asked: list[int] = []

    def gate() -> float:
        asked.append(len(proxy.received))
        return 5.0

    with send_gate.through(gate), pytest.raises(send_gate.RetryAfter):
        call(carrier.url, ca_file=authority.file, proxy=proxy.url)

    assert (asked, carrier.received) == ([1], [])


def test_a_slow_proxy_leaves_the_whole_time_for_the_request(start: Callable[..., FakeCarrier]) -> None:
    proxy = start()
    address = urlsplit(proxy.url)
    connection = BoundedConnection(address.hostname or "", address.port, timeout=5, proxy=parse_url(proxy.url))
    connection.set_tunnel("carrier.example", 443)

    with closing(connection):
        connection.connect()
        assert connection.sock.gettimeout() == 5


def test_all_connections_through_a_proxy_are_ours() -> None:
    with closing(transport(proxy="http://127.0.0.1:9")) as http:
        pools = [
            http._manager.connection_from_host("a", port, scheme) for scheme, port in (("http", 80), ("https", 443))
        ]

    assert [type(pool) for pool in pools] == [POOL_CLASSES["http"], POOL_CLASSES["https"]]


@pytest.mark.parametrize(
    ("play", "fault"),
    [
        (answer(407), "through the proxy: CONNECT was answered with 407"),
        (answer(502), "through the proxy: CONNECT was answered with 502"),
        (hang_up, "through the proxy: the connection could not be made"),
        (say_nothing, "through the proxy: connecting took too long"),
        (trickle(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), "through the proxy: connecting took too long"),
        (trickle(b"", b"HTTP"), "through the proxy: "),
    ],
)
def test_a_proxy_that_opens_no_tunnel_has_sent_nothing(
    start: Callable[..., FakeCarrier], authority: Authority, play: Play, fault: str
) -> None:
    carrier, proxy = start(authority.server()), start()
    proxy.play = play
    began = time.monotonic()

    with pytest.raises(Unavailable) as caught:
        call(carrier.url, ca_file=authority.file, proxy=proxy.url.replace("//", "//user:word@"))

    assert str(caught.value).startswith(fault)
    assert caught.value.error_code == "provider_unreachable"
    assert time.monotonic() - began < TIMEOUTS.connect + 0.5
    assert carrier.received == []


def test_a_proxy_that_is_down_has_sent_nothing(start: Callable[..., FakeCarrier]) -> None:
    proxy = start()
    address = proxy.url
    proxy.close()

    for url in ("https://127.0.0.1:9", "http://127.0.0.1:9"):
        with pytest.raises(Unavailable, match="through the proxy: the connection was refused"):
            call(url, proxy=address)


def test_a_lost_response_is_unknown_through_a_proxy_too(
    start: Callable[..., FakeCarrier], authority: Authority
) -> None:
    carrier, proxy = start(authority.server()), start()
    proxy.play = open_tunnel

    for play in (hang_up, trickle(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")):
        carrier.play = play
        with pytest.raises(OutcomeUnknown):
            call(carrier.url, ca_file=authority.file, proxy=proxy.url)


def test_a_call_without_tls_is_passed_on_by_the_proxy(start: Callable[..., FakeCarrier]) -> None:
    proxy = start()
    proxy.play = answer(502)

    response = call("http://carrier.example", proxy=proxy.url)

    assert response.status == 502
    assert [(request.method, request.target) for request in proxy.received] == [("POST", "http://carrier.example/send")]


def test_a_proxy_that_refuses_its_credentials_has_passed_nothing_on(start: Callable[..., FakeCarrier]) -> None:
    proxy = start()
    proxy.play = answer(407)

    with pytest.raises(Unavailable, match="the proxy refuses its credentials"):
        call("http://carrier.example", proxy=proxy.url)


def test_the_gate_stops_a_call_before_the_proxy_can_pass_it_on(start: Callable[..., FakeCarrier]) -> None:
    proxy = start()

    def gate() -> float:
        raise NotCalled("the lease has ended")

    with send_gate.through(gate), pytest.raises(NotCalled):
        call("http://carrier.example", proxy=proxy.url)

    assert proxy.received == []
