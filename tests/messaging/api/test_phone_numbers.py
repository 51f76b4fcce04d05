"""REST views of phone numbers."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import PhoneNumber
from tests.factories import MessageFactory, PhoneNumberFactory
from tests.messaging.api.conftest import assert_problem, errors_of

A, B = "+14155550101", "+14155550102"


@pytest.fixture
def known(api):
    """Makes numbers that the client has written to."""

    def make(number: str, **values) -> PhoneNumber:
        MessageFactory(owner=api.user, to_number=number)
        return PhoneNumberFactory(number=number, **values)

    return make


def test_the_list_has_numbers_in_order(api, known) -> None:
    known(B)
    known(A, inactive=True)

    body = api.get("phone-numbers/").json()

    assert {key: body[key] for key in ("count", "next", "previous")} == {"count": 2, "next": None, "previous": None}
    assert [row["number"] for row in body["results"]] == [A, B]
    [inactive, active] = body["results"]
    created = inactive.pop("created_at"), active.pop("created_at")
    assert all(moment.endswith("Z") for moment in created)
    assert inactive == {
        "number": A,
        "status": "inactive",
        "reason": "unreachable",
        "changed_at": "2026-11-22T09:00:00Z",
    }
    assert active == {"number": B, "status": "active", "reason": None, "changed_at": None}


@pytest.mark.parametrize(("status", "numbers"), [("active", [B]), ("inactive", [A])])
def test_the_list_by_status(api, known, status: str, numbers: list[str]) -> None:
    known(A, inactive=True)
    known(B)

    assert [row["number"] for row in api.get(f"phone-numbers/?status={status}").json()["results"]] == numbers


def test_an_unknown_status_is_400(api) -> None:
    assert errors_of(api.get("phone-numbers/?status=odd")) == {("status", "invalid_choice")}


@pytest.mark.parametrize("written", [A, "14155550101", "%2B1%20(415)%20555-0101"])
def test_one_number_in_any_notation(api, known, written: str) -> None:
    known(A)

    response = api.get(f"phone-numbers/{written}/")

    assert (response.status_code, response.json()["number"]) == (200, A)


@pytest.mark.parametrize("number", [B, "x", "%00", "+", "+1%00", "9" * 500])
def test_a_number_without_messages_is_404(api, known, number: str) -> None:
    known(A)

    assert_problem(api.get(f"phone-numbers/{number}/"), 404, "not_found")


def test_a_number_that_only_other_clients_wrote_to_is_404(stranger, staff, known) -> None:
    number = known(A)

    assert stranger.get("phone-numbers/").json()["count"] == 0
    assert_problem(stranger.get(f"phone-numbers/{A}/"), 404, "not_found")
    assert_problem(stranger.post(f"phone-numbers/{A}/deactivate/", {"reason": "x"}), 404, "not_found")
    number.refresh_from_db()
    assert number.status == "active"
    assert [row["number"] for row in staff.get("phone-numbers/").json()["results"]] == [A]


@pytest.mark.parametrize(("action", "status"), [("activate", "active"), ("deactivate", "inactive")])
def test_an_operator_activates_and_deactivates_a_number_with_a_reason(api, known, action: str, status: str) -> None:
    number = known(A, inactive=status == "active")

    response = api.post(f"phone-numbers/{A}/{action}/", {"reason": "checked by hand"})

    number.refresh_from_db()
    assert (number.status, number.reason) == (status, "checked by hand")
    assert response.status_code == 200
    assert response.json() == api.get(f"phone-numbers/{A}/").json()
    assert (response.json()["status"], response.json()["reason"]) == (status, "checked by hand")


def test_an_inactive_number_refuses_and_an_activated_one_accepts(api, known) -> None:
    known(A)
    send = {"to": A, "message": "Hello"}

    api.post(f"phone-numbers/{A}/deactivate/", {"reason": "x"})
    assert_problem(api.post("messages/", send), 409, "recipient_inactive")
    api.post(f"phone-numbers/{A}/activate/", {"reason": "x"})

    assert api.post("messages/", send).status_code == 202


@pytest.mark.parametrize("action", ["activate", "deactivate"])
@pytest.mark.parametrize(
    ("body", "code"), [({}, "required"), ({"reason": " "}, "blank"), ({"reason": "x" * 201}, "max_length")]
)
def test_the_reason_is_required(api, known, action: str, body, code: str) -> None:
    number = known(A, inactive=action == "activate")

    assert errors_of(api.post(f"phone-numbers/{A}/{action}/", body)) == {("reason", code)}

    assert PhoneNumber.objects.get().status == number.status


@pytest.mark.parametrize("action", ["activate", "deactivate"])
def test_a_sender_without_the_operator_role_may_not(member_of, action: str) -> None:
    sender = member_of("API sender")
    MessageFactory(owner=sender.user, to_number=A)
    PhoneNumberFactory(number=A)

    assert_problem(sender.post(f"phone-numbers/{A}/{action}/", {"reason": "x"}), 403, "permission_denied")

    assert PhoneNumber.objects.get().changed_at is None


def test_the_cost_does_not_grow_with_the_rows(api, known) -> None:
    costs = []
    for numbers in (range(1), range(1, 5)):
        for n in numbers:
            known(f"+1415555010{n}")
        with CaptureQueriesContext(connection) as queries:
            api.get("phone-numbers/")
        costs.append(len(queries))

    assert costs[0] == costs[1]
