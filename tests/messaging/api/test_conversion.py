"""GET /stats/conversion/."""

import pytest

from messaging.models import VerificationCount
from messaging.services.installation import API_OPERATOR, API_READER, API_SENDER
from tests.messaging.api.conftest import errors_of

RANGE = "since=2026-11-20&until=2026-11-21"


@pytest.fixture(autouse=True)
def _counts(db) -> None:
    def count(hour: str, prefix: str, slug: str, started: int, approved: int) -> VerificationCount:
        return VerificationCount(hour=hour, prefix=prefix, provider_slug=slug, started=started, approved=approved)

    VerificationCount.objects.bulk_create(
        [
            count("2026-11-19T23:00Z", "+1415", "acme", 7, 0),
            count("2026-11-20T00:00Z", "+1415", "acme", 60, 54),
            count("2026-11-21T23:00Z", "+1415", "acme", 40, 36),
            count("2026-11-21T23:00Z", "+49151", "other", 10, 2),
            count("2026-11-22T00:00Z", "+1415", "acme", 7, 0),
        ]
    )


def test_by_groups(api) -> None:
    assert api.get(f"stats/conversion/?{RANGE}&group_by=country,provider").json() == {
        "since": "2026-11-20",
        "until": "2026-11-21",
        "conversion": [
            {
                "country": "DE", "provider": "other", "started": 10, "approved": 2, "share": 0.2,
                "share_at_least": 0.0567, "share_at_most": 0.5098,
            },
            {
                "country": "US", "provider": "acme", "started": 100, "approved": 90, "share": 0.9,
                "share_at_least": 0.8256, "share_at_most": 0.9448,
            },
        ],
    }  # fmt: skip


def test_without_groups_and_without_verifications(api) -> None:
    [row] = api.get(f"stats/conversion/?{RANGE}").json()["conversion"]

    assert (row["started"], row["approved"]) == (110, 92)
    assert api.get("stats/conversion/?until=2026-01-01").json()["conversion"] == []


@pytest.mark.parametrize(("group", "status"), [(API_SENDER, 403), (API_READER, 403), (API_OPERATOR, 200)])
def test_the_figures_of_all_owners_are_for_operators(member_of, group: str, status: int) -> None:
    assert member_of(group).get("stats/conversion/").status_code == status


@pytest.mark.parametrize("query", ["group_by=owner", "group_by=prefix,prefix", "since=yesterday", "sinse=x"])
def test_a_wrong_query_is_400(api, query: str) -> None:
    response = api.get(f"stats/conversion/?{query}")

    assert {field for field, _ in errors_of(response)} == {query.split("=", maxsplit=1)[0]}
