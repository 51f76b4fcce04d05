"""REST views of verifications."""

import pytest
from django.contrib.auth.models import Permission

from messaging.models import Message, Verification
from messaging.services.installation import API_READER
from tests.factories import UserFactory
from tests.messaging.api.conftest import Api, assert_problem, errors_of
from tests.messaging.services.verification.making import TO, code_of, wrong

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
PATH = "verifications/"


def test_a_code_is_sent_and_checked(api: Api, broker) -> None:
    response = api.post(PATH, {"to": "+1 (415) 555-0101"})

    row = Verification.objects.get()
    assert response.status_code == 201
    assert response.headers["Location"] == f"http://testserver/api/v1/verifications/{row.pk}/"
    body = response.json()
    assert body.pop("expires_at").endswith("Z")
    assert body == {"id": str(row.pk), "status": "pending", "to": TO, "sends": 1}
    code = code_of(row)
    assert api.get(f"{PATH}{row.pk}/").json()["status"] == "pending"
    wrong_one = api.post(f"{PATH}{row.pk}/check/", {"code": wrong(code)})
    assert (wrong_one.status_code, wrong_one.json()) == (200, {"status": "pending", "valid": False})
    right = api.post(f"{PATH}{row.pk}/check/", {"code": code})
    assert (right.status_code, right.json()) == (200, {"status": "approved", "valid": True})
    assert_problem(api.post(f"{PATH}{row.pk}/check/", {"code": code}), 409, "verification_ended")


def test_a_repeat_is_told_how_long_to_wait(api: Api) -> None:
    api.post(PATH, {"to": TO})

    again = api.post(PATH, {"to": TO})

    assert_problem(again, 429, "resend_too_soon")
    assert 1 <= int(again.headers["Retry-After"]) <= 30


def test_a_limit_is_429_with_the_wait(api: Api, settings) -> None:
    settings.VERIFY_MAX_PER_ADDRESS = 1
    api.post(PATH, {"to": TO, "client_address": "198.51.100.7"})

    refused = api.post(PATH, {"to": "+14155550102", "client_address": "198.51.100.7"})

    assert_problem(refused, 429, "verification_rate_limited")
    assert 3500 <= int(refused.headers["Retry-After"]) <= 3601
    assert Verification.objects.count() == 1


def test_a_key_gives_the_first_answer_again(api: Api) -> None:
    first = api.post(PATH, {"to": TO}, Idempotency_Key="k1")

    again = api.post(PATH, {"to": TO}, Idempotency_Key="k1")
    other = api.post(PATH, {"to": "+14155550102"}, Idempotency_Key="k1")

    assert (again.status_code, again.json(), again.headers["Idempotent-Replay"]) == (201, first.json(), "true")
    assert_problem(other, 422, "idempotency_key_reused")
    assert Message.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {("to", "required")}),
        ({"to": "12345"}, {("to", "invalid_number")}),
        ({"to": TO, "code_length": 3}, {("code_length", "min_value")}),
        ({"to": TO, "code_length": 11}, {("code_length", "max_value")}),
        ({"to": TO, "ttl": 59}, {("ttl", "min_value")}),
        ({"to": TO, "ttl": 901}, {("ttl", "max_value")}),
        ({"to": TO, "ttl": "600"}, {("ttl", "invalid")}),
        ({"to": TO, "app_hash": "short"}, {("app_hash", "invalid")}),
        ({"to": TO, "domain": "https://a.com"}, {("domain", "invalid")}),
        ({"to": TO, "domain": "a.com", "app_hash": "FA+9qCX9VSu"}, {("domain", "app_hash_and_domain")}),
        ({"to": TO, "client_address": "300.1.1.1"}, {("client_address", "invalid")}),
        ({"to": TO, "locale": "english"}, {("locale", "invalid")}),
        ({"to": TO, "template": "nothing"}, {("template", "unknown_template")}),
        ({"to": TO, "sender": "+15005550099"}, {("sender", "sender_not_allowed")}),
        ({"to": TO, "codelength": 6}, {("codelength", "unknown_field")}),
        ({"to": TO, "code": "123456"}, {("code", "unknown_field")}),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_invalid_input_is_400_and_sends_nothing(api: Api, body: dict, errors: set) -> None:
    assert errors_of(api.post(PATH, body)) == errors
    assert not Verification.objects.exists()


@pytest.mark.parametrize(
    "code", ["123", "12345678901", "12345x", "", "\uff11\uff12\uff13\uff14", 123456, None, "123456\n7"]
)
def test_what_is_no_code_is_400_and_no_try(api: Api, code: object) -> None:
    row_id = api.post(PATH, {"to": TO}).json()["id"]

    response = api.post(f"{PATH}{row_id}/check/", {"code": code})

    assert {field for field, _ in errors_of(response)} == {"code"}
    assert Verification.objects.get().tries == 0


def test_a_canceled_one_stays_canceled(api: Api) -> None:
    row_id = api.post(PATH, {"to": TO}).json()["id"]

    canceled = api.post(f"{PATH}{row_id}/cancel/")

    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
    assert_problem(api.post(f"{PATH}{row_id}/cancel/"), 409, "verification_ended")
    code = code_of(Verification.objects.get())
    assert api.post(f"{PATH}{row_id}/check/", {"code": code}).json() == {"status": "canceled", "valid": False}


def test_another_owners_is_404_everywhere(api: Api) -> None:
    row_id = api.post(PATH, {"to": TO}).json()["id"]
    other = UserFactory()
    other.groups.set(api.user.groups.all())
    stranger = Api(other)

    for response in (
        stranger.get(f"{PATH}{row_id}/"),
        stranger.post(f"{PATH}{row_id}/check/", {"code": "123456"}),
        stranger.post(f"{PATH}{row_id}/cancel/"),
    ):
        assert response.status_code == 404
    assert Verification.objects.get().tries == 0


def test_a_reader_only_reads(api: Api) -> None:
    row_id = api.post(PATH, {"to": TO}).json()["id"]
    api.user.groups.set(api.user.groups.model.objects.filter(name=API_READER))
    reader = Api(api.user.__class__.objects.get(pk=api.user.pk))

    assert reader.get(f"{PATH}{row_id}/").status_code == 200
    for response in (reader.post(PATH, {"to": TO}), reader.post(f"{PATH}{row_id}/check/", {"code": "123456"})):
        assert response.status_code == 403
    assert Permission.objects.filter(codename="add_verification").exists()
