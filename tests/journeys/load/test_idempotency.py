"""A client that repeats a request, even two hundred times at once, sends one message."""

import contextlib
import threading
import uuid
from collections.abc import Iterator

import psycopg
import pytest
import requests

from tests.environment import GIVEN_DATABASE_URL
from tests.journeys.client import ON_THE_WAY, Client, in_parallel
from tests.journeys.stack import Stack

REQUESTS = 200
TRIES = 1_000
CUT_EVERY_SECONDS = 0.2
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@contextlib.contextmanager
def connections_cut_again_and_again(stack: Stack) -> Iterator[list[int]]:
    """The server ends all connections of all processes every `CUT_EVERY_SECONDS`. Yields the number of each time."""
    cuts: list[int] = []
    stopping = threading.Event()

    def cut() -> None:
        with psycopg.connect(stack.environment["DATABASE_URL"], autocommit=True) as own:
            while not stopping.wait(CUT_EVERY_SECONDS):
                cuts.append(len(own.execute(CUT).fetchall()))

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield cuts
    finally:
        stopping.set()
        thread.join()


def replayed(answers: list[requests.Response]) -> int:
    return sum(answer.headers.get("Idempotent-Replay") == "true" for answer in answers)


def test_two_hundred_concurrent_requests_with_one_key_create_one_message(client: Client) -> None:
    body = {"to": "+14155550301", "message": "Your code is 123456", "reference": "at-once"}
    key = str(uuid.uuid4())

    answers = in_parallel([lambda: client.post("messages/", body, Idempotency_Key=key)] * REQUESTS, threads=REQUESTS)

    assert {answer.status_code for answer in answers} == {202}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert replayed(answers) == REQUESTS - 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert client.get("messages/", reference="at-once")["count"] == 1
    message_id = answers[0].json()["id"]
    client.wait_for(message_id, "delivered")
    assert [entry["reference"] for entry in client.stack.sandbox_log()["accepted"] if entry["to"] == body["to"]] == [
        message_id
    ]


@pytest.mark.skipif(not GIVEN_DATABASE_URL, reason="SQLite has no connections to cut")
def test_one_key_makes_one_message_while_connections_are_cut(client: Client) -> None:
    """Also the answer to the request that stored the message may be lost: then a repeat gets it."""
    body = {"to": "+14155550304", "message": "Your code is 123456", "reference": "cut"}
    key = str(uuid.uuid4())

    def try_until_accepted() -> list[requests.Response]:
        answers = [client.post("messages/", body, Idempotency_Key=key)]
        while answers[-1].status_code != 202 and len(answers) < TRIES:
            answers.append(client.post("messages/", body, Idempotency_Key=key))
        return answers

    with connections_cut_again_and_again(client.stack) as cuts:
        tried = in_parallel([try_until_accepted] * REQUESTS, threads=32)

    answers = [answer for each in tried for answer in each]
    assert sum(cuts) > 0
    assert {answer.status_code for answer in answers} <= {202, 503}
    assert 503 in {answer.status_code for answer in answers}  # or nothing was cut at a bad moment
    assert {each[-1].status_code for each in tried} == {202}
    assert all(each[-1].json() == tried[0][-1].json() for each in tried)
    assert client.get("messages/", reference="cut")["count"] == 1
    message_id = tried[0][-1].json()["id"]
    client.wait_for(message_id, "delivered")
    assert [entry["reference"] for entry in client.stack.sandbox_log()["accepted"] if entry["to"] == body["to"]] == [
        message_id
    ]


def test_a_batch_is_accepted_once(client: Client) -> None:
    body = {"messages": [{"to": f"+141555503{i}", "message": "Hello", "reference": "batch"} for i in range(10, 30)]}
    key = str(uuid.uuid4())

    answers = in_parallel([lambda: client.post("messages/batch/", body, Idempotency_Key=key)] * 20, threads=20)

    assert {answer.status_code for answer in answers} == {202}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert replayed(answers) == 19
    assert client.get("messages/", reference="batch")["count"] == 20


def test_keys_of_different_users_are_independent(client: Client) -> None:
    other = Client(client.stack, "other")
    body = {"to": "+14155550302", "message": "Hello", "reference": "two users"}
    key = str(uuid.uuid4())

    answers = in_parallel(
        [lambda user=user: user.post("messages/", body, Idempotency_Key=key) for user in (client, other)] * 10,
        threads=20,
    )

    assert len({answer.json()["id"] for answer in answers[::2]}) == 1
    assert len({answer.json()["id"] for answer in answers}) == 2
    assert client.get("messages/", reference="two users")["count"] == 1
    assert other.get("messages/", reference="two users")["count"] == 1
    other.wait_until_none_is(ON_THE_WAY)  # the next journey counts the calls to the carriers


def test_a_key_names_one_request_and_a_refused_request_does_not_use_it(client: Client) -> None:
    key = str(uuid.uuid4())
    good = {"to": "+14155550303", "message": "Hello", "reference": "one key"}

    refused = client.post("messages/", good | {"to": "+1"}, Idempotency_Key=key)
    accepted = client.post("messages/", good, Idempotency_Key=key)
    reused = client.post("messages/", good | {"message": "Good-bye"}, Idempotency_Key=key)

    assert [answer.status_code for answer in (refused, accepted, reused)] == [400, 202, 422]
    assert reused.json()["code"] == "idempotency_key_reused"
    assert client.get("messages/", reference="one key")["count"] == 1
