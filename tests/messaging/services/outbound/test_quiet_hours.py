"""Quiet hours of owners and queues: what they hold, for how long, and what becomes of held texts when they change."""

from datetime import UTC, datetime, time, timedelta
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Message, OutboundQueue, OwnerPolicy, PrefixRule
from messaging.policy.hours import HOURS_HAVE_BEGUN
from messaging.services.errors import InvalidField
from messaging.services.limits import rules
from messaging.services.outbound import held, hours, owner_policies, queues
from messaging.services.outbound.accept import accept
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dry_run import dry_run
from messaging.services.outbound.submit import MessageInput, submit, submit_many
from tests.factories import NOW, HoursRuleFactory, MessageFactory, OwnerPolicyFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.plans import on_postgresql, plans_of
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, Clock, dispatcher

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
TEXAS, BERLIN, SATELLITE = "+12105550123", "+4915112345678", "+88213123456"
NIGHT = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)  # 22:00 in Texas, 05:00 in Berlin
MORNING = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)  # 08:00 in Texas
TOLD = "Held until 08:00 America/Chicago (25 Nov): quiet hours, rule quiet-owner."


@pytest.fixture
def owner():
    return OwnerPolicyFactory().owner


def draft(to: str = TEXAS, category: str = "transactional", **values) -> MessageInput:
    return MessageInput(**{"to": to, "text": "Hi", "valid_for": 3600, "category": category} | values)


def held_until(message: Message) -> datetime | None:
    message.refresh_from_db()
    return message.next_attempt_at if message.error_code == "outside_hours" else None


class TestAcceptance:
    @pytest.mark.parametrize(
        ("category", "until"),
        [("transactional", MORNING), ("marketing", MORNING), ("otp", None)],
    )
    def test_by_category(self, owner, category: str, until: datetime | None) -> None:
        message = submit(owner=owner, draft=draft(category=category), default_queue="express", now=NIGHT)

        assert held_until(message) == until
        assert message.error_detail == (TOLD if until else "")
        assert message.expires_at == (until or NIGHT) + timedelta(hours=1)

    def test_an_automatic_reply_goes(self, owner) -> None:
        reply = draft(is_automatic=True)

        assert held_until(submit(owner=owner, draft=reply, default_queue="express", now=NIGHT)) is None

    def test_each_number_by_its_own_clock_and_each_owner_by_its_own_hours(self, owner) -> None:
        other = OwnerPolicyFactory(quiet_from=time(4), quiet_until=time(6)).owner
        third = UserFactory()

        found = {
            (who.pk, number): held_until(submit(owner=who, draft=draft(number), default_queue="express", now=NIGHT))
            for who in (owner, other, third)
            for number in (TEXAS, BERLIN)
        }

        assert found == {
            (owner.pk, TEXAS): MORNING,
            (owner.pk, BERLIN): datetime(2026, 11, 25, 7, tzinfo=UTC),
            (other.pk, TEXAS): None,
            (other.pk, BERLIN): datetime(2026, 11, 25, 5, tzinfo=UTC),
            (third.pk, TEXAS): None,
            (third.pk, BERLIN): None,
        }

    def test_rules_queue_and_owner_have_to_allow_the_moment(self, owner) -> None:
        HoursRuleFactory(id="late", hours=[[[540, 1260]]] * 7)
        queues.change(name="express", changes={"quiet_from": time(21), "quiet_until": time(10)})

        marketing = submit(owner=owner, draft=draft(category="marketing"), default_queue="express", now=NIGHT)
        other = submit(owner=UserFactory(), draft=draft(), default_queue="express", now=NIGHT)

        for message in (marketing, other):
            assert held_until(message) == MORNING + timedelta(hours=2)
            assert message.error_detail.endswith("(25 Nov): quiet hours, rule quiet-queue.")

    def test_of_another_queue_nothing_is_held(self) -> None:
        OutboundQueue.objects.create(name="slow", quiet_from=time(21), quiet_until=time(8))
        hours.expire()

        message = submit(owner=UserFactory(), draft=draft(), default_queue="express", now=NIGHT)

        assert held_until(message) is None

    def test_a_batch(self, owner) -> None:
        drafts = [draft(), draft(category="otp"), draft("+12105550124")]

        found = submit_many(owner=owner, drafts=drafts, default_queue="express", now=NIGHT)

        assert [held_until(each) for each in found] == [MORNING, None, MORNING]

    def test_a_dry_run_tells_it(self, owner, account) -> None:
        found = dry_run(owner=owner, draft=draft(), default_queue="express", now=NIGHT)

        assert {(check.code, check.detail, check.until) for check in found.checks if check.verdict == "held"} == {
            ("outside_hours", TOLD, MORNING)
        }

    @pytest.mark.parametrize("policy", [False, True], ids=["nobody has quiet hours", "another owner has"])
    def test_a_message_without_quiet_hours_costs_no_more(self, policy: bool) -> None:
        owner = UserFactory()
        if policy:
            OwnerPolicyFactory()
        accept(owner=owner, draft=draft(), default_queue="express", now=NIGHT)  # learns the default sender
        hours.current()
        with CaptureQueriesContext(connection) as queries:
            accepted = accept(owner=owner, draft=draft("+12105550124"), default_queue="express", now=NIGHT)

        assert accepted.response["error"] is None
        assert not [query for query in queries if "ownerpolicy" in query["sql"] or "quiet" in query["sql"]]
        if connection.vendor == "postgresql":
            assert len(queries) == 1

    def test_a_held_one_is_stored_by_one_statement_too(self, owner) -> None:
        accept(owner=owner, draft=draft(), default_queue="express", now=NIGHT)
        with CaptureQueriesContext(connection) as queries:
            accepted = accept(owner=owner, draft=draft("+12105550124"), default_queue="express", now=NIGHT)

        assert accepted.response["error"] == {"code": "outside_hours", "detail": TOLD}
        if connection.vendor == "postgresql":
            assert len(queries) == 1


class TestTimeZones:
    @pytest.fixture(autouse=True)
    def _satellites_allowed(self) -> None:
        rules.save(PrefixRule(prefix="+882", is_allowed=True, reason="a ship"), now=NIGHT)

    def test_a_number_without_a_zone_has_that_of_its_owner(self, settings) -> None:
        settings.POLICY_DEFAULT_TIME_ZONE = "Asia/Tokyo"
        night = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)  # 23:00 in Tokyo, 03:00 in Auckland
        quiet = {"quiet_from": time(22), "quiet_until": time(2)}
        of_owner = OwnerPolicyFactory(default_time_zone="Pacific/Auckland", **quiet).owner
        of_installation = OwnerPolicyFactory(**quiet).owner

        found = {
            who: held_until(submit(owner=who, draft=draft(SATELLITE), default_queue="express", now=night))
            for who in (of_owner, of_installation)
        }

        assert found == {of_owner: None, of_installation: night + timedelta(hours=3)}

    def test_rules_go_by_it_as_well(self) -> None:
        HoursRuleFactory(id="day")
        owner = OwnerPolicyFactory(quiet_from=None, quiet_until=None, default_time_zone="Pacific/Auckland").owner

        message = submit(
            owner=owner, draft=draft(SATELLITE, "marketing"), default_queue="express", now=MORNING
        )  # 03:00 in Auckland

        assert held_until(message) == MORNING + timedelta(hours=5)
        assert message.error_detail == "Held until 08:00 Pacific/Auckland (26 Nov): marketing hours, rule day."


class TestDispatch:
    def test_the_claim_holds_what_was_ready_before(self, owner, account) -> None:
        message = MessageFactory(owner=owner, to_number=TEXAS, expires_at=NIGHT + timedelta(hours=1))

        assert claim(queue_name="express", limit=1, now=NIGHT, lease=LEASE) == []

        assert held_until(message) == MORNING
        assert message.error_detail == TOLD

    def test_an_otp_is_sent_in_the_night(self, owner, account) -> None:
        carrier = Carrier()
        otp = submit(owner=owner, draft=draft(category="otp"), default_queue="express", now=NIGHT)
        submit(owner=owner, draft=draft(), default_queue="express", now=NIGHT)

        dispatcher(carrier, clock=Clock(NIGHT)).run("express")

        assert [call.message.pk for call in carrier.calls] == [otp.pk]


class TestChanges:
    @pytest.fixture
    def message(self, owner) -> Message:
        return submit(owner=owner, draft=draft(), default_queue="express", now=NIGHT)

    def change(self, owner, **changes) -> OwnerPolicy:
        return owner_policies.change(owner=owner, changes=changes, now=NIGHT)

    def test_removed_they_release_what_they_held(self, owner, message) -> None:
        self.change(owner, quiet_from=None, quiet_until=None)

        assert held.judge_anew(now=NIGHT + timedelta(seconds=4)) == 0  # other processes may not know yet
        assert held.judge_anew(now=NIGHT + held.TAKES_EFFECT_AFTER) == 1

        assert held_until(message) is None
        assert (message.status, message.error_detail) == ("queued", HOURS_HAVE_BEGUN)
        assert not held.changed_policies(now=NIGHT + timedelta(days=1)).exists()

    def test_made_longer_they_hold_for_longer(self, owner, message) -> None:
        self.change(owner, quiet_until=time(9))

        held.judge_anew(now=NIGHT + held.TAKES_EFFECT_AFTER)

        assert held_until(message) == MORNING + timedelta(hours=1)

    def test_a_change_of_one_owner_leaves_all_others_alone(self, owner, message) -> None:
        other = OwnerPolicyFactory().owner
        theirs = submit(owner=other, draft=draft(), default_queue="express", now=NIGHT)
        self.change(owner, quiet_from=None, quiet_until=None)

        assert held.judge_anew(now=NIGHT + held.TAKES_EFFECT_AFTER) == 1

        assert held_until(theirs) == MORNING
        assert theirs.updated_at == NIGHT

    def test_the_same_again_is_no_change(self, owner, message) -> None:
        self.change(owner, quiet_from=time(21), quiet_until=time(8))

        assert OwnerPolicy.objects.get().effective_at is None

    def test_a_message_that_another_transaction_has_is_judged_later(self, owner, message, monkeypatch) -> None:
        self.change(owner, quiet_from=None, quiet_until=None)
        with monkeypatch.context() as patch:
            patch.setattr(held, "_judge_chunk", lambda _before, _now: 0)  # it skips locked rows
            held.judge_anew(now=NIGHT + held.TAKES_EFFECT_AFTER)
        assert held.changed_policies(now=NIGHT + held.TAKES_EFFECT_AFTER).exists()

        assert held.judge_anew(now=NIGHT + held.TAKES_EFFECT_AFTER) == 1

    def test_a_change_during_the_judgement_is_judged_as_well(self, owner, message, monkeypatch) -> None:
        later = NIGHT + timedelta(minutes=1)
        self.change(owner, quiet_from=None, quiet_until=None)
        judge = held._judge_chunk

        def judge_and_change(before, now: datetime) -> int:
            done = judge(before, now)
            owner_policies.change(owner=owner, changes={"default_time_zone": "Asia/Tokyo"}, now=later)
            return done

        monkeypatch.setattr(held, "_judge_chunk", judge_and_change)
        held.judge_anew(now=NIGHT + held.TAKES_EFFECT_AFTER)

        assert OwnerPolicy.objects.get().effective_at == later + held.TAKES_EFFECT_AFTER

    def test_many_are_judged_in_chunks(self, owner, monkeypatch) -> None:
        monkeypatch.setattr(held, "CHUNK", 2)
        MessageFactory.create_batch(
            5, owner=owner, error_code="outside_hours", next_attempt_at=MORNING, updated_at=NIGHT
        )
        self.change(owner, quiet_from=None, quiet_until=None)

        assert held.judge_anew(now=NIGHT + held.TAKES_EFFECT_AFTER) == 5
        assert OwnerPolicy.objects.get().effective_at is None

    def test_those_of_a_queue_are_judged_as_rules_are(self) -> None:
        queues.change(name="express", changes={"quiet_from": time(21), "quiet_until": time(8)})
        message = submit(owner=UserFactory(), draft=draft(), default_queue="express", now=NIGHT)
        queues.change(name="express", changes={"quiet_from": None, "quiet_until": None})
        assert held_until(message) == MORNING

        assert held.judged_before().exists()
        assert held.judge_anew(now=datetime.now(UTC) + held.TAKES_EFFECT_AFTER) == 1

        assert held_until(message) is None

    def test_another_change_of_a_queue_judges_nothing(self) -> None:
        queues.change(name="express", changes={"description": "x"})

        assert not held.judged_before().exists()


class TestPolicies:
    @pytest.mark.parametrize(
        ("changes", "field", "code"),
        [
            ({"default_time_zone": "Europe/Bärlin"}, "default_time_zone", "unknown_time_zone"),
            ({"default_time_zone": "Factory"}, "default_time_zone", "unknown_time_zone"),
            ({"quiet_from": time(21)}, "quiet_hours", "half_of_quiet_hours"),
            ({"quiet_from": time(8), "quiet_until": time(8)}, "quiet_hours", "no_quiet_hours"),
        ],
    )
    def test_what_cannot_be_meant_is_not_stored(self, changes, field: str, code: str) -> None:
        with pytest.raises(InvalidField) as error:
            owner_policies.change(owner=UserFactory(), changes=changes, now=NOW)

        assert (error.value.field, error.value.field_code) == (field, code)
        assert not OwnerPolicy.objects.exists()

    def test_a_queue_neither(self) -> None:
        with pytest.raises(InvalidField):
            queues.change(name="express", changes={"quiet_from": time(8), "quiet_until": time(8)})

        assert OutboundQueue.objects.get().quiet_from is None

    def test_without_a_row_nothing_is_decided(self) -> None:
        owner = UserFactory()

        assert owner_policies.of(owner).decided() == {
            "default_time_zone": "", "quiet_from": None, "quiet_until": None
        }  # fmt: skip
        assert not OwnerPolicy.objects.exists()

    def test_verdicts_stay_in_memory_until_something_changes(self, owner) -> None:
        first = hours.read()
        assert hours.read() is first
        owner_policies.change(owner=owner, changes={"quiet_until": time(9)}, now=NOW)

        assert hours.read() is not first


@on_postgresql
@pytest.mark.parametrize("misled", [False, True], ids=["right statistics", "wrong statistics"])
def test_only_the_held_messages_of_the_owner_are_read(misled: bool) -> None:
    owner = OwnerPolicyFactory(effective_at=NOW).owner
    MessageFactory.create_batch(
        3, owner=owner, error_code="outside_hours", next_attempt_at=MORNING, updated_at=NOW - timedelta(hours=1)
    )

    plans = plans_of(lambda: held.judge_anew(now=NOW), misled=misled)

    plans = [plan for plan in plans if "messaging_message" in plan and "LockRows" in plan]
    assert plans
    assert all("message_held_owner" in plan for plan in plans), plans


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
def test_changes_at_once_lose_none() -> None:
    owner = UserFactory()
    changes = [{"default_time_zone": "Asia/Tokyo"}, {"quiet_from": time(21), "quiet_until": time(8)}]

    at_once([partial(owner_policies.change, owner=owner, changes=each, now=NOW) for each in changes * 3])

    policy = OwnerPolicy.objects.get()
    assert (policy.default_time_zone, policy.quiet_in_words) == ("Asia/Tokyo", "21:00-08:00")
