"""Supabase's hook sends one-time passwords: once, and only when it is signed."""

import json
import time

import pytest

from messaging.models import Message
from messaging.sealing import seal
from messaging.services.alerts.hooks import PURPOSE
from tests.factories import HOOK_SECRET, AlertReceiverFactory, PhoneNumberFactory, SenderFactory
from tests.messaging.api.conftest import assert_problem, errors_of
from tests.messaging.api.integrations.conftest import hook_body, signature
from tests.messaging.parallel import at_once

OTHER_SECRET = "v1,whsec_YW5vdGhlciBzZWNyZXQgb2YgdGhlIGhvb2s="


def texts() -> list[tuple[str, str]]:
    return list(Message.objects.order_by("pk").values_list("to_number", "text"))


def test_a_password_is_sent(hook, hook_receiver) -> None:
    response = hook()

    assert (response.status_code, response.json()) == (200, {})
    assert response.headers["Content-Type"] == "application/json"
    message = Message.objects.get()
    assert (message.to_number, message.text) == ("+14155550101", "Your code is 561166")
    assert (message.owner, message.queue_id, message.valid_for) == (hook_receiver.owner, "express", 300)


def test_the_receiver_says_how(hook, hook_receiver) -> None:
    SenderFactory(number="+15005550007")
    hook_receiver.template, hook_receiver.sender, hook_receiver.queue_id = "{otp} is your code", "+15005550007", "paced"
    hook_receiver.save()

    hook()

    message = Message.objects.get()
    assert (message.text, message.from_number, message.queue_id) == ("561166 is your code", "+15005550007", "paced")


def test_a_new_number_is_confirmed_by_a_text_to_the_new_number(hook, hook_receiver) -> None:
    hook(hook_body(sms={"otp": "123456", "phone": "14155550199"}))

    assert texts() == [("+14155550199", "Your code is 123456")]


def test_an_older_supabase_names_the_number_with_the_user_only(hook, hook_receiver) -> None:
    hook(hook_body(sms={"otp": "123456"}, user={"phone": "+14155550101"}))

    assert texts() == [("+14155550101", "Your code is 123456")]


class TestSignatures:
    @pytest.mark.parametrize(
        "headers",
        [
            {"webhook_id": ""},
            {"webhook_id": "2"},
            {"webhook_id": "x" * 256},
            {"webhook_timestamp": ""},
            {"webhook_timestamp": "1"},
            {"webhook_timestamp": "nan"},
            {"webhook_timestamp": "9" * 11},
            {"webhook_timestamp": "9" * 400},
            {"webhook_signature": ""},
            {"webhook_signature": "v1"},
            {"webhook_signature": "v1,,,"},
            {"webhook_signature": "v1,nonsense v2"},
            {"webhook_signature": f"v1,{'A' * 43}="},
        ],
    )
    def test_a_wrong_one_is_403_and_nothing_is_sent(self, hook, hook_receiver, headers: dict[str, str]) -> None:
        body = json.dumps(hook_body())
        right = signature(body, webhook_id="1", timestamp=int(time.time()))

        response = hook(body, **{"webhook_id": "1", "webhook_signature": right, **headers})

        assert_problem(response, 403, "permission_denied")
        assert texts() == []

    def test_one_of_another_body_is_403(self, hook, hook_receiver) -> None:
        now = int(time.time())
        for body in ("{}", json.dumps(hook_body())):
            right = signature(body + " ", webhook_id="1", timestamp=now)
            assert hook(body, webhook_timestamp=str(now), webhook_signature=right).status_code == 403

    @pytest.mark.parametrize(("age", "status"), [(290, 200), (310, 403), (-290, 200), (-310, 403)])
    def test_it_is_valid_for_five_minutes(self, hook, hook_receiver, age: int, status: int) -> None:
        assert hook(age=age).status_code == status

    def test_supabase_signs_with_several_secrets(self, hook, hook_receiver) -> None:
        """Separated by a comma and a blank, unlike the specification of Standard Webhooks."""
        now, body = int(time.time()), json.dumps(hook_body())
        both = [signature(body, webhook_id="1", timestamp=now, secret=each) for each in (OTHER_SECRET, HOOK_SECRET)]

        for separator in (", ", " "):
            given = separator.join(both)
            assert hook(body, webhook_timestamp=str(now), webhook_signature=given).status_code == 200

    def test_a_receiver_may_have_several_secrets(self, hook, hook_receiver) -> None:
        hook_receiver.secret = seal(PURPOSE, f"{OTHER_SECRET}|{HOOK_SECRET}")
        hook_receiver.save()

        assert hook().status_code == 200

    def test_a_secret_that_cannot_be_opened_is_403(self, hook, hook_receiver, settings) -> None:
        settings.SECRET_KEY = "another"

        assert hook().status_code == 403


class TestReceivers:
    def test_without_one_it_is_403(self, hook, installed) -> None:
        AlertReceiverFactory(name="ops")

        assert_problem(hook(), 403, "permission_denied")
        assert_problem(hook(query="?receiver=ops"), 403, "permission_denied")
        assert_problem(hook(query="?receiver=%00"), 403, "permission_denied")

    def test_of_several_the_request_names_one(self, hook, hook_receiver) -> None:
        AlertReceiverFactory(hook=True, name="other", secret=seal(PURPOSE, OTHER_SECRET))

        assert hook().status_code == 403
        assert hook(query="?receiver=other").status_code == 403
        assert hook(query="?receiver=sign-in").status_code == 200

    def test_its_owner_must_be_allowed_to_send(self, hook, hook_receiver) -> None:
        hook_receiver.owner.user_permissions.clear()

        assert_problem(hook(), 403, "permission_denied")

    def test_its_owner_must_be_active(self, hook, hook_receiver) -> None:
        hook_receiver.owner.is_active = False
        hook_receiver.owner.save()

        assert_problem(hook(), 403, "permission_denied")


class TestRepeats:
    def test_a_replay_sends_nothing(self, hook, hook_receiver) -> None:
        assert [hook().status_code for _ in range(3)] == [200] * 3

        assert len(texts()) == 1

    def test_a_second_try_of_supabase_has_another_id_and_sends_nothing(self, hook, hook_receiver) -> None:
        assert [hook(webhook_id=each).json() for each in ("1", "2")] == [{}, {}]

        assert len(texts()) == 1

    def test_a_new_password_is_sent(self, hook, hook_receiver) -> None:
        hook()
        hook(hook_body(metadata={"uuid": "another"}, sms={"otp": "222222"}), webhook_id="2")

        assert [text for _, text in texts()] == ["Your code is 561166", "Your code is 222222"]

    def test_an_older_supabase_sends_no_metadata(self, hook, hook_receiver) -> None:
        for webhook_id in ("1", "1", "2"):
            hook(hook_body(metadata=None), webhook_id=webhook_id)

        assert len(texts()) == 2

    @pytest.mark.django_db(transaction=True)
    def test_three_at_once_are_one_text(self, hook, hook_receiver) -> None:
        responses = at_once([hook] * 3)

        assert [response.status_code for response in responses] == [200] * 3
        assert len(texts()) == 1

    def test_a_refused_one_may_be_repeated(self, hook, hook_receiver) -> None:
        number = PhoneNumberFactory(number="+14155550101", status="inactive")
        assert_problem(hook(), 409, "recipient_inactive")
        number.delete()

        assert hook().status_code == 200

        assert len(texts()) == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"sms": {}}, ("sms.otp", "invalid")),
        ({"sms": None}, ("sms.otp", "invalid")),
        ({"sms": {"otp": 123456}}, ("sms.otp", "invalid")),
        ({"sms": {"otp": "1" * 33}}, ("sms.otp", "invalid")),
        ({"sms": {"otp": "1\0"}}, ("sms.otp", "invalid")),
        ({"sms": {"otp": "{otp}"}}, ("sms.otp", "invalid")),
        ({"user": None, "sms": {"otp": "1"}}, ("user.phone", "required")),
        ({"user": {"phone": "\ud800"}, "sms": {"otp": "1"}}, ("user.phone", "invalid_number")),
        ({"user": {"phone": "1415"}, "sms": {"otp": "1"}}, ("user.phone", "impossible_number")),
    ],
)
def test_a_signed_request_without_a_number_or_a_password_is_400(hook, hook_receiver, changes, error) -> None:
    assert errors_of(hook(hook_body(**changes))) == {error}
    assert texts() == []


def test_a_signed_body_that_is_no_object_is_400(hook, hook_receiver) -> None:
    assert_problem(hook("[]"), 400, "parse_error")


def test_strange_metadata_does_not_matter(hook, hook_receiver) -> None:
    assert hook(hook_body(metadata={"uuid": "\ud800\0"})).status_code == 200


def test_a_body_that_is_too_large_is_413(hook, hook_receiver) -> None:
    assert_problem(hook("x" * (256 * 1024 + 1)), 413, "body_too_large")


def test_requests_of_a_receiver_are_counted(hook, hook_receiver, settings) -> None:
    settings.RATE_LIMIT_PER_TOKEN = "1/h"
    hook()

    response = hook(webhook_id="2")

    assert_problem(response, 429, "throttled")
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("uuid", ["", "00000000-0000-0000-0000-000000000000"])
def test_another_password_or_number_is_no_repeat_whatever_the_request_is_called(hook, hook_receiver, uuid: str) -> None:
    metadata = {"uuid": uuid}
    for number, (phone, otp) in enumerate((("14155550101", "1111"), ("14155550102", "1111"), ("14155550101", "2222"))):
        body = hook_body(metadata=metadata, sms={"otp": otp, "phone": phone})
        for attempt in range(2):
            assert hook(body, webhook_id=f"{number}-{attempt}").status_code == 200

    assert [(message.to_number, message.text) for message in Message.objects.order_by("pk")] == [
        ("+14155550101", "Your code is 1111"),
        ("+14155550102", "Your code is 1111"),
        ("+14155550101", "Your code is 2222"),
    ]
