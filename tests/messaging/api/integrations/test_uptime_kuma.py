"""Uptime Kuma's SMS Gateway notifications become texts."""

import pytest
from django.test import Client

from messaging.models import Message
from messaging.segments import measure
from tests.factories import PhoneNumberFactory, SenderFactory, UserFactory, make_token
from tests.messaging.api.conftest import Api, assert_problem, errors_of

PATHS = ["/api/v1/integrations/uptime-kuma/", "/api/v1/integrations/uptime-kuma/api/v1/sms/send"]
DOWN = {"to": "+14155550101", "body": "[Shop] [🔴 Down] timeout of 48000ms exceeded"}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def kuma(api: Api) -> Api:
    SenderFactory(number="+15005550006", is_default=True)
    return Api(token=None)


@pytest.fixture
def key(api: Api) -> str:
    return api.token


@pytest.mark.parametrize("path", PATHS)
def test_a_notification_is_a_text(kuma, api, key, path: str) -> None:
    response = kuma.post(path, DOWN, X_API_Key=key)

    assert response.status_code == 202
    body = response.json()
    assert (body["sent"], body.get("status")) == (1, None)  # Kuma takes the status `failed` for a failure
    message = Message.objects.get()
    assert (message.to_number, message.text, message.owner) == ("+14155550101", DOWN["body"], api.user)


def test_a_form_and_a_bearer_token_do_as_well(kuma, key) -> None:
    form = "to=%2B14155550101,+%2B14155550102&body=Shop+is+down%0Asince+9:00&to=x"
    response = kuma.post(PATHS[0], data=form, content_type=FORM, Authorization=f"Bearer {key}")

    assert response.json()["sent"] == 2
    assert set(Message.objects.values_list("to_number", "text")) == {
        ("+14155550101", "Shop is down\nsince 9:00"),
        ("+14155550102", "Shop is down\nsince 9:00"),
    }


@pytest.mark.parametrize("key", ["", "nonsense", "\xe9", "x" * 10_000])
def test_a_wrong_key_is_401(kuma, key: str) -> None:
    assert_problem(kuma.post(PATHS[0], DOWN, X_API_Key=key), 401, "authentication_failed")
    assert not Message.objects.exists()


def test_no_key_is_401_and_one_without_permission_403(kuma) -> None:
    assert_problem(kuma.post(PATHS[0], DOWN), 401, "not_authenticated")
    response = kuma.post(PATHS[0], DOWN, X_API_Key=make_token(UserFactory()))
    assert_problem(response, 403, "permission_denied")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"to": None}, ("to", "required")),
        ({"to": 14155550101}, ("to", "required")),
        ({"to": "4155550101"}, ("to", "invalid_number")),
        ({"to": "+14155550101,"}, ("to", "invalid_number")),
        ({"body": None}, ("body", "required")),
        ({"body": " \0\ud800 "}, ("body", "required")),
    ],
)
def test_a_missing_or_wrong_field_is_400(kuma, key, change, error) -> None:
    assert errors_of(kuma.post(PATHS[0], {**DOWN, **change}, X_API_Key=key)) == {error}


def test_a_form_that_is_too_large_is_refused(kuma, key) -> None:
    for form, status in (("&".join(["a=1"] * 200), 400), ("a" * 70_000, 413)):
        assert kuma.post(PATHS[0], data=form, content_type=FORM, X_API_Key=key).status_code == status


def test_bytes_that_are_no_text_are_replaced(kuma, key) -> None:
    kuma.post(PATHS[0], data=b"to=%2B14155550101&body=a%00b%ff\xff", content_type=FORM, X_API_Key=key)

    assert Message.objects.get().text == "a b\ufffd\ufffd"


def test_a_long_text_is_cut(kuma, key) -> None:
    kuma.post(PATHS[0], {**DOWN, "body": "x" * 100_000}, X_API_Key=key)

    text = Message.objects.get().text
    assert (measure(text).segments, text[-4:]) == (3, "x...")


def test_a_recipient_who_gets_nothing_is_an_error_that_kuma_shows(kuma, key) -> None:
    PhoneNumberFactory(number="+14155550101", status="inactive")

    assert_problem(kuma.post(PATHS[0], DOWN, X_API_Key=key), 409, "recipient_inactive")


def test_the_same_text_again_is_another_text_and_a_storm_is_held(kuma, key) -> None:
    results = [kuma.post(PATHS[0], DOWN, X_API_Key=key).json() for _ in range(7)]

    assert [(result["sent"], result["held"]) for result in results] == [(1, False)] * 5 + [(0, True)] * 2


def test_a_session_of_the_console_does_not_authenticate(installed) -> None:
    client = Client()
    client.force_login(UserFactory(is_superuser=True))

    assert client.post(PATHS[0], DOWN, content_type="application/json").status_code == 401
