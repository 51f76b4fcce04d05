"""Calls to addresses that outsiders named: what must not be reached is not connected to, what is reached is bounded."""

import gzip
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from providers.http import public_http
from providers.http.public_addresses import AddressRefused, Guard
from providers.http.public_http import Credentials, FetchFailed, PublicHttp, TooLarge
from providers.http.transport import HttpResponse
from tests.contract.fake_carrier import FakeCarrier, Play, answer, flood, hang_up, say_nothing, send, trickle

LOOPBACK = Guard.allowing(["127.0.0.0/8"])
PUBLIC_ONLY = Guard()
MEGABYTE = 1024 * 1024


@pytest.fixture
def site() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as site:
        yield site


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every attempt to connect; none of them is made."""
    attempts: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], *_args: object, **_kwargs: object) -> socket.socket:
        attempts.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(public_http, "create_connection", connect)
    return attempts


def client(guard: Guard = LOOPBACK, *, answers: Sequence[str] = (), **options: Any) -> PublicHttp:
    return PublicHttp(guard, resolve=lambda _host, _port: answers, **options)


def fetch(http: PublicHttp, url: str, **options: Any) -> bytes:
    return b"".join(http.fetch(url, **{"max_bytes": MEGABYTE, "deadline_seconds": 5, **options}))


def post(http: PublicHttp, url: str, *, seconds: float = 5) -> HttpResponse:
    return http.call("POST", url, body=b"{}", headers={"Content-Type": "application/json"}, timeout_seconds=seconds)


def port_of(site: FakeCarrier) -> int:
    return int(site.url.rpartition(":")[2])


CALLS: dict[str, Callable[[PublicHttp, str], object]] = {"fetch": fetch, "call": post}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


# --- Where no connection may go ---------------------------------------------------------------------------------------


@each_call
@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "[::1]", "169.254.169.254", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "127.1"),
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0.0.0.0", "localhost"),  # noqa: S104
    ],
)
def test_a_private_address_is_not_connected_to(
    site: FakeCarrier, connected: list[tuple[str, int]], call: Callable[[PublicHttp, str], object], host: str
) -> None:
    with pytest.raises(AddressRefused):
        call(client(PUBLIC_ONLY, answers=["127.0.0.1"]), f"http://{host}:{port_of(site)}/")

    assert (connected, site.connections) == ([], 0)


@each_call
@pytest.mark.parametrize(
    "answers",
    [
        *(["127.0.0.1"], ["::1"], ["10.0.0.1"], ["::ffff:127.0.0.1"], ["fe80::1%eth0"], ["169.254.169.254"]),
        *(
            ["8.8.8.8", "127.0.0.1"],
            ["127.0.0.1", "8.8.8.8"],
            ["2606:4700::1111", "8.8.8.8", "1.1.1.1", "1.0.0.1", "::1"],
        ),
    ],
)
def test_a_name_with_a_private_address_is_not_connected_to(
    site: FakeCarrier, connected: list[tuple[str, int]], call: Callable[[PublicHttp, str], object], answers: list[str]
) -> None:
    with pytest.raises(AddressRefused):
        call(client(PUBLIC_ONLY, answers=answers), f"http://hooks.example.com:{port_of(site)}/")

    assert (connected, site.connections) == ([], 0)


@each_call
def test_a_rebinding_name_cannot_win(
    connected: list[tuple[str, int]], call: Callable[[PublicHttp, str], object]
) -> None:
    """The name resolves to a public address first, then to a private one. Each call resolves it once and uses that result."""
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])
    http = PublicHttp(PUBLIC_ONLY, resolve=lambda _host, _port: next(answers))

    with pytest.raises(FetchFailed):
        call(http, "http://hooks.example.com/")
    with pytest.raises(AddressRefused):
        call(http, "http://hooks.example.com/")

    assert connected == [("8.8.8.8", 80)]


def test_a_dead_address_of_a_name_is_passed_over_and_few_are_tried(connected: list[tuple[str, int]]) -> None:
    answers = ["2606:4700::1111", "8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9"]

    with pytest.raises(FetchFailed, match="the connection was refused"):
        post(client(PUBLIC_ONLY, answers=answers), "https://hooks.example.com/")

    assert connected == [("2606:4700::1111", 443), ("8.8.8.8", 443), ("8.8.4.4", 443), ("1.1.1.1", 443)]


@pytest.mark.parametrize(
    "target",
    [
        *(
            "http://169.254.169.254/latest/",
            "http://10.0.0.1/",
            "http://[::1]/",
            "//0x7f.1/",
            "http://other.example.com/",
        ),
        *(
            "http://hooks.example.com:8081/",
            "ftp://hooks.example.com/",
            "http://user@hooks.example.com/",
            "http://[",
            "",
        ),
    ],
)
def test_a_redirect_to_elsewhere_is_not_followed(site: FakeCarrier, target: str) -> None:
    site.play = answer(302, b"", {"Location": target} if target else {})
    asked: list[str] = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with pytest.raises((AddressRefused, FetchFailed)) as caught:
        fetch(PublicHttp(LOOPBACK, resolve=resolve), f"http://hooks.example.com:{port_of(site)}/")

    assert getattr(caught.value, "retryable", False) is False
    assert (asked, len(site.received)) == (["hooks.example.com"], 1)


def test_a_redirect_to_a_private_address_of_the_same_name_is_not_connected_to(site: FakeCarrier) -> None:
    """The name resolves to an allowed address first, and to another one when the redirect is followed."""
    site.play = send(
        b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", then_close=True
    )
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    guard = Guard.allowing(["127.0.0.1/32"])

    with pytest.raises(AddressRefused):
        fetch(PublicHttp(guard, resolve=lambda _host, _port: next(answers)), f"http://a.example.com:{port_of(site)}/")

    assert site.connections == 1


def test_posts_follow_no_redirect(site: FakeCarrier) -> None:
    site.play = answer(307, b"", {"Location": "/elsewhere"})

    assert post(client(), site.url).status == 307
    assert len(site.received) == 1


def test_a_redirect_from_https_to_http_is_refused(certificate: Path) -> None:
    with closing(FakeCarrier(_server_tls(certificate))) as site:
        site.play = answer(302, b"", {"Location": f"http://127.0.0.1:{port_of(site)}/"})

        with pytest.raises(AddressRefused):
            fetch(client(tls=ssl.create_default_context(cafile=str(certificate))), f"{site.url}/")

        assert len(site.received) == 1


def test_a_redirect_on_the_same_host_is_followed_three_times(site: FakeCarrier) -> None:
    pages = {"/0": "/1", "/1": "../2", "/2": "3"}

    def play(site: FakeCarrier, connection: socket.socket) -> None:
        target = site.received[-1].target
        page = answer(302, b"", {"Location": pages[target]}) if target in pages else answer(200, b"there")
        page(site, connection)

    site.play = play

    assert fetch(client(), f"{site.url}/0") == b"there"
    assert [request.target for request in site.received] == ["/0", "/1", "/2", "/3"]


def test_a_redirect_in_circles_ends(site: FakeCarrier) -> None:
    site.play = answer(302, b"", {"Location": "/again"})

    with pytest.raises(FetchFailed, match="too many redirects"):
        fetch(client(), site.url)

    assert len(site.received) == 4


# --- Credentials ------------------------------------------------------------------------------------------------------


def test_credentials_go_to_their_own_origin_only(site: FakeCarrier) -> None:
    site.play = answer(200, b"image")
    port = port_of(site)
    account = Credentials.basic(f"http://api.example.com:{port}", "AC1", "secret")
    http = client(answers=["127.0.0.1"])

    for host in ("api.example.com", "elsewhere.example.com", "api.example.com.example.org"):
        fetch(http, f"http://{host}:{port}/media", credentials=account)

    assert [request.headers.get("authorization") for request in site.received] == ["Basic QUMxOnNlY3JldA==", None, None]
    assert "secret" not in repr(account)


def test_a_host_that_was_named_as_a_further_one_gets_the_redirect_and_no_credentials(site: FakeCarrier) -> None:
    port = port_of(site)
    moved = answer(307, b"", {"Location": f"http://media.example.net:{port}/file?signature=x"})
    site.play = lambda site, connection: (moved if len(site.received) == 1 else answer(200, b"image"))(site, connection)
    account = Credentials.basic(f"http://api.example.com:{port}", "AC1", "secret")

    content = fetch(
        client(answers=["127.0.0.1"]),
        f"http://api.example.com:{port}/media",
        credentials=account,
        redirect_hosts=frozenset({"media.example.net"}),
    )

    assert content == b"image"
    assert ["authorization" in request.headers for request in site.received] == [True, False]


def test_nothing_of_the_environment_reaches_the_call(
    site: FakeCarrier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.play = answer(200, b"", {"Set-Cookie": "a=b; Path=/"})
    http = client()

    post(http, site.url)
    post(http, site.url)

    assert {"cookie", "authorization"}.isdisjoint(site.received[1].headers)
    assert site.received[1].headers["user-agent"] == "Switchboard/1"


# --- The name stays the name ------------------------------------------------------------------------------------------


def _server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=site"]
        + ["-addext", "subjectAltName=DNS:hooks.example.com,IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    certificate.write_text(certificate.read_text() + key.read_text())
    return certificate


def test_tls_and_host_carry_the_name_not_the_address(certificate: Path) -> None:
    asked: list[str | None] = []
    context = _server_tls(certificate)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    with closing(FakeCarrier(context)) as site:
        http = client(answers=["127.0.0.1"], tls=ssl.create_default_context(cafile=str(certificate)))

        status = post(http, f"https://hooks.example.com:{port_of(site)}/").status

        assert (status, asked) == (200, ["hooks.example.com"])
        assert site.received[0].headers["host"] == f"hooks.example.com:{port_of(site)}"


def test_a_certificate_of_another_name_is_refused(certificate: Path) -> None:
    with closing(FakeCarrier(_server_tls(certificate))) as site:
        http = client(answers=["127.0.0.1"], tls=ssl.create_default_context(cafile=str(certificate)))

        with pytest.raises(FetchFailed, match="TLS handshake failed"):
            post(http, f"https://other.example.com:{port_of(site)}/")

        assert site.received == []


# --- Bounds -----------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"
SLOW: dict[str, Play] = {
    "silence": say_nothing,
    "trickling status": trickle(b"", b"H"),
    "trickling headers": trickle(HEAD, b"X-A: b\r\n"),
    "trickling body": trickle(HEAD + b"Content-Length: 100000\r\n\r\n", b"a"),
    "trickling chunks": trickle(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
}


@pytest.mark.parametrize("play", SLOW.values(), ids=SLOW.keys())
def test_a_slow_response_is_aborted_at_the_deadline(site: FakeCarrier, play: Play) -> None:
    site.play = play
    began = time.monotonic()

    with pytest.raises(FetchFailed, match="no complete response in time") as caught:
        fetch(client(), site.url, deadline_seconds=0.4)

    assert caught.value.retryable is True
    assert time.monotonic() - began < 5


def test_redirects_share_the_deadline(site: FakeCarrier) -> None:
    def late(_site: FakeCarrier, connection: socket.socket) -> None:
        site.stopped.wait(0.6)
        answer(302, b"", {"Location": "/again"})(site, connection)

    site.play = late
    began = time.monotonic()

    with pytest.raises(FetchFailed, match="in time"):
        fetch(client(), site.url, deadline_seconds=1)

    assert time.monotonic() - began < 5
    assert len(site.received) == 2


def test_a_name_that_never_resolves_is_given_up() -> None:
    never = threading.Event()
    http = PublicHttp(PUBLIC_ONLY, resolve=lambda _host, _port: [str(never.wait(5))], connect_seconds=0.2)
    began = time.monotonic()

    with pytest.raises(FetchFailed, match="connecting took too long"):
        post(http, "https://hooks.example.com/")

    never.set()
    assert time.monotonic() - began < 4


def test_an_unknown_name_is_retryable() -> None:
    def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    with pytest.raises(FetchFailed, match="the host name is not known") as caught:
        post(PublicHttp(PUBLIC_ONLY, resolve=unknown), "https://hooks.example.com/")

    assert caught.value.retryable is True


FLOODS: dict[str, Play] = {
    "declared": send(HEAD + b"Content-Length: 999999999999\r\n\r\n"),
    "not declared": flood(HEAD + b"\r\n", b"a" * 65536, 400),
    "in chunks": flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"a" * 65536 + b"\r\n", 400),
}


@pytest.mark.parametrize("play", FLOODS.values(), ids=FLOODS.keys())
def test_no_more_is_taken_than_may_be(site: FakeCarrier, play: Play) -> None:
    site.play = play
    taken: list[int] = []

    with pytest.raises(TooLarge):
        taken.extend(map(len, client().fetch(site.url, max_bytes=MEGABYTE, deadline_seconds=5)))

    assert sum(taken) <= MEGABYTE


@pytest.mark.parametrize(
    "play",
    [
        flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1" * 65536, 400),
        flood(HEAD, b"X-A: " + b"a" * 65536, 400),
        flood(HEAD, b"X-A: b\r\n" * 200, 400),
        flood(b"", b"a" * 65536, 400),
    ],
    ids=["an endless chunk size", "an endless header", "endless headers", "an endless status"],
)
def test_a_flood_where_no_content_is_breaks_the_call(site: FakeCarrier, play: Play) -> None:
    site.play = play

    with pytest.raises(FetchFailed):
        fetch(client(), site.url)


def test_a_response_shorter_than_its_length_fails(site: FakeCarrier) -> None:
    site.play = send(HEAD + b"Content-Length: 10\r\n\r\nabc", then_close=True)

    with pytest.raises(FetchFailed) as caught:
        fetch(client(), site.url)

    assert caught.value.retryable is True


def test_bytes_after_a_response_are_not_read_as_the_next_one(site: FakeCarrier) -> None:
    site.play = send(HEAD + b"Content-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake")
    http = client()

    contents = [fetch(http, site.url), fetch(http, site.url)]

    assert contents == [b"abc", b"abc"]


def test_compressed_content_is_not_unpacked(site: FakeCarrier) -> None:
    bomb = gzip.compress(b"\x00" * 20 * MEGABYTE)
    site.play = answer(200, bomb, {"Content-Encoding": "gzip"})

    with pytest.raises(FetchFailed, match="compressed") as caught:
        fetch(client(), site.url)

    assert (caught.value.retryable, site.received[0].headers["accept-encoding"]) == (False, "identity")


@pytest.mark.parametrize(("status", "again"), [(204, False), (404, False), (401, False), (429, True), (503, True)])
def test_a_failed_status_is_retryable_or_not(site: FakeCarrier, status: int, again: bool) -> None:
    site.play = answer(status, b"")

    with pytest.raises(FetchFailed) as caught:
        fetch(client(), site.url)

    assert (caught.value.status, caught.value.retryable) == (status, again)


# --- Posts ------------------------------------------------------------------------------------------------------------


def test_a_post_gives_status_and_headers(site: FakeCarrier) -> None:
    site.play = answer(503, b"a secret of theirs", {"Retry-After": "7"})

    given = post(client(), f"{site.url}/hook?a=b")

    assert (given.status, given.headers["retry-after"], given.body) == (503, "7", b"")
    assert [(request.method, request.target, request.body) for request in site.received] == [
        ("POST", "/hook?a=b", b"{}")
    ]


def test_connections_are_used_again(site: FakeCarrier) -> None:
    site.play = answer(200, b"x" * 60_000)
    http = client()

    for _ in range(3):
        post(http, site.url)

    assert (len(site.received), site.connections) == (3, 1)


@pytest.mark.parametrize(
    "play",
    [
        flood(HEAD + b"\r\n", b"a" * 65536, 400),
        flood(HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"\x00" * MEGABYTE), 400),
        send(HEAD + b"Content-Length: 10\r\n\r\nabc", then_close=True),
        trickle(HEAD + b"Content-Length: 100000\r\n\r\n", b"a"),
    ],
    ids=["a flood", "a bomb", "a broken body", "a trickling body"],
)
def test_a_post_ignores_what_follows_the_status(site: FakeCarrier, play: Play) -> None:
    site.play = play
    began = time.monotonic()

    assert post(client(), site.url, seconds=2).status == 200
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("play", [hang_up, say_nothing, trickle(b"", b"H"), trickle(HEAD, b"X-A: b\r\n")])
def test_a_post_without_a_response_fails(site: FakeCarrier, play: Play) -> None:
    site.play = play
    began = time.monotonic()

    with pytest.raises(FetchFailed) as caught:
        post(client(), site.url, seconds=0.4)

    assert caught.value.retryable is True
    assert time.monotonic() - began < 5


@each_call
def test_no_error_shows_where_it_was(site: FakeCarrier, call: Callable[[PublicHttp, str], object]) -> None:
    url = f"{site.url}/hook?token=secret"
    site.close()

    with pytest.raises(FetchFailed) as caught:
        call(client(), url)

    assert not re.search(r"secret|127\.0\.0\.1", str(caught.value))
