"""Hours: marketing waits for the recipient's morning, an OTP does not, and nothing fails or expires because of it."""

from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import HoursRevision, HoursRule, Message
from messaging.policy import zones
from messaging.policy.hours import HOURS_HAVE_BEGUN
from messaging.policy.rules import shipped
from messaging.services import installation, snapshots
from messaging.services.errors import InvalidField
from messaging.services.outbound import held, hours, hours_rules, pacing, recovery, waiting
from messaging.services.outbound.accept import accept
from messaging.services.outbound.dispatch.attempts import Attempt
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.sending import SendResult
from messaging.services.outbound.submit import MessageInput, submit, submit_many
from messaging.services.reporting import heartbeats
from providers.errors import NotCalled
from tests.factories import NOW, HoursRuleFactory, MessageFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.plans import on_postgresql, plans_of
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, Clock, dispatcher, result_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
TEXAS = "+12105550123"
# Saturday, 28 November 2026. Of each number the zone in which it is 22:40, the hold, and what it tells.
AT_2240 = {
    TEXAS: ("America/Chicago", "2026-11-29T18:00", "12:00 America/Chicago (29 Nov): rule us-tx"),
    "+14015550123": ("America/New_York", "2026-11-29T15:00", "10:00 America/New_York (29 Nov): rule us-ri"),
    "+14155550101": ("America/Los_Angeles", "2026-11-29T16:00", "08:00 America/Los_Angeles (29 Nov): rule default"),
    "+13035550101": ("America/Denver", "2026-11-29T15:00", "08:00 America/Denver (29 Nov): rule default"),
    "+18085550101": ("Pacific/Honolulu", "2026-11-29T18:00", "08:00 Pacific/Honolulu (29 Nov): rule default"),
    "+33612345678": ("Europe/Paris", "2026-11-30T07:00", "08:00 Europe/Paris (30 Nov): rule fr"),
    "+919876543210": ("Asia/Kolkata", "2026-11-29T04:30", "10:00 Asia/Kolkata (29 Nov): rule in"),
    # Guernsey, Jersey, Isle of Man and London are one.
    "+447400123456": ("Europe/London", "2026-11-29T08:00", "08:00 Europe/London (29 Nov): rule default"),
    "+819012345678": ("Asia/Tokyo", "2026-11-28T23:00", "08:00 Asia/Tokyo (29 Nov): rule default"),
    "+5511987654321": ("America/Sao_Paulo", "2026-11-29T11:00", "08:00 America/Sao_Paulo (29 Nov): rule default"),
    # Eight zones from the Cocos Islands to Lord Howe, sixteen from Bucharest to Kamchatka, and all of North America.
    "+61412345678": ("Australia/Sydney", "2026-11-29T01:30", "08:00 Indian/Cocos (29 Nov): rule default"),
    "+79161234567": ("Europe/Moscow", "2026-11-29T06:00", "08:00 Europe/Bucharest (29 Nov): rule default"),
    "+18005550123": ("America/New_York", "2026-11-29T22:00", "08:00 Pacific/Guam (30 Nov): rule default"),
}  # fmt: skip


@pytest.fixture
def owner():
    return UserFactory()


@pytest.fixture
def rules():
    """The shipped ones, and the neutral one switched on."""
    installation.install()
    hours_rules.switch(rule_id="default", is_enabled=True, now=NOW)


def draft(to: str = TEXAS, category: str = "marketing", **values) -> MessageInput:
    return MessageInput(**{"to": to, "text": "Hi", "valid_for": 3600, "category": category} | values)


def _sentence(reason: str) -> str:
    return f"Held until {reason.replace('rule', 'marketing hours, rule')}."


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("number", AT_2240)
def test_at_2240_marketing_waits_for_the_right_moment_and_an_otp_goes(rules, account, owner, number: str) -> None:
    zone, until, reason = AT_2240[number]
    now = datetime(2026, 11, 28, 22, 40, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    carrier = Carrier()

    text = submit(owner=owner, draft=draft(number), default_queue="express", now=now)
    otp = submit(owner=owner, draft=draft(number, "otp"), default_queue="express", now=now)
    dispatcher(carrier, clock=Clock(now)).run("express")

    assert [call.message.pk for call in carrier.calls] == [otp.pk]
    text.refresh_from_db()
    assert (text.status, text.error_code) == ("queued", "outside_hours")
    assert text.next_attempt_at == utc(until)
    assert text.error_detail == _sentence(reason)
    assert text.expires_at == utc(until) + timedelta(hours=1)
    told = waiting.find([text], now=now, sees_all=True)[text.pk]
    assert (told.code, told.reason, told.until) == ("outside_hours", _sentence(reason), utc(until))


def test_a_held_message_is_sent_when_its_hour_comes(rules, account, owner) -> None:
    clock, carrier = Clock(utc("2026-11-29T17:59:59")), Carrier()
    message = submit(owner=owner, draft=draft(), default_queue="express", now=clock.now)

    recovery.release_due(now=clock.now)
    dispatcher(carrier, clock=clock).run("express")
    assert carrier.calls == []
    clock.advance(1)
    recovery.release_due(now=clock.now)
    message.refresh_from_db()
    assert (message.error_detail, message.next_attempt_at) == (HOURS_HAVE_BEGUN, None)
    assert pacing.oldest_due(now=clock.now) == clock.now  # it was not due before
    dispatcher(carrier, clock=clock).run("express")

    assert [call.message.pk for call in carrier.calls] == [message.pk]
    message.refresh_from_db()
    assert (message.status, message.attempts, message.rounds_failed, message.error_code) == ("sent", 1, 0, "")


def test_one_whose_hours_have_begun_waits_for_its_turn(rules, owner) -> None:
    message = MessageFactory(error_code="outside_hours", error_detail=HOURS_HAVE_BEGUN, updated_at=NOW)
    heartbeats.tick()
    heartbeats.record_worker("worker-1:1")

    told = waiting.find([message], now=NOW + timedelta(minutes=1), sees_all=True)[message.pk]

    assert told.code == "waiting_for_turn"
    assert held.groups() == []


class TestAcceptance:
    """The hold is stored with the message, whichever way it comes in."""

    def test_one_statement_stores_a_held_message(self, rules, owner) -> None:
        accept(owner=owner, draft=draft(), default_queue="express", now=NOW)  # learns the default sender
        hours.current()
        with CaptureQueriesContext(connection) as queries:
            accepted = accept(owner=owner, draft=draft("+12105550124"), default_queue="express", now=NOW)

        expected = "Held until 12:00 America/Chicago (22 Nov): marketing hours, rule us-tx."
        assert accepted.response["error"] == {"code": "outside_hours", "detail": expected}
        stored = Message.objects.get(pk=accepted.response["id"])
        assert (stored.status, stored.error_detail, stored.category) == ("queued", expected, "marketing")
        assert stored.next_attempt_at == utc("2026-11-22T18:00")
        if connection.vendor == "postgresql":
            assert len(queries) == 1

    def test_a_transactional_message_costs_no_more_and_is_not_held(self, rules, owner) -> None:
        accept(owner=owner, draft=draft(category="transactional"), default_queue="express", now=NOW)
        costs = []
        for number in ("+12105550125", "+12105550126"):
            with CaptureQueriesContext(connection) as queries:
                accepted = accept(owner=owner, draft=draft(number, "transactional"), default_queue="express", now=NOW)
            costs.append(len(queries))
            assert accepted.response["error"] is None
            hours.use(hours.Snapshot(read_at=1.0))  # the second time without any rule
        assert costs[0] == costs[1]

    def test_of_a_batch_each_message_waits_for_its_own_hour(self, rules, owner) -> None:
        drafts = [draft(), draft("+33612345678"), draft("+4915112345678", "transactional")]

        results = submit_many(owner=owner, drafts=drafts, default_queue="express", now=utc("2026-11-22T12:00"))

        found = [Message.objects.get(pk=each.pk) for each in results]
        assert [(row.error_code, row.next_attempt_at) for row in found] == [
            ("outside_hours", utc("2026-11-22T18:00")),
            ("outside_hours", utc("2026-11-23T07:00")),
            ("", None),
        ]

    def test_a_message_for_later_is_judged_when_it_is_due(self, rules, account, owner) -> None:
        due = utc("2026-11-23T05:00")  # 23:00 in Texas
        message = submit(owner=owner, draft=draft(send_at=due), default_queue="express", now=NOW)
        assert (message.status, message.next_attempt_at, message.error_code) == ("scheduled", due, "")

        recovery.release_due(now=due)
        dispatcher(Carrier(), clock=Clock(due)).run("express")

        message.refresh_from_db()
        assert (message.status, message.next_attempt_at) == ("queued", utc("2026-11-23T15:00"))


class TestAtTheCall:
    def test_hours_that_end_between_the_claim_and_the_call(self, rules, account) -> None:
        """The carrier is not called: the text waits until the morning, and no round has failed."""
        clock = Clock(utc("2026-11-25T02:59:59"))
        left = timedelta(hours=3)
        message = MessageFactory(
            to_number=TEXAS, category="marketing", created_at=clock.now, updated_at=clock.now,
            expires_at=clock.now + timedelta(seconds=2) + left,
        )  # fmt: skip

        def late(call: Attempt) -> SendResult:
            clock.advance(2)
            return result_of(call, NotCalled("It is outside the hours in which this message may be sent."))

        dispatcher(late, clock=clock).run("express")

        message.refresh_from_db()
        assert (message.status, message.error_code, message.rounds_failed) == ("queued", "outside_hours", 0)
        assert message.next_attempt_at == utc("2026-11-25T15:00")
        assert message.expires_at == utc("2026-11-25T15:00") + left

    def test_a_message_that_no_account_takes_does_not_become_valid_anew_each_night(self, rules) -> None:
        evening = utc("2026-11-25T03:00")
        message = MessageFactory(
            to_number=TEXAS, category="marketing", valid_for=86_400,
            created_at=evening - timedelta(hours=12), expires_at=evening + timedelta(hours=12),
        )  # fmt: skip

        assert claim(queue_name="express", limit=1, now=evening, lease=LEASE) == []

        message.refresh_from_db()
        assert message.next_attempt_at == utc("2026-11-25T15:00")
        assert message.expires_at == utc("2026-11-26T03:00")

    def test_verdicts_that_another_thread_clears_meanwhile(self, rules) -> None:
        class Cleared(dict):
            def __setitem__(self, key, value) -> None:
                """Another thread finds the memory full."""

        snapshot = hours.read()
        snapshot._holds = Cleared()
        hold = snapshot.hold(number=TEXAS, category="marketing", at=utc("2026-11-25T03:00"))

        assert hold is not None
        assert hold.until == utc("2026-11-25T15:00")
        assert snapshot.hold(number=TEXAS, category="marketing", at=utc("2026-11-25T16:00")) is None

    def test_texts_of_one_minute_are_judged_once_and_the_next_minute_anew(self, rules, monkeypatch) -> None:
        snapshot, judged = hours.read(), []
        judge = hours._judge
        monkeypatch.setattr(hours, "_judge", lambda *given: judged.append(given[-1]) or judge(*given))
        before = datetime(2026, 11, 28, 20, 59, tzinfo=ZoneInfo("America/Los_Angeles"))

        holds = [
            snapshot.hold(number="+14155550101", category="marketing", at=before + timedelta(seconds=seconds))
            for seconds in (0, 1, 59.999999, 60, 61)
        ]

        assert [hold is not None for hold in holds] == [False, False, False, True, True]
        assert judged == [before, before + timedelta(minutes=1)]

    def test_a_rule_switched_on_holds_what_is_ready(self, account) -> None:
        message = MessageFactory(to_number=TEXAS, category="marketing")
        HoursRuleFactory(id="night")
        carrier = Carrier()

        dispatcher(carrier).run("express")

        message.refresh_from_db()
        assert (carrier.calls, message.error_code) == ([], "outside_hours")

    def test_no_hours_in_common_end_with_the_validity_and_say_why(self, account, owner) -> None:
        HoursRuleFactory(id="noon", hours=[[[720, 780]]] * 7)
        clock, carrier = Clock(), Carrier()
        message = submit(
            owner=owner, draft=draft("+79161234567", valid_for=100_000), default_queue="express", now=clock.now
        )
        assert message.next_attempt_at == NOW + timedelta(days=1)
        assert message.expires_at == NOW + timedelta(seconds=100_000)

        for seconds in (86_400, 13_600):
            clock.advance(seconds)
            recovery.release_due(now=clock.now)
            dispatcher(carrier, clock=clock).run("express")
        recovery.expire(now=clock.now)

        message.refresh_from_db()
        assert (carrier.calls, message.status, message.error_code) == ([], "failed", "expired")
        assert message.error_detail.startswith("Held: within 21 days no moment is allowed in all time zones")

    def test_a_claim_of_many_that_are_refused_returns_in_between(self, monkeypatch) -> None:
        monkeypatch.setattr("messaging.services.outbound.dispatch.claim.ROUNDS", 3)
        HoursRuleFactory()
        MessageFactory.create_batch(5, category="marketing")
        notes: list[str] = []

        claimed = claim(queue_name="express", limit=1, now=NOW, lease=LEASE, interrupted=lambda: notes.append("more"))

        assert (claimed, notes) == ([], ["more"])
        assert Message.objects.filter(error_code="outside_hours").count() == 3


class TestChangedRules:
    @pytest.fixture
    def message(self, rules, owner) -> Message:
        return submit(owner=owner, draft=draft(), default_queue="express", now=NOW)

    def judge(self, now: datetime) -> int:
        assert held.judged_before().exists()
        return held.judge_anew(now=now)

    def test_a_rule_switched_off_releases_what_waits_for_it(self, message, account) -> None:
        later = NOW + timedelta(minutes=1)
        for rule in ("us-tx", "us", "default"):
            hours_rules.switch(rule_id=rule, is_enabled=False, now=later)
        carrier = Carrier()

        assert self.judge(later) == 0  # other processes may not know yet
        assert self.judge(later + held.TAKES_EFFECT_AFTER) == 1
        dispatcher(carrier, clock=Clock(later + held.TAKES_EFFECT_AFTER)).run("express")

        assert [call.message.pk for call in carrier.calls] == [message.pk]
        message.refresh_from_db()
        assert (message.status, message.error_code) == ("sent", "")
        assert message.expires_at == later + held.TAKES_EFFECT_AFTER + timedelta(hours=1)

    def test_what_another_rule_still_holds_waits_for_that_one(self, message) -> None:
        hours_rules.switch(rule_id="us-tx", is_enabled=False, now=NOW)

        assert self.judge(NOW + held.TAKES_EFFECT_AFTER) == 1

        message.refresh_from_db()
        assert message.next_attempt_at == utc("2026-11-22T14:00")
        assert message.error_detail == "Held until 08:00 America/Chicago (22 Nov): marketing hours, rule default."
        assert not held.judged_before().exists()

    def test_a_hold_by_a_process_that_did_not_know_yet_is_judged_too(self, message) -> None:
        hours_rules.switch(rule_id="us-tx", is_enabled=False, now=NOW)
        Message.objects.update(updated_at=NOW + timedelta(seconds=3))

        assert self.judge(NOW + held.TAKES_EFFECT_AFTER) == 1

    def test_other_messages_that_wait_are_left_alone(self, rules, account) -> None:
        tomorrow = NOW + timedelta(days=1)
        MessageFactory(category="marketing", next_attempt_at=tomorrow, error_code="provider_unavailable")

        assert held.judge_anew(now=NOW + timedelta(hours=1)) == 0

        assert Message.objects.get().next_attempt_at == tomorrow

    def test_in_chunks(self, rules, monkeypatch) -> None:
        monkeypatch.setattr(held, "CHUNK", 2)
        for number in range(5):
            MessageFactory(
                to_number=f"+1210555010{number}", category="marketing", error_code="outside_hours",
                next_attempt_at=NOW + timedelta(days=1), updated_at=NOW - timedelta(hours=1),
            )  # fmt: skip

        assert held.judge_anew(now=NOW + held.TAKES_EFFECT_AFTER) == 5


class TestGroups:
    def test_what_waits_is_counted_by_moment_and_reason(self, rules, owner, monkeypatch) -> None:
        monkeypatch.setattr(held, "COUNTED", 2)
        numbers = ["+12105550101", "+12105550102", "+12105550103", "+33612345678", "+14155550101"]
        submit_many(owner=owner, drafts=[draft(n) for n in numbers], default_queue="express", now=NOW)

        found = [(f"{group.until:%d %H:%M}", group.reason[-12:], group.count, group.is_more) for group in held.groups()]

        assert found == [
            ("22 16:00", "ule default.", 1, False),
            ("22 18:00", " rule us-tx.", 2, True),
            ("23 07:00", "rs, rule fr.", 1, False),
        ]

    def test_at_most_so_many_groups_with_a_bounded_number_of_queries(self, monkeypatch) -> None:
        monkeypatch.setattr(held, "SHOWN", 3)
        for hour in range(5):
            MessageFactory.create_batch(
                2, error_code="outside_hours", error_detail="why", next_attempt_at=NOW + timedelta(hours=hour)
            )
        with CaptureQueriesContext(connection) as queries:
            assert len(held.groups()) == 3
        assert len(queries) <= 3 * 3
        assert not any('"id"' in query["sql"] for query in queries)  # which would lead past the index


class TestRules:
    def test_shipped_rules_are_installed_once_and_keep_their_switch(self) -> None:
        installation.install()
        hours_rules.switch(rule_id="us-fl", is_enabled=False, now=NOW)
        HoursRule.objects.filter(pk="us").update(hours=[[]] * 7)
        before = HoursRevision.objects.get().changed_at

        installation.install()
        changed = HoursRevision.objects.get().changed_at
        installation.install()

        assert HoursRule.objects.get(pk="us").hours == [[[480, 1260]]] * 7
        assert not HoursRule.objects.get(pk="us-fl").is_enabled
        assert before < changed == HoursRevision.objects.get().changed_at

    def test_a_rule_that_comes_with_a_release_is_a_change(self) -> None:
        """What is held already is judged by it too, and shows it."""
        hours_rules.install(now=NOW, rules=shipped()[1:])

        hours_rules.install(now=NOW + timedelta(days=1), rules=shipped())
        hours_rules.install(now=NOW + timedelta(days=2), rules=shipped())

        assert HoursRevision.objects.get().changed_at == NOW + timedelta(days=1)

    def test_one_that_is_no_longer_shipped_is_switched_off(self) -> None:
        installation.install()

        hours_rules.install(now=NOW, rules=[])

        assert not HoursRule.objects.filter(is_enabled=True).exists()

    def test_an_own_rule_with_the_id_of_a_shipped_one_stays(self) -> None:
        HoursRuleFactory(id="us", name="Ours")

        installation.install()

        assert HoursRule.objects.get(pk="us").name == "Ours"

    def test_a_shipped_rule_is_neither_changed_nor_removed(self) -> None:
        installation.install()

        with pytest.raises(InvalidField):
            hours_rules.save(HoursRule.objects.get(pk="us"), now=NOW)
        hours_rules.remove(rule_id="us", now=NOW)

        assert HoursRule.objects.get(pk="us").changed_at != NOW

    def test_an_invalid_rule_is_not_stored(self) -> None:
        with pytest.raises(InvalidField, match="are held"):
            hours_rules.save(HoursRule(id="x", name="X", categories=["otp"], hours=[[[0, 60]]] * 7), now=NOW)

        assert not HoursRule.objects.exists()

    def test_a_removed_rule_no_longer_holds(self, owner) -> None:
        HoursRuleFactory(id="own")
        message = submit(owner=owner, draft=draft(), default_queue="express", now=NOW)
        hours_rules.remove(rule_id="own", now=NOW)

        assert held.judge_anew(now=NOW + held.TAKES_EFFECT_AFTER) == 1

        message.refresh_from_db()
        assert (message.next_attempt_at, message.error_detail) == (None, HOURS_HAVE_BEGUN)

    def test_rules_are_read_again_after_two_seconds(self, monkeypatch) -> None:
        times = [10.0]
        monkeypatch.setattr(hours, "REFRESH_SECONDS", 2.0)
        monkeypatch.setattr(snapshots.time, "monotonic", lambda: times[0])
        hours.use(hours.Snapshot())
        assert hours.current().rules == ()
        HoursRule.objects.create(id="new", name="N", categories=["marketing"], hours=[[]] * 7, changed_at=NOW)

        times[0] = 11.9
        assert (hours.current().rules, hours.last_known().rules) == ((), ())
        times[0] = 12.0
        assert [rule.id for rule in hours.current().rules] == ["new"]

    def test_a_number_without_a_zone_has_the_default(self, settings) -> None:
        settings.POLICY_DEFAULT_TIME_ZONE = "Asia/Tokyo"
        HoursRuleFactory(id="day")
        assert zones.location_of("+88213123456").zones == ()

        hold = hours.current().hold(number="+88213123456", category="marketing", at=utc("2026-11-22T22:00"))

        assert hold is not None
        assert hold.detail == "Held until 08:00 Asia/Tokyo (23 Nov): marketing hours, rule day."


@on_postgresql
@pytest.mark.parametrize("misled", [False, True], ids=["right statistics", "wrong statistics"])
@pytest.mark.parametrize("read", [held.groups, lambda: list(held.judged_before()[:1])], ids=["groups", "judged_before"])
def test_only_held_messages_are_read(read, misled: bool) -> None:
    HoursRevision.objects.create(changed_at=NOW)
    MessageFactory.create_batch(
        3, error_code="outside_hours", error_detail="why", next_attempt_at=NOW, updated_at=NOW - timedelta(hours=1)
    )

    plans = plans_of(read, misled=misled)

    assert plans
    assert all("message_held_" in plan and "Seq Scan on messaging_message" not in plan for plan in plans), plans


@on_postgresql
def test_due_messages_are_found_behind_a_million_held_ones() -> None:
    others = recovery.due(NOW).exclude(error_code="outside_hours").order_by("next_attempt_at")

    [plan] = plans_of(lambda: list(others[:1]))

    assert "message_deferred_not_held" in plan


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
def test_two_installations_at_once_store_each_rule_once() -> None:
    at_once([partial(hours_rules.install, now=NOW)] * 4)

    assert HoursRule.objects.filter(is_shipped=True).count() == 13
    assert HoursRevision.objects.count() == 1
