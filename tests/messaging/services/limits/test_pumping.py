"""Watching for SMS pumping: each code counted once, one alert per episode, and what staff do about it."""

import logging
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from config import metrics
from config.admin import dashboard
from messaging.models import CodeCount, CodeScan, Message, PrefixRule, PumpingAlert, VerificationCount
from messaging.services.limits import pumping, rules
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.submit import MessageInput, submit
from tests.factories import NOW, MessageFactory, UserFactory
from tests.messaging.parallel import at_once

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=5)
PREFIX, TO = "+62812", "+6281234567890"
HOUR = NOW.replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def staff():
    return UserFactory(is_staff=True)


def verifications(started: int, approved: int, *, ago: timedelta = timedelta(0), prefix: str = PREFIX) -> None:
    VerificationCount.objects.create(
        hour=HOUR - ago, prefix=prefix, provider_slug=uuid4().hex, started=started, approved=approved
    )


def attack() -> None:
    verifications(1000, 800, ago=timedelta(days=3))
    verifications(200, 3)


def otp(at, **values) -> Message:
    key = pumping._first_key(at).int | (uuid7().int & ((1 << 62) - 1))
    return MessageFactory(
        **{"id": type(uuid4())(int=key), "category": "otp", "to_number": TO, "created_at": at, **values}
    )


class TestCounting:
    def test_each_code_is_counted_once_by_hour_owner_and_prefix(self) -> None:
        owner = UserFactory()
        pumping.watch(now=HOUR + timedelta(minutes=50))
        for minutes in (51, 55, 61):
            otp(HOUR + timedelta(minutes=minutes), owner=owner)
        otp(HOUR + timedelta(minutes=52), owner=owner, category="marketing")
        otp(HOUR + timedelta(minutes=52), owner=owner, to_number="+14155550101")
        otp(HOUR + timedelta(minutes=45), owner=owner)  # before anything was counted

        for minutes in (54, 54, 58, 65, 65):
            pumping.watch(now=HOUR + timedelta(minutes=minutes))

        found = CodeCount.objects.order_by("hour", "prefix").values_list("hour", "owner_id", "prefix", "count")
        assert list(found) == [
            (HOUR, owner.pk, "+1415", 1),
            (HOUR, owner.pk, PREFIX, 2),
            (HOUR + timedelta(hours=1), owner.pk, PREFIX, 1),
        ]

    def test_a_long_interruption_is_not_made_up_for(self) -> None:
        pumping.watch(now=NOW)
        later = NOW + timedelta(days=2)
        otp(later - timedelta(hours=3), owner=UserFactory())
        with CaptureQueriesContext(connection) as queries:
            pumping.watch(now=later)
        assert not CodeCount.objects.exists()
        assert len(queries) < 25

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
    def test_two_workers_at_once_count_once_and_raise_one_alert(self) -> None:
        pumping.watch(now=NOW)
        attack()
        owner = UserFactory()
        for _ in range(3):
            otp(NOW + timedelta(minutes=1), owner=owner)
        found = at_once([partial(pumping.watch, now=LATER)] * 4)
        assert sum(len(each) for each in found) == 1
        assert (CodeCount.objects.get().count, PumpingAlert.objects.count()) == (3, 1)


class TestAlerts:
    def test_an_installation_without_codes_has_none(self) -> None:
        assert pumping.watch(now=NOW) == []

    def test_few_confirmed_codes_raise_one_alert_per_episode(self, caplog) -> None:
        attack()
        with caplog.at_level(logging.WARNING, logger=pumping.__name__):
            [alert] = pumping.watch(now=NOW)
            assert pumping.watch(now=LATER) == []

        assert (alert.prefix, alert.started, alert.approved, alert.is_holding) == (PREFIX, 200, 3, False)
        assert alert.detail == "3 of 200 verifications were approved; at least 76% is usual."
        assert [each.getMessage() for each in caplog.records] == [
            f"SMS pumping suspected at prefix {PREFIX}; nothing is held. {alert.detail}"
        ]
        assert PumpingAlert.objects.get().last_seen_at == LATER

    def test_it_ends_when_it_is_quiet_and_the_next_one_is_new(self) -> None:
        attack()
        pumping.watch(now=NOW)
        VerificationCount.objects.filter(started=200).delete()
        pumping.watch(now=NOW + timedelta(hours=1))
        assert PumpingAlert.objects.get().ended_at is None
        pumping.watch(now=NOW + timedelta(hours=2))
        assert PumpingAlert.objects.get().ended_at == NOW + timedelta(hours=2)

        verifications(200, 3, ago=timedelta(hours=-2))
        [alert] = pumping.watch(now=NOW + timedelta(hours=2, minutes=5))
        assert PumpingAlert.objects.count() == 2
        assert alert.ended_at is None

    def test_many_more_codes_than_usual_raise_an_alert(self) -> None:
        owner = UserFactory()
        CodeScan.objects.create(since=NOW - timedelta(days=30), counted_until=NOW)
        for days in (1, 5):
            CodeCount.objects.create(hour=HOUR - timedelta(days=days), owner_id=owner.pk, prefix=PREFIX, count=20)
        CodeCount.objects.create(hour=HOUR, owner_id=owner.pk, prefix=PREFIX, count=60)
        assert pumping.watch(now=NOW) == []
        CodeCount.objects.filter(hour=HOUR).update(count=61)
        [alert] = pumping.watch(now=NOW)
        assert alert.detail == "61 codes in an hour; 20 is the most in the last two weeks."

    def test_dashboard_and_metrics_show_it_until_it_is_acknowledged(self, staff) -> None:
        attack()
        [alert] = pumping.watch(now=NOW)

        [concern] = dashboard._pumping_concerns()
        assert (concern.tone, concern.title) == ("warn", f"Codes to {PREFIX}: suspected SMS pumping")
        [family] = [each for each in metrics._from_database() if each.name == "switchboard_pumping_alerts"]
        assert {sample.labels["state"]: sample.value for sample in family.samples} == {"open": 1, "holding": 0}

        pumping.acknowledge(alert_id=alert.pk, actor=staff, now=LATER)
        pumping.acknowledge(alert_id=alert.pk, actor=UserFactory(), now=LATER)
        assert dashboard._pumping_concerns() == []
        assert PumpingAlert.objects.get().acknowledged_by == staff

    def test_old_counts_and_episodes_are_purged_but_no_hold(self) -> None:
        old = NOW - timedelta(days=401)
        PumpingAlert.objects.create(prefix="+1", since=old, last_seen_at=old, ended_at=old)
        PumpingAlert.objects.create(prefix="+2", since=old, last_seen_at=old, ended_at=old, is_holding=True)
        CodeCount.objects.create(hour=NOW - timedelta(days=16), owner_id=1, prefix="+1", count=1)
        CodeCount.objects.create(hour=NOW - timedelta(days=13), owner_id=1, prefix="+2", count=1)
        pumping.purge(now=NOW)
        assert [row.prefix for row in (*PumpingAlert.objects.all(), *CodeCount.objects.all())] == ["+2", "+2"]


@pytest.mark.usefixtures("express")
class TestHolding:
    @pytest.fixture
    def held(self) -> PumpingAlert:
        attack()
        [alert] = pumping.watch(now=NOW, hold=("+62",))
        assert alert.is_holding
        rules.read()
        return alert

    def send(self, **values) -> Message:
        draft = MessageInput(**{"to": TO, "text": "Your code", "valid_for": 600, "category": "otp", **values})
        return submit(owner=UserFactory(), draft=draft, default_queue="express", now=NOW)

    def test_by_the_setting_codes_wait_and_other_texts_go(self, held) -> None:
        message = self.send()
        assert (message.status, message.error_code) == ("queued", "prefix_held")
        assert message.next_attempt_at == NOW + timedelta(minutes=1)
        assert self.send(category="transactional").error_code == ""
        assert self.send(to="+6285134567890").error_code == ""

    def test_what_is_queued_already_waits_at_the_claim(self, held, staff) -> None:
        pumping.hold(alert_id=held.pk, is_holding=False, actor=staff, now=NOW)
        message = self.send()
        pumping.hold(alert_id=held.pk, is_holding=True, actor=staff, now=NOW)
        assert claim(queue_name="express", limit=5, now=NOW, lease=timedelta(seconds=60)) == []
        message.refresh_from_db()
        assert (message.status, message.error_code) == ("queued", "prefix_held")

    def test_released_they_are_sent_and_a_going_episode_does_not_hold_again(self, held, staff) -> None:
        message = self.send()
        pumping.hold(alert_id=held.pk, is_holding=False, actor=staff, now=NOW)
        pumping.watch(now=LATER, hold=("all",))
        Message.objects.update(next_attempt_at=None)
        assert [row.pk for row in claim(queue_name="express", limit=5, now=NOW, lease=timedelta(seconds=60))] == [
            message.pk
        ]

    def test_blocked_they_fail(self, held, staff) -> None:
        message = self.send()
        pumping.block(alert_id=held.pk, actor=staff, now=NOW)
        assert PrefixRule.objects.get().prefix == PREFIX
        Message.objects.update(next_attempt_at=None)
        claim(queue_name="express", limit=5, now=NOW, lease=timedelta(seconds=60))
        message.refresh_from_db()
        assert (message.status, message.error_code) == ("failed", "prefix_blocked")
        assert rules.current().held == frozenset()
