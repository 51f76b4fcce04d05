"""REST views of budgets, and what requests beyond them are answered."""

from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.utils import timezone

from messaging.models import Budget, DeliveryAttempt, Message
from messaging.services.costs import budget_changes
from tests.factories import AccountFactory, AttemptFactory, MessageFactory, UserFactory
from tests.messaging.api.conftest import Api, assert_problem, errors_of

MESSAGE = {"to": "+14155550101", "message": "Hello"}


@pytest.fixture
def operator(installed) -> Api:
    user = UserFactory(is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__endswith="_budget"))
    return Api(user)


def limit(api, amount: str, **values) -> Budget:
    given = {"country": "", "period": "day", "currency": "", **values}
    return budget_changes.create(owner=api.user, limit=Decimal(amount), now=timezone.now(), **given)


def test_staff_set_change_and_remove_a_budget(api, operator) -> None:
    wish = {"owner": api.user.username, "country": "US", "period": "month", "limit": "12.50", "currency": "EUR"}

    made = operator.post("budgets/", wish)

    row = Budget.objects.get()
    assert made.status_code == 201
    assert made.headers["Location"] == f"http://testserver/api/v1/budgets/{row.pk}/"
    body = made.json()
    assert operator.get(f"budgets/{row.pk}/").json() == body
    assert {name: body[name] for name in ("owner", "country", "period", "limit", "currency", "used")} == {
        **wish,
        "limit": "12.5",
        "used": "0",
    }
    changed = operator("PATCH", f"budgets/{row.pk}/", {"limit": "3"})
    assert (changed.status_code, changed.json()["limit"]) == (200, "3")
    assert operator("DELETE", f"budgets/{row.pk}/").status_code == 204
    assert not Budget.objects.exists()
    assert LogEntry.objects.count() == 3


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"owner": "nobody"}, "owner"),
        ({"limit": 5}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"limit": "NaN"}, "limit"),
        ({"period": "week"}, "period"),
        ({"country": "XX"}, "country"),
        ({"currency": "XXX"}, "currency"),
        ({"lmit": "5"}, "lmit"),
    ],
)
def test_a_wrong_budget_is_refused(api, operator, changes, field: str) -> None:
    response = operator.post("budgets/", {"owner": api.user.username, "period": "day", "limit": "5", **changes})

    assert {name for name, _ in errors_of(response)} == {field}
    assert not Budget.objects.exists()


def test_owners_read_their_own_and_change_none(api, stranger) -> None:
    row, other = limit(api, "5"), limit(stranger, "6")
    api.post("messages/", MESSAGE)

    [listed] = api.get("budgets/").json()["results"]

    assert (listed["id"], listed["used"]) == (str(row.pk), "1")
    assert_problem(api.get(f"budgets/{other.pk}/"), 404, "not_found")
    assert_problem(api("PATCH", f"budgets/{row.pk}/", {"limit": "9"}), 403, "permission_denied")
    assert_problem(api("DELETE", f"budgets/{row.pk}/"), 403, "permission_denied")
    wish = {"owner": api.user.username, "period": "month", "limit": "9"}
    assert_problem(api.post("budgets/", wish), 403, "permission_denied")


def test_a_message_beyond_the_budget_is_429_until_the_period_ends(api) -> None:
    limit(api, "1")
    assert api.post("messages/", MESSAGE).status_code == 202

    response = api.post("messages/", MESSAGE)

    assert_problem(response, 429, "budget_exceeded")
    assert 0 < int(response.headers["Retry-After"]) <= 86_401
    assert Message.objects.count() == 1


def test_of_a_batch_each_refused_item_has_the_error(api) -> None:
    limit(api, "2")

    results = api.post("messages/batch/", {"messages": [MESSAGE] * 3}).json()["results"]

    assert [result.get("error", {}).get("code") for result in results] == [None, None, "budget_exceeded"]


def test_a_dry_run_tells_and_takes_nothing(api) -> None:
    row = limit(api, "0")
    AccountFactory()

    found = api.post("messages/?dry_run=true", MESSAGE).json()

    assert found["verdict"] == "refused"
    assert {check["code"]: check["verdict"] for check in found["checks"]}["budget_exceeded"] == "refused"
    assert not row.slots.exists()


def test_attempts_show_their_price(api) -> None:
    message = MessageFactory(owner=api.user)
    AttemptFactory(
        message=message, outcome="accepted", price=Decimal("0.015000"), currency="EUR", price_source="configured"
    )

    [attempt] = api.get(f"messages/{message.pk}/attempts/").json()

    assert (attempt["price"], attempt["currency"], attempt["price_source"]) == ("0.015", "EUR", "configured")
    DeliveryAttempt.objects.update(price=None, currency="", price_source="")
    [attempt] = api.get(f"messages/{message.pk}/attempts/").json()
    assert (attempt["price"], attempt["currency"], attempt["price_source"]) == (None, None, None)
