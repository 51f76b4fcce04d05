"""A client that repeats a request, even two hundred times at once, sends one message."""

import uuid

import requests

from tests.journeys.client import ON_THE_WAY, Client, in_parallel

REQUESTS = 200


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
    other.wait_until_none_is(ON_THE_WAY, seconds=60)  # the next journey counts the calls to the carriers


def test_a_key_names_one_request_and_a_refused_request_does_not_use_it(client: Client) -> None:
    key = str(uuid.uuid4())
    good = {"to": "+14155550303", "message": "Hello", "reference": "one key"}

    refused = client.post("messages/", good | {"to": "+1"}, Idempotency_Key=key)
    accepted = client.post("messages/", good, Idempotency_Key=key)
    reused = client.post("messages/", good | {"message": "Good-bye"}, Idempotency_Key=key)

    assert [answer.status_code for answer in (refused, accepted, reused)] == [400, 202, 422]
    assert reused.json()["code"] == "idempotency_key_reused"
    assert client.get("messages/", reference="one key")["count"] == 1
