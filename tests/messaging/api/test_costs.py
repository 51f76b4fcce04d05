"""GET /stats/costs/."""

import pytest

from messaging.models import CostTotal
from tests.messaging.api.conftest import errors_of


@pytest.fixture
def totals(api, stranger):
    def total(day: str, owner_id: int, account: str, currency: str, units: int) -> CostTotal:
        return CostTotal(
            day=day, owner_id=owner_id, account=account, country="US", category="otp", currency=currency,
            attempts=1, segments=2, units=units,
        )  # fmt: skip

    CostTotal.objects.bulk_create(
        [
            total("2026-11-20", api.user.pk, "=acme", "EUR", 1_500_000),
            total("2026-11-21", api.user.pk, "=acme", "EUR", 1),
            total("2026-11-21", api.user.pk, "other", "USD", 2_000_000),
            total("2026-11-21", stranger.user.pk, "other", "USD", 9_000_000),
        ]
    )


RANGE = "since=2026-11-20&until=2026-11-21"


def test_owners_see_their_own_by_currency(api, totals) -> None:
    found = api.get(f"stats/costs/?{RANGE}").json()

    assert found == {
        "since": "2026-11-20",
        "until": "2026-11-21",
        "costs": [
            {"currency": "EUR", "amount": "1.500001", "segments": 4, "attempts": 2},
            {"currency": "USD", "amount": "2", "segments": 2, "attempts": 1},
        ],
    }


def test_staff_see_all_by_group(staff, api, totals) -> None:
    found = staff.get("stats/costs/?since=2026-11-21&until=2026-11-21&group_by=owner,day").json()["costs"]

    assert [(row["owner"], row["day"], row["currency"], row["amount"]) for row in found] == [
        ("client", "2026-11-21", "EUR", "0.000001"),
        ("client", "2026-11-21", "USD", "2"),
        ("stranger", "2026-11-21", "USD", "9"),
    ]


def test_csv_is_safe_for_spreadsheets(api, totals) -> None:
    response = api.get(f"stats/costs/?{RANGE}&group_by=account&report=csv")

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.content.decode().splitlines() == [
        "account,currency,amount,segments,attempts",
        "'=acme,EUR,1.500001,4,2",
        "other,USD,2,2,1",
    ]


@pytest.mark.parametrize("query", ["group_by=colour", "group_by=day,day", "since=yesterday", "report=pdf", "sinse=x"])
def test_a_wrong_query_is_400(api, query: str) -> None:
    response = api.get(f"stats/costs/?{query}")

    assert {field for field, _ in errors_of(response)} == {query.split("=", maxsplit=1)[0]}
