"""The console's page of costs."""

from datetime import UTC, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messaging.models import CostTotal
from tests.factories import AccountFactory, UserFactory

pytestmark = pytest.mark.django_db
PAGE = "/admin/messaging/message/costs/"


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


def total(units: int, *, age: int = 0, **values) -> CostTotal:
    row = {
        "day": timezone.now().astimezone(UTC).date() - timedelta(days=age),
        "owner_id": 1,
        "account": "acme",
        "country": "DE",
        "category": "otp",
        "currency": "EUR",
        "attempts": 1,
        "segments": 2,
        **values,
    }
    return CostTotal.objects.create(units=units, **row)


def rows(client: Client, **query) -> list[tuple]:
    found = client.get(PAGE, query).context["rows"]
    return [(*row.group, row.amount, row.currency) for row in found]


def test_currencies_are_never_added(admin: Client) -> None:
    total(1_500_000)
    total(250_000, country="AT")
    total(7_000_001, currency="USD")

    page = admin.get(PAGE)

    assert [(each["currency"], each["amount"]) for each in page.context["sums"]] == [
        ("EUR", "1.75"),
        ("USD", "7.000001"),
    ]
    assert rows(admin) == [("acme", "1.750000", "EUR"), ("acme", "7.000001", "USD")]
    assert reverse("admin:messaging_message_costs") in page.content.decode()


@pytest.mark.parametrize(
    ("wish", "others"),
    [
        ({"account": "acme"}, {"account": "other"}),
        ({"country": "de"}, {"country": "AT"}),
        ({"category": "otp"}, {"category": "marketing"}),
        ({}, {"age": 40}),
    ],
)
def test_filters_leave_the_others_out(admin: Client, wish: dict, others: dict) -> None:
    AccountFactory(slug="acme")
    total(1_000_000)
    total(5_000_000, **others)

    assert rows(admin, **wish) == [("acme", "1.00", "EUR")]


def test_the_owner_is_named(admin: Client) -> None:
    shop = UserFactory(username="shop")
    total(1_000_000, owner_id=shop.pk)
    total(5_000_000, owner_id=shop.pk + 1_000)

    assert rows(admin, group_by="owner", owner="shop") == [("shop", "1.00", "EUR")]
    assert "There is no user of this name." in admin.get(PAGE, {"owner": "nobody"}).content.decode()


@pytest.mark.parametrize("query", ["since=x", "since=2026-02-01&until=2026-01-01", "group_by=money", "account=none"])
def test_a_wrong_wish_shows_nothing_and_says_so(admin: Client, query: str) -> None:
    total(1_000_000)

    page = admin.get(f"{PAGE}?{query}")

    assert page.status_code == 200
    assert page.context["rows"] == []
    assert page.context["form"].errors


def test_the_file_has_the_rows_of_the_page_and_no_formulas(admin: Client) -> None:
    shop = UserFactory(username="=1+1")
    total(1_250_000, owner_id=shop.pk)

    answer = admin.get(PAGE, {"group_by": ["owner", "country"], "report": "csv"})

    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines == ["\ufeffowner,country,currency,amount,segments,attempts", "'=1+1,DE,EUR,1.25,2,1"]


def test_staff_without_the_permission_to_see_messages_are_refused() -> None:
    client = Client()
    client.force_login(UserFactory(is_staff=True))

    assert client.get(PAGE).status_code == 403
