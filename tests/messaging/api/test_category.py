"""The category and the parameters of a message: given, stored, shown, and refused."""

import pytest
from django.contrib.auth.models import Permission

from messaging.models import IdempotencyRecord, Message
from tests.messaging.api.conftest import assert_problem, errors_of

TO = "+14155550101"
BODY = {"to": TO, "message": "Your code is 123456"}


def allow_emergency(user) -> None:
    user.user_permissions.add(Permission.objects.get(codename="send_emergency"))


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({}, ("transactional", 1, None)),
        ({"category": None, "parameters": None}, ("transactional", 1, None)),
        ({"category": "otp"}, ("otp", 0, None)),
        ({"category": "marketing", "parameters": {}}, ("marketing", 1, None)),
        ({"parameters": {"entity_id": "11"}}, ("transactional", 1, {"entity_id": "11"})),
    ],
    ids=str,
)
def test_they_are_stored_and_shown(api, given, stored) -> None:
    response = api.post("messages/", BODY | given, Idempotency_Key="one")
    again = api.post("messages/", BODY | given, Idempotency_Key="one")

    message = Message.objects.get()
    assert (message.category, message.priority, message.parameters) == stored
    assert response.status_code == 202
    assert (response.json()["category"], response.json()["parameters"]) == (stored[0], stored[2])
    assert api.get(f"messages/{message.pk}/").json() == response.json() == again.json()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"category": "promo"}, "category"),
        ({"category": 1}, "category"),
        ({"category": ["otp"]}, "category"),
        ({"parameters": "x"}, "parameters"),
        ({"parameters": ["x"]}, "parameters"),
        ({"parameters": {"a b": "x"}}, "parameters"),
        ({"parameters": {"entity_id": 5}}, "parameters.entity_id"),
        ({"parameters": {"entity_id": {"deep": "x"}}}, "parameters.entity_id"),
    ],
    ids=str,
)
def test_others_are_refused_and_nothing_is_stored(api, given, field) -> None:
    body = assert_problem(api.post("messages/", BODY | given), 400, "invalid")

    assert [error["field"] for error in body["errors"]] == [field]
    assert not Message.objects.exists()


def test_a_batch_has_items_of_all_kinds(api) -> None:
    items = [
        BODY,
        BODY | {"category": "otp", "parameters": {"entity_id": "1"}},
        BODY | {"category": "marketing", "parameters": {"entity_id": "2", "template_id": "3"}},
        BODY | {"category": "emergency"},
        BODY | {"category": "loud"},
        BODY | {"parameters": {"entity_id": ""}},
    ]

    body = api.post("messages/batch/", {"messages": items}).json()

    errors = [result.get("error", {}).get("code") for result in body["results"]]
    assert errors == [None, None, None, "emergency_not_allowed", "invalid", "invalid"]
    assert body["results"][5]["error"]["errors"][0]["field"] == "parameters.entity_id"
    assert list(Message.objects.order_by("pk").values_list("category", "priority", "parameters")) == [
        ("transactional", 1, None),
        ("otp", 0, {"entity_id": "1"}),
        ("marketing", 1, {"entity_id": "2", "template_id": "3"}),
    ]


def test_an_emergency_needs_its_permission(api) -> None:
    assert_problem(
        api.post("messages/", BODY | {"category": "emergency"}, Idempotency_Key="k"), 403, "emergency_not_allowed"
    )
    assert not Message.objects.exists()
    assert not IdempotencyRecord.objects.exists()

    allow_emergency(api.user)
    assert api.post("messages/", BODY | {"category": "emergency"}).status_code == 202
    assert Message.objects.get().priority == 0


def test_an_inbound_message_has_no_category(api) -> None:
    body = api.post("messages/inbound/", {"from": TO, "to": "+15005550006", "message": "Hi"}).json()

    assert (body["category"], body["parameters"]) == (None, None)


def test_errors_of_a_category_name_the_field(api) -> None:
    assert errors_of(api.post("messages/", BODY | {"category": "x"})) == {("category", "invalid_choice")}
