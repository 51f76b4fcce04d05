"""REST views of opt-out cases."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from messaging.models import OptOutCase, Suppression
from messaging.services.representation import HIDDEN
from tests.factories import UserFactory
from tests.messaging.api.conftest import Api, assert_problem, errors_of

PERSON, OURS = "+14155550101", "+15005550006"


@pytest.fixture
def open_case(api):
    def open_case(number: str = PERSON, *, due_in: int = 5, owner=None, **changes) -> OptOutCase:
        now = timezone.now()
        return OptOutCase.objects.create(
            number=number,
            sender=OURS,
            senders=[OURS],
            owner=owner or api.user,
            text="please stop",
            opened_at=now,
            due_at=now + timedelta(days=due_in),
            **changes,
        )

    return open_case


def test_cases_are_listed_by_their_deadline(api, open_case) -> None:
    later, sooner = open_case(due_in=5), open_case("+14155550102", due_in=-1)

    rows = api.get("opt-out-cases/").json()["results"]

    assert [(row["id"], row["overdue"]) for row in rows] == [(str(sooner.pk), True), (str(later.pk), False)]
    assert api.get(f"opt-out-cases/{later.pk}/").json() == rows[1]
    assert rows[1].pop("opened_at") < rows[1].pop("due_at")
    assert rows[1] == {
        "id": str(later.pk), "number": PERSON, "sender": OURS, "senders": [OURS], "message_id": None,
        "message": "please stop", "status": "open", "overdue": False, "decided_at": None, "note": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [("status=open", {"+14155550101", "+14155550102"}), ("status=dismissed", {"+14155550103"}),
     ("overdue=true", {"+14155550102"}), ("number=%2B14155550101", {"+14155550101"})],
)  # fmt: skip
def test_filters(api, open_case, query: str, found: set) -> None:
    open_case()
    open_case("+14155550102", due_in=-1)
    open_case("+14155550103", due_in=-1, decision="dismissed", decided_at=timezone.now())

    assert {row["number"] for row in api.get(f"opt-out-cases/?{query}").json()["results"]} == found


def test_suppress(api, open_case) -> None:
    case = open_case()

    response = api.post(f"opt-out-cases/{case.pk}/suppress/", {"note": "clear"})

    assert response.status_code == 200
    assert (response.json()["status"], response.json()["note"]) == ("suppressed", "clear")
    row = Suppression.objects.get()
    assert (row.number, row.sender, row.source, row.channel) == (PERSON, OURS, "api", "text")
    assert api.get(f"suppressions/{row.pk}/").json()["source"] == "text"
    assert_problem(api.post(f"opt-out-cases/{case.pk}/dismiss/", {"note": "no"}), 409, "case_already_decided")


def test_dismiss_needs_a_note(api, open_case) -> None:
    case = open_case()

    assert errors_of(api.post(f"opt-out-cases/{case.pk}/dismiss/", {})) == {("note", "required")}
    assert OptOutCase.objects.get().decision == ""

    assert api.post(f"opt-out-cases/{case.pk}/dismiss/", {"note": "a joke"}).json()["status"] == "dismissed"
    assert not Suppression.objects.exists()


def test_another_clients_case_does_not_exist(api, stranger, open_case) -> None:
    case = open_case(owner=stranger.user)

    assert api.get("opt-out-cases/").json()["count"] == 0
    assert_problem(api.get(f"opt-out-cases/{case.pk}/"), 404, "not_found")
    assert_problem(api.post(f"opt-out-cases/{case.pk}/suppress/", {}), 404, "not_found")
    assert OptOutCase.objects.get().decision == ""


def test_staff_without_the_permission_to_read_texts_see_no_words(api, open_case) -> None:
    open_case()
    user = UserFactory(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_optoutcase"))

    [row] = Api(user).get("opt-out-cases/").json()["results"]

    assert row["message"] == HIDDEN
    assert_problem(Api(user).post(f"opt-out-cases/{row['id']}/suppress/", {}), 403, "permission_denied")


def test_a_clients_own_suppression_settles_its_case(api, open_case) -> None:
    open_case()

    api.post("suppressions/", {"number": PERSON})

    assert OptOutCase.objects.get().decision == "suppressed"
