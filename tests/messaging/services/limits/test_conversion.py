"""Conversion: figures by group, the signal for routing, and metrics."""

from collections import Counter
from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config import metrics
from messaging.models import Message, VerificationCount
from messaging.policy.conversion import FLOOR
from messaging.policy.pumping import Share
from messaging.services.limits import conversion
from messaging.services.outbound.dispatch.router import Router
from tests.factories import NOW, AccountFactory, MessageFactory, QueueFactory
from tests.messaging.services.outbound.dispatch.fakes import Carrier, dispatcher

pytestmark = pytest.mark.django_db
HOUR = NOW.replace(minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)
TO, PREFIX = "+14155550101", "+1415"
LONG_AGO = timedelta(hours=3)


def count(slug: str, started: int, approved: int, *, ago: timedelta = LONG_AGO, prefix: str = PREFIX) -> None:
    VerificationCount.objects.create(
        hour=HOUR - ago, prefix=prefix, provider_slug=slug, started=started, approved=approved
    )


class TestSums:
    @pytest.fixture(autouse=True)
    def _counts(self) -> None:
        count("good", 100, 90)
        count("bad", 100, 30)
        count("bad", 50, 10, ago=timedelta(hours=4))
        count("bad", 10, 9, prefix="+1416")
        count("", 5, 0, prefix="+49151")
        count("good", 1000, 0, ago=40 * DAY)

    def sums(self, *group_by: str, limit: int = 100):
        return conversion.sums(since=(NOW - DAY).date(), until=NOW.date(), group_by=group_by, limit=limit)

    def test_those_that_miss_most_come_first(self) -> None:
        found, whole = self.sums("prefix", "provider")

        assert whole == Share(265, 139)
        assert [(row.group["prefix"], row.group["provider"], row.share) for row in found] == [
            ("+1415", "bad", Share(150, 40)),
            ("+49151", "", Share(5, 0)),
            ("+1416", "bad", Share(10, 9)),
            ("+1415", "good", Share(100, 90)),
        ]

    def test_the_country_of_an_area_code(self) -> None:
        found, _ = self.sums("country")

        assert {row.group["country"]: row.share.started for row in found} == {"US": 250, "CA": 10, "DE": 5}

    def test_without_groups_there_is_one_sum(self) -> None:
        [row], whole = self.sums()

        assert (dict(row.group), row.share) == ({}, whole)

    def test_the_limit_keeps_the_first(self) -> None:
        found, whole = self.sums("provider", limit=1)

        assert ([row.group["provider"] for row in found], whole.started) == (["bad"], 265)

    @pytest.mark.parametrize("day", [date.min, date.max])
    def test_days_at_the_ends_of_the_calendar(self, day: date) -> None:
        found, whole = conversion.sums(since=day, until=day, group_by=["prefix"], limit=9)

        assert (found, whole) == ([], Share())


class TestFactors:
    def test_of_the_last_day_by_prefix(self) -> None:
        count("good", 500, 400)
        count("bad", 500, 0)
        count("late", 500, 0, ago=timedelta(hours=0))  # this hour: codes are still being typed
        count("old", 500, 0, ago=DAY + LONG_AGO)
        count("bad", 500, 0, prefix="+49151")
        count("", 500, 0)

        assert conversion.read_factors(NOW) == {PREFIX: {"bad": FLOOR}}

    def test_hours_are_added(self) -> None:
        count("good", 30, 30)
        count("good", 30, 30, ago=2 * LONG_AGO)
        count("bad", 30, 0)
        count("bad", 30, 0, ago=2 * LONG_AGO)

        assert conversion.read_factors(NOW)[PREFIX].keys() == {"bad"}

    def test_they_are_read_once_a_minute(self, monkeypatch) -> None:
        count("good", 500, 400)
        count("bad", 500, 0)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            for _ in range(3):
                assert conversion.factors(TO, NOW) == {"bad": FLOOR}
        VerificationCount.objects.all().delete()
        assert conversion.factors(TO, NOW) == {"bad": FLOOR}
        monkeypatch.setattr(conversion, "REFRESH_SECONDS", 0.0)

        assert conversion.factors(TO, NOW) == {}
        assert len(queries) == 1


class TestRouting:
    @pytest.fixture(autouse=True)
    def _accounts(self) -> None:
        for slug in ("good", "bad"):
            AccountFactory(slug=slug, config={"url": "http://127.0.0.1:9/"})
        count("good", 500, 400)
        count("bad", 500, 0)

    def carried(self, **values) -> Counter:
        MessageFactory.create_batch(40, to_number=TO, **values)
        carrier = Carrier()
        dispatcher(carrier).run("express")
        assert not Message.objects.exclude(status="sent").exists()
        return Counter(carrier.slugs)

    def test_codes_avoid_an_account_whose_codes_are_not_confirmed_but_some_still_try_it(self) -> None:
        QueueFactory(use_conversion=True)

        found = self.carried(category="otp")

        assert 1 <= found["bad"] <= 4
        assert found["good"] == 40 - found["bad"]

    @pytest.mark.parametrize(("is_on", "category"), [(False, "otp"), (True, "transactional"), (True, "emergency")])
    def test_nothing_changes_where_it_is_off_or_for_other_messages(self, is_on: bool, category: str) -> None:
        QueueFactory(use_conversion=is_on)

        found = self.carried(category=category)

        assert 18 <= found["bad"] <= 22

    def test_the_dry_run_shows_the_share(self) -> None:
        QueueFactory(use_conversion=True)
        message = MessageFactory(to_number=TO, category="otp")

        options = {option.slug: option.share for option in Router(now=NOW).options(message)}

        assert options == {"good": pytest.approx(1 / (1 + FLOOR)), "bad": pytest.approx(FLOOR / (1 + FLOOR))}

    def test_the_only_account_carries_codes_however_few_are_confirmed(self) -> None:
        QueueFactory(use_conversion=True)
        AccountFactory._meta.model.objects.filter(slug="good").update(is_enabled=False)

        assert self.carried(category="otp") == {"bad": 40}


def test_metrics_name_countries_and_accounts_and_count_collapsed_prefixes(monkeypatch) -> None:
    monkeypatch.setattr(metrics.timezone, "now", lambda: NOW)
    count("acme", 1000, 800, ago=2 * DAY)
    count("acme", 200, 3, ago=timedelta(hours=1))
    count("acme", 10, 9, ago=timedelta(0), prefix="+1416")
    count("acme", 500, 0, ago=9 * DAY)

    samples = {
        (sample.name.removeprefix("switchboard_"), sample.labels["provider"], sample.labels["country"]): sample.value
        for metric in metrics._conversion()
        for sample in metric.samples
    }

    assert samples == {
        ("verifications_started", "acme", "US"): 200,
        ("verifications_approved", "acme", "US"): 3,
        ("conversion_collapsed_prefixes", "acme", "US"): 1,
        ("verifications_started", "acme", "CA"): 10,
        ("verifications_approved", "acme", "CA"): 9,
        ("conversion_collapsed_prefixes", "acme", "CA"): 0,
    }
