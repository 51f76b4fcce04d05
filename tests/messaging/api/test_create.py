"""POST /messages/: accepted and refused requests, and their responses."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from messaging.api.serializers import MessageSerializer
from messaging.models import IdempotencyRecord, Message, MessageEvent, PhoneNumber
from tests.factories import PhoneNumberFactory, SenderFactory, UserFactory
from tests.messaging.api.conftest import assert_problem, errors_of

TO = "+14155550101"
BODY = {"to": TO, "message": "Your code is 123456"}
KEYS = {
    *("id", "direction", "from", "to", "message", "status", "queue", "encoding", "segments", "reference", "provider"),
    *("provider_message_id", "attempts", "error", "schedule", "category", "parameters"),
    *("template", "template_version", "media"),
    *("send_at", "created_at", "sent_at", "delivered_at", "updated_at"),
}


def assert_nothing_created() -> None:
    assert not Message.objects.exists()
    assert not MessageEvent.objects.exists()
    assert not PhoneNumber.objects.filter(number=TO, status="active").exists()
    assert not IdempotencyRecord.objects.exists()


def test_only_a_number_and_a_text_are_required(api) -> None:
    before = timezone.now()

    response = api.post("messages/", BODY)

    assert response.status_code == 202
    assert response.headers["Content-Type"] == "application/json"
    body = response.json()
    message = Message.objects.get()
    created = body.pop("created_at")
    assert body.pop("updated_at") == created
    assert created.endswith("Z")
    assert before <= datetime.fromisoformat(created) <= timezone.now()
    assert body == {
        "id": str(message.pk), "direction": "outbound", "from": None, "to": TO, "message": "Your code is 123456",
        "status": "queued", "queue": "express", "encoding": "gsm7", "segments": 1, "reference": None, "provider": None,
        "provider_message_id": None, "attempts": 0, "error": None, "schedule": None, "category": "transactional",
        "parameters": None, "template": None, "template_version": None, "media": [],
        "send_at": None, "sent_at": None, "delivered_at": None,
    }  # fmt: skip
    assert message.owner == api.user
    assert message.expires_at == message.created_at + timedelta(hours=4)
    assert "Idempotent-Replay" not in response.headers


def test_location_is_the_url_of_the_message(api) -> None:
    response = api.post("messages/", BODY)

    assert response.headers["Location"] == f"http://testserver/api/v1/messages/{response.json()['id']}/"
    assert api.get(response.headers["Location"]).json() == response.json()


def test_the_keys_are_those_of_the_contract_and_of_the_schema(api) -> None:
    body = api.post("messages/", BODY).json()

    assert set(body) == KEYS
    fields = MessageSerializer().get_fields()
    assert {name for name, field in fields.items() if field.required} == KEYS


def test_all_fields_are_stored(api) -> None:
    SenderFactory(number="+15005550006", owner=api.user)

    response = api.post(
        "messages/",
        {"to": "+1 (415) 555-0101", "message": " Grüße 🙂\n", "from": "+1 500 555 0006", "queue": "paced",
         "send_at": None, "valid_for": 60, "reference": "order-42", "media": [],
         "callback_url": "https://client.example/hook?x=1"},
    )  # fmt: skip

    assert response.status_code == 202
    body = response.json()
    assert (body["to"], body["from"], body["queue"]) == (TO, "+15005550006", "paced")
    assert (body["message"], body["encoding"], body["reference"]) == (" Grüße 🙂\n", "ucs2", "order-42")
    message = Message.objects.get()
    assert (message.valid_for, message.callback_url) == (60, "https://client.example/hook?x=1")


@pytest.mark.parametrize("field", ["from", "queue", "send_at", "reference", "media", "callback_url", "valid_for"])
def test_null_means_omitted(api, field: str) -> None:
    assert api.post("messages/", {**BODY, field: None}).status_code == 202


def test_the_default_queue_is_a_setting(api, settings) -> None:
    settings.DEFAULT_QUEUE = "paced"

    assert api.post("messages/", BODY).json()["queue"] == "paced"


def test_a_time_in_the_future_makes_it_scheduled(api, broker, django_capture_on_commit_callbacks) -> None:
    due = (timezone.now() + timedelta(hours=1)).replace(microsecond=0)

    with django_capture_on_commit_callbacks(execute=True):
        response = api.post("messages/", {**BODY, "send_at": due.isoformat()})

    assert (response.status_code, response.json()["status"]) == (202, "scheduled")
    assert response.json()["send_at"] == due.isoformat().replace("+00:00", "Z")
    assert broker.notified == []


@pytest.mark.parametrize("text", ["2026-12-01T09:00:00+01:00", "2026-12-01T08:00:00Z", "2026-12-01T08:00:00"])
def test_times_are_returned_in_utc(api, text: str) -> None:
    body = api.post("messages/", {**BODY, "send_at": text}).json()

    assert body["send_at"] == "2026-12-01T08:00:00Z"
    assert Message.objects.get().send_at == datetime(2026, 12, 1, 8, tzinfo=UTC)


def test_the_queue_is_notified_after_the_commit(api, broker, django_capture_on_commit_callbacks) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        api.post("messages/", BODY)
        assert broker.notified == []

    assert broker.notified == ["express"]


def test_response_only_fields_are_refused(api) -> None:
    response = api.post("messages/", {**BODY, "status": "delivered", "owner": 1})

    assert errors_of(response) == {("status", "unknown_field"), ("owner", "unknown_field")}
    assert not Message.objects.exists()


LONG = "x" * 101
BAD_FIELDS = [
    ({"to": None}, "to", "null"),
    ({"to": ""}, "to", "blank"),
    ({"to": 14155550101}, "to", "invalid"),
    ({"to": ["+14155550101"]}, "to", "invalid"),
    ({"to": "4155550101"}, "to", "invalid_number"),
    ({"to": "+1415555"}, "to", "impossible_number"),
    ({"to": "+1415\u0000"}, "to", "invalid_number"),
    ({"to": "+1" + "5" * 70}, "to", "invalid_number"),
    ({"message": None}, "message", "null"),
    ({"message": ""}, "message", "blank"),
    ({"message": " \n\t"}, "message", "blank"),
    ({"message": 5}, "message", "invalid"),
    ({"message": True}, "message", "invalid"),
    ({"message": {}}, "message", "invalid"),
    ({"message": "a\u0000b"}, "message", "null_characters_not_allowed"),
    ({"message": "\ud800"}, "message", "surrogate_characters_not_allowed"),
    ({"message": "a" * 1531}, "message", "too_long"),
    ({"message": "я" * 671}, "message", "too_long"),
    ({"message": "a" * 1601}, "message", "max_length"),
    ({"from": "nobody"}, "from", "sender_not_allowed"),
    ({"from": "12345"}, "from", "sender_not_allowed"),
    ({"from": "15005550006"}, "from", "invalid_number"),
    ({"from": "+15550101"}, "from", "impossible_number"),
    ({"from": "a name too long"}, "from", "invalid_sender"),
    ({"from": "Łódź"}, "from", "invalid_sender"),
    ({"from": ""}, "from", "blank"),
    ({"from": "a\u0000"}, "from", "invalid_sender"),
    ({"from": "+15005550999"}, "from", "sender_not_allowed"),
    ({"from": 5}, "from", "invalid"),
    ({"queue": "nowhere"}, "queue", "unknown_queue"),
    ({"queue": 1}, "queue", "invalid"),
    ({"queue": ""}, "queue", "blank"),
    ({"queue": "q" * 41}, "queue", "max_length"),
    ({"queue": "a\u0000"}, "queue", "null_characters_not_allowed"),
    ({"send_at": "soon"}, "send_at", "invalid"),
    ({"send_at": "2027-01-04"}, "send_at", "time_missing"),
    ({"send_at": "2027-W01"}, "send_at", "time_missing"),
    ({"send_at": 1_800_000_000}, "send_at", "invalid"),
    ({"send_at": "2026-13-01T00:00:00Z"}, "send_at", "invalid"),
    ({"send_at": "9999-12-31T23:59:59-14:00"}, "send_at", "overflow"),
    ({"send_at": "0001-01-01T00:00:00+14:00"}, "send_at", "overflow"),
    ({"send_at": "9999-12-31T23:00:00Z"}, "send_at", "too_far_ahead"),
    ({"send_at": ""}, "send_at", "invalid"),
    ({"valid_for": 0}, "valid_for", "min_value"),
    ({"valid_for": -1}, "valid_for", "min_value"),
    ({"valid_for": 604_801}, "valid_for", "max_value"),
    ({"valid_for": 10**29}, "valid_for", "max_value"),
    ({"valid_for": "60"}, "valid_for", "invalid"),
    ({"valid_for": 1.5}, "valid_for", "invalid"),
    ({"valid_for": True}, "valid_for", "invalid"),
    ({"reference": LONG}, "reference", "max_length"),
    ({"reference": 7}, "reference", "invalid"),
    ({"reference": "a\u0000"}, "reference", "null_characters_not_allowed"),
    ({"reference": "\udfff"}, "reference", "surrogate_characters_not_allowed"),
    ({"media": "x"}, "media", "not_a_list"),
    ({"media": ["x"]}, "media.0", "invalid"),
    ({"media": ["0191d2a4-7c1e-7b3a-9f10-2f6f3f1c9a55"]}, "media", "unknown_asset"),
    ({"callback_url": "ftp://x.example/"}, "callback_url", "invalid_url"),
    ({"callback_url": "//x.example/"}, "callback_url", "invalid_url"),
    ({"callback_url": "https://user:pw@x.example/"}, "callback_url", "invalid_url"),
    ({"callback_url": "https://x.example:99999/"}, "callback_url", "invalid_url"),
    ({"callback_url": "https://x.example/a b"}, "callback_url", "invalid_url"),
    ({"callback_url": "http://[::1/"}, "callback_url", "invalid_url"),
    ({"callback_url": 1}, "callback_url", "invalid"),
    ({"callback_url": "https://x.example/" + "a" * 500}, "callback_url", "max_length"),
]


def test_a_time_in_the_far_future_is_accepted(api) -> None:
    response = api.post("messages/", {**BODY, "send_at": "2099-01-01T00:00:00Z"})

    assert (response.status_code, response.json()["status"]) == (202, "scheduled")
    assert response.json()["send_at"] == "2099-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("change", "field", "code"), BAD_FIELDS, ids=[f"{f}-{c}-{i}" for i, (_, f, c) in enumerate(BAD_FIELDS)]
)
def test_an_invalid_field_is_named_and_nothing_is_created(api, change, field: str, code: str) -> None:
    response = api.post("messages/", {**BODY, **change}, Idempotency_Key="k")

    assert errors_of(response) == {(field, code)}
    assert_nothing_created()


def test_all_invalid_fields_are_named_at_once(api) -> None:
    response = api.post("messages/", {"message": "", "valid_for": "x"})

    assert errors_of(response) == {("to", "required"), ("message", "blank"), ("valid_for", "invalid")}
    assert_nothing_created()


def test_an_inactive_recipient_is_a_conflict(api) -> None:
    PhoneNumberFactory(number=TO, inactive=True)

    assert_problem(api.post("messages/", BODY, Idempotency_Key="k"), 409, "recipient_inactive")

    assert_nothing_created()


@pytest.mark.parametrize(
    ("written", "sender"), [(" 80888 ", "80888"), ("ACME", "ACME"), ("\u202a+1 500 555 0006\u202c", "+15005550006")]
)
def test_a_message_is_sent_from_a_sender_of_any_kind(api, written: str, sender: str) -> None:
    SenderFactory(number=sender, owner=api.user)

    response = api.post("messages/", {**BODY, "from": written})

    assert (response.status_code, response.json()["from"]) == (202, sender)


@pytest.mark.parametrize(
    "to", ["\u202a+1 415\u200b555\u00a00101\u202c", "'+14155550101", "(+1) 415 555 0101", "\ufeff+14155550101"]
)
def test_what_a_number_was_copied_with_is_removed(api, to: str) -> None:
    assert api.post("messages/", {**BODY, "to": to}).json()["to"] == TO


@pytest.mark.parametrize(
    ("to", "number"),
    [("+5215512345678", "+525512345678"), ("+541123456789", "+5491123456789"), ("+4401711234567", "+441711234567")],
)
def test_a_recipient_has_one_form(api, to: str, number: str) -> None:
    assert api.post("messages/", {**BODY, "to": to}).json()["to"] == number


@pytest.mark.parametrize("to", ["+15550101", "+441111", "+495550"])
def test_a_number_that_no_text_can_reach_is_refused(api, to: str) -> None:
    assert errors_of(api.post("messages/", {**BODY, "to": to})) == {("to", "impossible_number")}
    assert_nothing_created()


def test_a_sender_number_of_another_client_is_refused(api) -> None:
    SenderFactory(number="+15005550077", owner=UserFactory())

    assert errors_of(api.post("messages/", {**BODY, "from": "+15005550077"})) == {("from", "sender_not_allowed")}
    assert_nothing_created()


def test_an_unavailable_database_is_503(api, monkeypatch) -> None:
    def away(**_options) -> None:
        raise OperationalError("could not connect to 10.0.0.5 password=hunter2")

    monkeypatch.setattr("messaging.api.messages.accept", away)

    response = api.post("messages/", BODY)

    assert_problem(response, 503, "unavailable")
    assert response.headers["Retry-After"] == "5"
    assert "hunter2" not in response.content.decode()
