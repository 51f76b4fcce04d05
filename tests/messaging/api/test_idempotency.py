"""Idempotency-Key: a client that repeats a request does not send twice."""

from functools import partial

import pytest
from django.utils import timezone

from messaging.models import IdempotencyRecord, Message
from messaging.services import installation
from messaging.services.outbound import idempotency
from tests.factories import PhoneNumberFactory
from tests.messaging.api.conftest import Api, assert_problem, errors_of
from tests.messaging.parallel import at_once

BODY = {"to": "+14155550101", "message": "Hello"}


def test_a_repeat_gets_the_first_response(api, broker, django_capture_on_commit_callbacks) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        first = api.post("messages/", BODY, Idempotency_Key="k")
        Message.objects.update(status="canceled")
        broker.notified.clear()
        repeat = api.post("messages/", BODY, Idempotency_Key="k")

    assert (first.status_code, repeat.status_code) == (202, 202)
    assert repeat.json() == first.json()
    assert repeat.headers["Location"] == first.headers["Location"]
    assert repeat.headers["Idempotent-Replay"] == "true"
    assert "Idempotent-Replay" not in first.headers
    assert Message.objects.count() == 1
    assert broker.notified == ["express"]


@pytest.mark.parametrize("path", ["messages/", "messages"])
@pytest.mark.parametrize(
    "data", ['{"message": "Hello",  "to": "+14155550101"}', '{"to":"+14155550101","message":"Hell\\u006f"}']
)
def test_the_same_request_in_another_notation_is_a_repeat(api, path: str, data: str) -> None:
    first = api.post("messages/", BODY, Idempotency_Key="k")

    repeat = api.post(path, data=data, Idempotency_Key="k")

    assert repeat.json() == first.json()
    assert Message.objects.count() == 1


@pytest.mark.parametrize("change", [{"message": "Other"}, {"reference": "x"}, {"valid_for": 14_400}], ids=str)
def test_another_body_under_the_key_is_refused(api, change) -> None:
    api.post("messages/", BODY, Idempotency_Key="k")

    assert_problem(api.post("messages/", {**BODY, **change}, Idempotency_Key="k"), 422, "idempotency_key_reused")

    assert Message.objects.count() == 1


def test_keys_of_messages_and_batches_are_separate(api) -> None:
    api.post("messages/", BODY, Idempotency_Key="k")

    response = api.post("messages/batch/", {"messages": [BODY]}, Idempotency_Key="k")

    assert_problem(response, 422, "idempotency_key_reused")
    assert Message.objects.count() == 1


def test_two_users_may_have_the_same_key(api, stranger) -> None:
    first, second = (client.post("messages/", BODY, Idempotency_Key="k") for client in (api, stranger))

    assert first.json()["id"] != second.json()["id"]
    assert "Idempotent-Replay" not in second.headers


def test_a_refused_request_does_not_use_the_key(api) -> None:
    assert errors_of(api.post("messages/", {**BODY, "to": "x"}, Idempotency_Key="k")) == {("to", "invalid_number")}
    assert errors_of(api.post("messages/", {**BODY, "queue": "x"}, Idempotency_Key="k")) == {("queue", "unknown_queue")}
    number = PhoneNumberFactory(number=BODY["to"], inactive=True)
    assert_problem(api.post("messages/", BODY, Idempotency_Key="k"), 409, "recipient_inactive")
    number.delete()

    response = api.post("messages/", BODY, Idempotency_Key="k")

    assert response.status_code == 202
    assert "Idempotent-Replay" not in response.headers
    assert Message.objects.count() == 1


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "\xe9"])
def test_an_invalid_key_is_refused(api, key: str) -> None:
    response = api.post("messages/", BODY, Idempotency_Key=key)

    assert errors_of(response) == {("Idempotency-Key", "invalid_key")}
    assert not Message.objects.exists()


@pytest.mark.parametrize("key", ["k" * 255, "~ !"])
def test_printable_ascii_is_a_key(api, key: str) -> None:
    assert api.post("messages/", BODY, Idempotency_Key=key).status_code == 202


def test_a_key_can_be_reused_after_a_day(api) -> None:
    first = api.post("messages/", BODY, Idempotency_Key="k")
    IdempotencyRecord.objects.update(created_at=timezone.now() - idempotency.KEPT_FOR)

    second = api.post("messages/", BODY, Idempotency_Key="k")

    assert second.json()["id"] != first.json()["id"]


def test_a_key_covers_a_batch(api) -> None:
    first = api.post("messages/batch/", {"messages": [BODY, {}]}, Idempotency_Key="k")
    repeat = api.post("messages/batch/", {"messages": [BODY, {}]}, Idempotency_Key="k")

    assert repeat.json() == first.json()
    assert repeat.headers["Idempotent-Replay"] == "true"
    assert Message.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_parallel_requests_with_one_key_make_one_message() -> None:
    installation.install()
    api = Api(installation.service_user("client"))

    answers = at_once([partial(api.post, "messages/", BODY, Idempotency_Key="k")] * 20)

    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["id"] for answer in answers} == {str(Message.objects.get().pk)}
    assert sum("Idempotent-Replay" in answer.headers for answer in answers) == 19
