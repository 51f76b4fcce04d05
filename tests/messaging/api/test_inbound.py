"""POST /messages/inbound/."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from media_store import services as media
from messaging.models import Message
from tests.factories import NOW
from tests.media_store import pictures
from tests.messaging.api.conftest import assert_problem, errors_of

PERSON, OURS = "+14155550101", "+15005550006"
BODY = {"from": PERSON, "to": OURS, "message": "Hello"}
ADDRESS = "messages/inbound/"


def assert_nothing_stored() -> None:
    assert not Message.objects.exists()


def test_a_text_is_201_with_the_message(api, broker, django_capture_on_commit_callbacks) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = api.post(ADDRESS, BODY)

    message = Message.objects.get()
    body = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"http://testserver/api/v1/messages/{message.pk}/"
    assert body == api.get(f"messages/{message.pk}/").json()
    assert body["received_at"].endswith("Z")
    assert {name: body[name] for name in ("from", "to", "message", "status", "direction", "queue", "media")} == {
        **BODY,
        "status": "received",
        "direction": "inbound",
        "queue": None,
        "media": [],
    }
    assert message.owner == api.user
    assert broker.inbound_notifications == ["messaging.process_inbound"]


def test_a_repeat_is_200_with_the_first_one(api, broker) -> None:
    first = api.post(ADDRESS, BODY)

    again = api.post(ADDRESS, BODY)

    assert (again.status_code, again.headers["Duplicate"], again.json()) == (200, "true", first.json())
    assert "Duplicate" not in first.headers
    assert Message.objects.count() == 1


def test_the_sixth_in_a_minute_is_429_with_the_time_to_wait(api) -> None:
    for number in range(5):
        assert api.post(ADDRESS, {**BODY, "message": f"{number}"}).status_code == 201

    response = api.post(ADDRESS, {**BODY, "message": "6"})

    assert_problem(response, 429, "sender_rate_limited")
    oldest = Message.objects.order_by("pk").first().received_at
    left = (oldest + timedelta(seconds=60) - timezone.now()).total_seconds()
    assert left <= int(response.headers["Retry-After"]) <= 60
    assert Message.objects.count() == 5
    assert api.post(ADDRESS, {**BODY, "message": "4"}).status_code in {200, 429}


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"from": None}, {("from", "null")}),
        ({"from": "x"}, {("from", "invalid_number")}),
        ({"to": "12345"}, {("to", "invalid_number")}),
        ({"message": ""}, {("message", "blank")}),
        ({"message": "x" * 161}, {("message", "max_length")}),
        ({"message": "x" * 1601}, {("message", "max_length")}),
        ({"message": 5}, {("message", "invalid")}),
        ({"media": "x"}, {("media", "not_a_list")}),
        ({"media": ["x"]}, {("media.0", "invalid")}),
        ({"media": ["0191f0a0-0000-7000-8000-000000000000"]}, {("media", "unknown_asset")}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_invalid_input_is_400(api, changes: dict, errors: set) -> None:
    assert errors_of(api.post(ADDRESS, {**BODY, **changes})) == errors

    assert_nothing_stored()


def test_160_characters_are_accepted_in_any_alphabet(api) -> None:
    assert api.post(ADDRESS, {**BODY, "message": "ж" * 160}).status_code == 201


def test_after_a_stop_is_201_a_message_to_the_person_is_409_until_they_write_start(api) -> None:
    message = {"to": PERSON, "message": "Hi"}

    assert api.post(ADDRESS, {**BODY, "message": "STOP"}).status_code == 201
    assert_problem(api.post("messages/", message), 409, "recipient_opted_out")
    [batched] = api.post("messages/batch/", {"messages": [message]}).json()["results"]
    assert batched["error"]["code"] == "recipient_opted_out"

    assert api.post(ADDRESS, {**BODY, "message": "START"}).status_code == 201
    assert api.post("messages/", message).status_code == 202


def test_a_stop_over_the_limit_is_429_and_counts(api) -> None:
    for number in range(5):
        api.post(ADDRESS, {**BODY, "message": f"{number}"})

    assert_problem(api.post(ADDRESS, {**BODY, "message": "STOP"}), 429, "sender_rate_limited")

    assert_problem(api.post("messages/", {"to": PERSON, "message": "Hi"}), 409, "recipient_opted_out")
    assert Message.objects.count() == 5


def test_media_of_the_client_are_attached(api, media_folder) -> None:
    asset = media.store(owner=api.user, stream=[pictures.encoded("PNG")], now=NOW).asset

    response = api.post(ADDRESS, {**BODY, "media": [str(asset.pk), str(asset.pk)]})

    assert (response.status_code, response.json()["media"]) == (201, [str(asset.pk)])


def test_recording_requires_the_permission_to_add_messages(staff, anonymous) -> None:
    assert_problem(staff.post(ADDRESS, BODY), 403, "permission_denied")
    assert_problem(anonymous.post(ADDRESS, BODY), 401, "not_authenticated")

    assert_nothing_stored()


@pytest.mark.django_db(transaction=True)
def test_a_hundred_equal_requests_at_once_are_one_row(api, settings) -> None:
    settings.INBOUND_REPEAT_WINDOW = 60  # a slow machine needs longer than two seconds for a hundred

    answers = _at_once(lambda _number: api.post(ADDRESS, BODY))

    assert sorted(answer.status_code for answer in answers) == [200] * 99 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Message.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_a_hundred_different_requests_at_once_exactly_five_are_accepted(api) -> None:
    answers = _at_once(lambda number: api.post(ADDRESS, {**BODY, "message": f"{number}"}))

    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [429] * 95
    waits = {int(answer.headers["Retry-After"]) for answer in answers if answer.status_code == 429}
    assert max(waits) <= 60
    assert min(waits) >= 30
    assert Message.objects.count() == 5


def _at_once(call) -> list:
    def run(number: int):
        try:
            return call(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as executor:
        return list(executor.map(run, range(100)))
