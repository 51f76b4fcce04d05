"""Velocity: no hour and no minute has more texts than the limit, whoever sends at once, and Redis may be away."""

import logging
from decimal import Decimal
from functools import partial

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.models import Message, OutboundQueue, Suppression, VelocityLimit
from messaging.policy.velocity import HOUR, MINUTE, Counting, Demand, Limits, LocalCounters, Scope
from messaging.services.costs import budget_changes
from messaging.services.errors import (
    BudgetExceeded,
    OptedOut,
    RateExceeded,
    RecipientRateExceeded,
    VelocityExceeded,
    VerificationRateLimited,
)
from messaging.services.limits import rules, velocity
from messaging.services.outbound import dry_run, retry
from messaging.services.outbound.accept import accept
from messaging.services.outbound.idempotency import IdempotencyKey
from messaging.services.outbound.submit import MessageInput, submit, submit_many
from providers.state import redis_client
from scheduling.services import expansion
from tests.factories import NOW, MessageFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.verification.making import begin
from tests.scheduling.making import due_run, expand_all, recipient_list

pytestmark = pytest.mark.django_db
TO = "+14155550101"


@pytest.fixture
def owner(express: OutboundQueue):
    return UserFactory()


@pytest.fixture(autouse=True)
def _own_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(velocity, "_local", LocalCounters())
    monkeypatch.setattr(velocity, "_warned_at", float("-inf"))


def limit(owner=None, **limits: int) -> None:
    rules.save(VelocityLimit(owner=owner, **limits), now=NOW)


def draft(to: str = TO, **values) -> MessageInput:
    return MessageInput(**{"to": to, "text": "Hello", "valid_for": 60, **values})


def send(owner, to: str = TO, *, key: IdempotencyKey | None = None, **values):
    return accept(owner=owner, draft=draft(to, **values), default_queue="express", now=NOW, key=key)


class TestLimits:
    def test_off_by_default_and_nothing_is_asked_of_redis(self, owner, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(velocity, "_answers", None)
        for _ in range(5):
            send(owner)
        assert Message.objects.count() == 5

    def test_a_recipient_gets_so_many_from_one_owner(self, owner) -> None:
        limit(recipient_per_hour=2)
        other = UserFactory()
        for _ in range(2):
            send(owner)

        with pytest.raises(RecipientRateExceeded) as refused:
            send(owner)

        assert HOUR < refused.value.retry_after + 300 <= HOUR + 600
        assert refused.value.detail.startswith("This recipient has had 2 texts from you within an hour, the limit.")
        assert Message.objects.count() == 2
        send(owner, "+14155550102")
        send(other)

    def test_a_recipient_gets_so_many_from_all_owners_together(self, owner) -> None:
        limit(recipient_of_all_per_hour=2)
        send(owner)
        send(UserFactory())
        with pytest.raises(RecipientRateExceeded):
            send(UserFactory())

    def test_an_owner_reaches_so_many_recipients_in_a_minute(self, owner) -> None:
        limit(new_recipients_per_minute=2)
        for to in ("+14155550101", "+14155550102", "+14155550101", "+14155550102"):
            send(owner, to)
        with pytest.raises(VelocityExceeded) as refused:
            send(owner, "+14155550103")
        assert 1 <= refused.value.retry_after <= MINUTE
        send(UserFactory(), "+14155550103")

    def test_an_owner_sends_so_many_to_a_calling_code(self, owner) -> None:
        limit(calling_code_per_hour=2)
        send(owner, "+14155550101")
        send(owner, "+12025550143")
        with pytest.raises(VelocityExceeded):
            send(owner, "+14165550123")
        send(owner, "+4915112345678")

    def test_an_owner_has_its_own_limits_or_none(self, owner) -> None:
        free, strict = UserFactory(), UserFactory()
        limit(recipient_per_hour=2)
        limit(free, recipient_per_hour=0)
        limit(strict, recipient_per_hour=1)
        for _ in range(4):
            send(free)
        send(strict)
        with pytest.raises(RateExceeded):
            send(strict)

    @pytest.mark.parametrize("values", [{"category": "emergency"}, {"is_automatic": True}])
    def test_emergencies_and_automatic_replies_pass(self, owner, values, django_user_model) -> None:
        limit(recipient_per_hour=1)
        staff = django_user_model.objects.create_superuser("root")
        for _ in range(3):
            submit(owner=staff, draft=draft(**values), default_queue="express", now=NOW)
        assert Message.objects.count() == 3

    @pytest.mark.parametrize("category", ["otp", "transactional", "marketing"])
    def test_all_others_do_not(self, owner, category) -> None:
        limit(recipient_per_hour=1)
        send(owner, category=category)
        with pytest.raises(RateExceeded):
            send(owner, category=category)


class TestWhatIsCounted:
    def test_a_batch_stores_what_is_within_the_limit_in_order(self, owner) -> None:
        limit(recipient_per_hour=2)
        found = submit_many(owner=owner, drafts=[draft()] * 4, default_queue="express", now=NOW)
        assert [type(each) for each in found] == [Message, Message, RecipientRateExceeded, RecipientRateExceeded]
        assert Message.objects.count() == 2

    def test_a_repeat_of_a_key_is_answered_and_not_counted(self, owner) -> None:
        limit(recipient_per_hour=2)
        key = IdempotencyKey("k", ["f" * 64])
        first = send(owner, key=key)
        for _ in range(3):
            assert send(owner, key=key).response == first.response
        send(owner)
        with pytest.raises(RateExceeded):
            send(owner)
        assert send(owner, key=key).response == first.response

    def test_a_refused_text_does_not_count(self, owner) -> None:
        limit(recipient_per_hour=1, new_recipients_per_minute=1)
        row = Suppression.objects.create(number=TO, sender="", source="admin", created_at=NOW)
        for _ in range(3):
            with pytest.raises(OptedOut):
                send(owner)
        row.delete()
        send(owner)

    def test_one_that_a_second_limit_refuses_does_not_use_the_first(self, owner) -> None:
        limit(recipient_per_hour=1, calling_code_per_hour=1)
        send(owner, "+14155550102")
        with pytest.raises(VelocityExceeded):
            send(owner)
        VelocityLimit.objects.update(calling_code_per_hour=None)
        rules.expire()
        send(owner)

    def test_a_text_that_could_not_be_stored_is_given_back(self, owner, monkeypatch: pytest.MonkeyPatch) -> None:
        limit(recipient_per_hour=1)
        with monkeypatch.context() as patch:
            patch.setattr("messaging.services.outbound.bulk_insert.store_messages", _fail)
            with pytest.raises(ConnectionError):
                submit(owner=owner, draft=draft(), default_queue="express", now=NOW)
        submit(owner=owner, draft=draft(), default_queue="express", now=NOW)

    def test_a_dry_run_tells_and_counts_nothing(self, owner) -> None:
        limit(recipient_per_hour=1)

        def run():
            found = dry_run.dry_run(owner=owner, draft=draft(), default_queue="express", now=NOW)
            return {each.code: str(each.verdict) for each in found.checks}["recipient_rate_exceeded"]

        assert (run(), run()) == ("passed", "passed")
        send(owner)
        assert run() == "refused"

    def test_an_operators_retry_is_not_limited(self, owner) -> None:
        limit(recipient_per_hour=1)
        send(owner)
        failed = MessageFactory(status="failed", to_number=TO, owner=owner)
        assert retry.retry(message_id=failed.pk, reason="asked for", actor=owner, now=NOW).status == "queued"

    def test_a_run_of_a_schedule_is_not_cut_short_but_counts(self, owner) -> None:
        limit(recipient_per_hour=1)
        send(owner)
        batch = expansion.Batch(
            [Message(owner=owner, to_number=TO), Message(owner=owner, to_number="+14155550102")],
            now=NOW,
            counting=Counting.NOTE,
        )
        assert batch.admit() == {}
        with pytest.raises(RateExceeded):
            send(owner, "+14155550102")


def _fail(*_args: object, **_options: object) -> None:
    raise ConnectionError("the database has gone")


class TestWithoutRedis:
    def test_each_process_counts_for_itself_and_says_so_once(self, owner, no_redis, caplog) -> None:
        limit(recipient_per_hour=2)
        with caplog.at_level(logging.WARNING, logger=velocity.__name__):
            for _ in range(2):
                send(owner)
            with pytest.raises(RecipientRateExceeded):
                send(owner)
        assert [each.getMessage() for each in caplog.records if each.name == velocity.__name__] == [
            "velocity limits are counted by each process for itself: Redis unavailable"
        ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
def test_of_many_that_send_at_once_exactly_the_limit_is_accepted(owner) -> None:
    limit(recipient_per_hour=5)
    found = at_once([partial(send, owner) for _ in range(16)])
    assert sum(isinstance(each, RecipientRateExceeded) for each in found) == 11
    assert Message.objects.count() == 5


def test_the_number_is_not_readable_in_redis(owner) -> None:
    limit(recipient_per_hour=5, recipient_of_all_per_hour=5, new_recipients_per_minute=5, calling_code_per_hour=5)
    send(owner)
    client = redis_client.client()
    keys = list(client.keys("velocity:*"))
    assert len(keys) == 4
    assert all(client.ttl(key) in range(1, HOUR + 301) for key in keys)
    assert not any(TO[1:] in key for key in keys)
    assert TO[1:] not in str(client.zrange(next(key for key in keys if "new_rec" in key), 0, -1))


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2000),  # seconds since the last one
        st.sampled_from(list(Counting)),
        st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["new", "sum"])), min_size=1, max_size=3),
    ),
    max_size=25,
)


@given(steps=STEPS, most=st.integers(1, 4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_redis_and_one_process_count_alike_and_no_window_has_more(steps, most: int) -> None:
    redis_client.client().flushdb()
    local, now = LocalCounters(), 1_000_000.0
    admitted: dict[str, list[float]] = {"a": [], "b": []}
    is_strict = True
    for wait, counting, demanded in steps:
        now += wait
        demands = [
            Demand(Scope.NEW_RECIPIENTS, f"velocity:new:{name}", most, name)
            if kind == "new"
            else Demand(Scope.RECIPIENT, f"velocity:sum:{name}", most)
            for name, kind in dict.fromkeys(demanded)
        ]
        with redis_client.exchange() as client:
            shared = velocity._ask(client, [demands], counting, now)
        expected = local.judge([demands], counting=counting, now=now)
        assert [None if each is None else (each[0], pytest.approx(each[1], abs=0.001)) for each in shared] == expected
        is_strict = is_strict and counting not in {Counting.NOTE, Counting.RELEASE}
        if counting is Counting.RESERVE and expected == [None]:
            for demand in demands:
                if demand.scope is Scope.RECIPIENT:
                    admitted[demand.counter[-1]].append(now)
    if is_strict:
        for times in admitted.values():
            assert all(sum(at - HOUR < other <= at for other in times) <= most for at in times)


def test_the_limits_of_an_owner_without_a_row_are_those_for_all() -> None:
    found = rules.LimitRules(default=Limits(recipient_per_hour=3))
    assert found.limits_of(7) == found.limits_of(None) == Limits(recipient_per_hour=3)


class TestGivenBack:
    """What is refused after it was counted is forgotten: a client that repeats it does not use up the recipient's limit."""

    def test_a_budget_without_room(self, owner) -> None:
        limit(recipient_per_hour=1)
        budget = budget_changes.create(owner=owner, country="", period="day", limit=Decimal(0), currency="", now=NOW)
        for _ in range(3):
            with pytest.raises(BudgetExceeded):
                send(owner)

        budget_changes.change_limit(budget_id=budget.pk, limit=Decimal(5), now=NOW)
        send(owner)

        with pytest.raises(RecipientRateExceeded):
            send(owner)

    def test_the_limits_of_codes(self, owner, settings) -> None:
        settings.VERIFY_MAX_PER_OWNER = 1
        limit(recipient_per_hour=1)
        begin(owner, to="+14155550102")

        with pytest.raises(VerificationRateLimited):
            begin(owner, to=TO)

        send(owner)

    def test_recipients_of_a_run_that_get_no_text(self, owner) -> None:
        limit(recipient_per_hour=1)
        budget_changes.create(owner=owner, country="", period="day", limit=Decimal(0), currency="", now=NOW)
        run = due_run(owner, recipient_list(TO))

        expand_all()

        run.refresh_from_db()
        assert (run.created_messages, run.skipped_over_budget) == (0, 1)
        assert not velocity.judge(
            [Message(to_number=TO, owner_id=owner.pk)], rules=rules.current(), counting=Counting.PEEK
        )
