"""Tokens of OAuth 2.0: one fetch for all threads, one repetition after a 401, and endpoints that fail."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from providers import send_gate
from providers.errors import CredentialsRefused, Misconfigured, RateLimited, SendError, Unavailable
from providers.http.transport import Transport
from tests.contract.fake_carrier import BROKEN_RESPONSES, FakeCarrier, Play, answer
from tests.providers.http.authenticated_calls import SECRET, Clock, accepts, numbered_tokens, oauth, through, tokens_of


def test_a_token_is_fetched_once_and_kept(endpoint: FakeCarrier, carrier: FakeCarrier, http: Transport) -> None:
    auth = oauth(endpoint, http, scope="sms:send sms:read")

    for _ in range(3):
        auth.call(through(carrier, http))

    assert tokens_of(carrier) == ["t1", "t1", "t1"]
    [request] = endpoint.received
    assert (request.method, request.target) == ("POST", "/token")
    assert request.form() == {"grant_type": ["client_credentials"], "scope": ["sms:send sms:read"]}
    assert request.headers["authorization"] == "Basic aWQ6bWFkZS11cC1zZWNyZXQ="


def test_the_client_may_authenticate_in_the_body(endpoint: FakeCarrier, http: Transport) -> None:
    oauth(endpoint, http, token_endpoint_auth_method="client_secret_post").headers()

    assert "authorization" not in endpoint.received[0].headers
    assert endpoint.received[0].form() == {
        "grant_type": ["client_credentials"],
        "client_id": ["id"],
        "client_secret": [SECRET],
    }


@pytest.mark.parametrize(
    ("lifetime", "kept_for"),
    [(3600, 3540), ("3600", 3540), (100, 90), (10**12, 2_591_940), (None, None), ("soon", None), (10**400, None)],
)
def test_a_token_is_kept_until_shortly_before_its_end(
    endpoint: FakeCarrier, http: Transport, lifetime: Any, kept_for: int | None
) -> None:
    endpoint.play = answer(200, {"access_token": "t", "expires_in": lifetime})
    clock = Clock()
    auth = oauth(endpoint, http, clock=clock)
    auth.headers()

    clock.now += (kept_for or 10**9) - 1
    auth.headers()
    assert len(endpoint.received) == 1

    clock.now += 2
    auth.headers()
    assert len(endpoint.received) == (2 if kept_for else 1)


def test_a_401_fetches_a_new_token_and_sends_once_more(
    endpoint: FakeCarrier, carrier: FakeCarrier, http: Transport
) -> None:
    carrier.play = accepts("t2")
    auth = oauth(endpoint, http)

    assert auth.call(through(carrier, http)).status == 202
    assert auth.call(through(carrier, http)).status == 202

    assert tokens_of(carrier) == ["t1", "t2", "t2"]
    assert len(endpoint.received) == 2


def test_a_second_401_is_final(endpoint: FakeCarrier, carrier: FakeCarrier, http: Transport) -> None:
    carrier.play = answer(401)

    assert oauth(endpoint, http).call(through(carrier, http)).status == 401

    assert tokens_of(carrier) == ["t1", "t2"]


def test_a_call_is_not_repeated_with_the_token_that_was_refused(
    endpoint: FakeCarrier, carrier: FakeCarrier, http: Transport
) -> None:
    endpoint.play = answer(200, {"access_token": "same"})
    carrier.play = answer(401)

    assert oauth(endpoint, http).call(through(carrier, http)).status == 401

    assert tokens_of(carrier) == ["same"]


def test_threads_share_one_fetch_and_one_renewal(endpoint: FakeCarrier, carrier: FakeCarrier, http: Transport) -> None:
    carrier.play = accepts("t2")
    auth = oauth(endpoint, http)
    start = threading.Barrier(6)

    def send(_number: int) -> int:
        start.wait()
        return auth.call(through(carrier, http)).status

    with ThreadPoolExecutor(6) as threads:
        statuses = list(threads.map(send, range(6)))

    assert statuses == [202] * 6
    assert len(endpoint.received) == 2


def test_threads_that_wait_share_a_failure(endpoint: FakeCarrier, http: Transport) -> None:
    def fail_slowly(fake: FakeCarrier, connection: Any) -> None:
        time.sleep(0.3)
        answer(503)(fake, connection)

    endpoint.play = fail_slowly
    auth = oauth(endpoint, http)
    start = threading.Barrier(4)

    def fault(_number: int) -> type[BaseException] | None:
        start.wait()
        try:
            auth.headers()
        except SendError as error:
            return type(error)
        return None

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(fault, range(4))) == [Unavailable] * 4

    assert len(endpoint.received) == 1
    endpoint.play = numbered_tokens
    assert auth.headers() == {"Authorization": "Bearer t2"}


def test_the_gate_is_asked_for_each_call_and_never_for_a_token(
    endpoint: FakeCarrier, carrier: FakeCarrier, http: Transport
) -> None:
    carrier.play = accepts("t2")
    asked: list[tuple[int, int]] = []

    def gate() -> float:
        asked.append((len(endpoint.received), len(carrier.received)))
        return 0.0

    with send_gate.through(gate):
        oauth(endpoint, http).call(through(carrier, http))

    assert asked == [(1, 0), (2, 1)]


def test_a_repetition_that_the_gate_stops_is_not_sent(
    endpoint: FakeCarrier, carrier: FakeCarrier, http: Transport
) -> None:
    carrier.play = answer(401)
    waits = iter([0.0, 3.0])

    with send_gate.through(lambda: next(waits)), pytest.raises(send_gate.RetryAfter):
        oauth(endpoint, http).call(through(carrier, http))

    assert tokens_of(carrier) == ["t1"]


# --- token endpoints that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("play", "fault"),
    [
        (answer(401, {"error": "invalid_client"}), CredentialsRefused),
        (answer(400, {"error": "invalid_client", "error_description": SECRET}), CredentialsRefused),
        (answer(403), CredentialsRefused),
        (answer(400, {"error": "invalid_scope"}), Misconfigured),
        (answer(400, b"<html>"), Misconfigured),
        (answer(400, b"[]"), Misconfigured),
        (answer(404), Misconfigured),
        (answer(302, b"", {"Location": "/elsewhere"}), Misconfigured),
        (answer(429, b"", {"Retry-After": "7"}), RateLimited),
        (answer(500), Unavailable),
        (answer(503, b"", {"Retry-After": "7"}), Unavailable),
        (answer(200, b"<html>"), Unavailable),
        (answer(200, b"[]"), Misconfigured),
        (answer(200, {"error": "invalid_client"}), Misconfigured),
        (answer(200, {"access_token": ""}), Misconfigured),
        (answer(200, {"access_token": 5}), Misconfigured),
        (answer(200, {"access_token": "t" * 8193}), Misconfigured),
        (answer(200, {"access_token": "a b"}), Misconfigured),
        (answer(200, {"access_token": "t", "token_type": "mac"}), Misconfigured),
    ],
)
def test_an_answer_without_a_token_says_who_has_to_act(
    endpoint: FakeCarrier, carrier: FakeCarrier, http: Transport, play: Play, fault: type[Unavailable]
) -> None:
    endpoint.play = play

    with pytest.raises(Unavailable) as caught:
        oauth(endpoint, http).call(through(carrier, http))

    assert type(caught.value) is fault
    assert SECRET not in str(caught.value)
    assert carrier.received == []


@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_that_a_token_endpoint_asks_for_is_kept(endpoint: FakeCarrier, http: Transport, status: int) -> None:
    endpoint.play = answer(status, b"", {"Retry-After": "7"})

    with pytest.raises(Unavailable) as caught:
        oauth(endpoint, http).headers()

    assert caught.value.retry_after == 7


def test_a_token_endpoint_that_breaks_off_has_sent_no_message(
    endpoint: FakeCarrier, carrier: FakeCarrier, http: Transport
) -> None:
    for play in BROKEN_RESPONSES.values():
        endpoint.play = play
        with pytest.raises(Unavailable):
            oauth(endpoint, http).call(through(carrier, http))

    assert carrier.received == []


def test_a_token_endpoint_that_is_down_has_sent_no_message(
    endpoint: FakeCarrier, carrier: FakeCarrier, http: Transport
) -> None:
    auth = oauth(endpoint, http)
    endpoint.close()

    with pytest.raises(Unavailable, match="the token endpoint: the connection was refused"):
        auth.call(through(carrier, http))

    assert carrier.received == []
