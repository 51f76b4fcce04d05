"""The console's page of budgets."""

from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from messaging.models import Budget
from messaging.services.costs import budget_changes
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
LIST = "/admin/messaging/budget/"


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


def test_a_budget_is_set_changed_and_removed(admin: Client) -> None:
    owner = UserFactory(username="shop")
    form = {"owner": owner.pk, "country": "de", "period": "day", "currency": "eur", "amount": "12.5", "_reason": "new"}

    assert admin.post(f"{LIST}add/", form).status_code == 302
    row = Budget.objects.get()
    assert (row.owner, row.country, row.currency, row.limit) == (owner, "DE", "EUR", Decimal("12.5"))
    page = admin.get(LIST).content.decode()
    assert "12.5 EUR" in page
    assert "0 of 12.5 (0 %)" in page

    assert admin.post(f"{LIST}{row.pk}/change/", {"amount": "3", "_reason": "less"}).status_code == 302
    row.refresh_from_db()
    assert row.limit == 3
    assert LogEntry.objects.filter(object_id=str(row.pk)).count() == 2
    admin.post(f"{LIST}{row.pk}/delete/", {"post": "yes", "_reason": "over"})
    assert not Budget.objects.exists()


@pytest.mark.parametrize("changes", [{"country": "XX"}, {"currency": "XXX"}, {"amount": "1.5"}])
def test_a_wrong_budget_is_refused(admin: Client, changes) -> None:
    form = {"owner": UserFactory().pk, "country": "", "period": "day", "currency": "", "amount": "5", "_reason": "x"}

    assert admin.post(f"{LIST}add/", {**form, **changes}).status_code == 200
    assert not Budget.objects.exists()


def test_a_second_budget_of_the_same_kind_is_refused_in_words(admin: Client) -> None:
    owner = UserFactory()
    budget_changes.create(owner=owner, country="", period="day", limit=Decimal(5), currency="", now=timezone.now())
    form = {"owner": owner.pk, "country": "", "period": "day", "currency": "", "amount": "5", "_reason": "x"}

    page = admin.post(f"{LIST}add/", form).content.decode()

    assert "There is a budget of this owner" in page


def test_the_list_needs_no_query_for_each_budget(admin: Client, django_assert_max_num_queries) -> None:
    owner = UserFactory()
    for country in ("", "DE", "AT", "CH", "FR", "IT", "ES", "PT", "NL", "BE"):
        budget_changes.create(
            owner=owner, country=country, period="day", limit=Decimal(5), currency="", now=timezone.now()
        )

    with django_assert_max_num_queries(16):
        page = admin.get(LIST).content.decode()
    assert page.count("0 of 5 (0 %)") == 10
