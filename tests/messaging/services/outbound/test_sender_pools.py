"""A message without a sender gets its recipient's number of the queue's pool, whichever way it is accepted."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import CountrySenders, Message, Suppression
from messaging.services.errors import InvalidField, OptedOut
from messaging.services.outbound import accept as accepting
from messaging.services.outbound import bulk_insert, owner_policies, queues, sender_pools, sender_rules
from messaging.services.outbound.accept import accept
from messaging.services.outbound.dry_run import dry_run
from messaging.services.outbound.submit import MessageInput, submit, submit_many
from providers.models import SenderNumber
from scheduling.models import ScheduleRun
from scheduling.services import expansion
from tests.factories import NOW, QueueFactory, SenderFactory, UserFactory
from tests.scheduling.making import due_run, expand_all, recipient_list

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
DEFAULT, POOL, GERMAN = "+14155550990", ["+14155550981", "+14155550982", "+14155550983"], "+4915123456789"
TO = [f"+1212555{last:04}" for last in range(100, 120)]


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(accepting, "_default_senders", accepting._DefaultSenders())
    SenderFactory(number=DEFAULT, owner=None, is_default=True)
    return UserFactory()


@pytest.fixture
def pool(owner) -> None:
    for number in [*POOL, GERMAN]:
        SenderFactory(number=number, owner=None)
    queues.change(name="express", changes={"sender_pool": [*POOL, GERMAN]})


def draft(to: str, **values) -> MessageInput:
    return MessageInput(**{"to": to, "text": "Hi", "valid_for": 3600} | values)


def one(owner, to: str, **values) -> str:
    return accept(owner=owner, draft=draft(to, **values), default_queue="express", now=NOW).message.from_number


def expected(to: str) -> str:
    return sender_pools.current().sender_for("express", to)


def test_all_ways_agree_and_a_recipient_keeps_its_number(pool, owner) -> None:
    singles = {to: one(owner, to) for to in TO}
    long_way = {to: submit(owner=owner, draft=draft(to), default_queue="express", now=NOW).from_number for to in TO}
    batch = submit_many(owner=owner, drafts=[draft(to) for to in TO], default_queue="express", now=NOW)
    tried = {
        to: dry_run(owner=owner, draft=draft(to), default_queue="express", now=NOW).message.from_number for to in TO
    }
    Message.objects.all().delete()
    due_run(owner, recipient_list(*TO))
    expand_all()
    of_a_run = dict(Message.objects.values_list("to_number", "from_number"))

    assert singles == long_way == {each.to_number: each.from_number for each in batch} == tried == of_a_run
    assert set(singles.values()) == set(POOL)
    assert one(owner, "+4915112345678") == GERMAN


def test_it_is_accepted_without_the_long_way(pool, owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "_accept_in_steps", lambda **_: pytest.fail("the long way"))
    assert one(owner, TO[0]) == expected(TO[0])


def test_a_named_sender_and_another_queue_are_left_alone(pool, owner) -> None:
    QueueFactory(name="other")
    assert one(owner, TO[0], sender=DEFAULT) == DEFAULT
    assert one(owner, TO[0], queue="other") == DEFAULT
    one(owner, TO[0])  # does not become the owner's default
    assert one(owner, TO[0], queue="other") == DEFAULT


def test_opt_outs_are_judged_for_the_number_of_the_pool(pool, owner) -> None:
    Suppression.objects.create(number=TO[0], sender=expected(TO[0]), source="keyword", created_at=NOW)
    Suppression.objects.create(number=TO[1], sender=DEFAULT, source="keyword", created_at=NOW)
    with pytest.raises(OptedOut):
        one(owner, TO[0])
    assert one(owner, TO[1]) == expected(TO[1])


def test_the_rules_of_countries_judge_the_pools_sender(owner) -> None:
    SenderFactory(number="ACME", owner=None)
    fallback = SenderFactory(number="+15005550111", owner=owner)
    queues.change(name="express", changes={"sender_pool": ["ACME"]})
    sender_rules.install()
    CountrySenders.objects.update(is_enabled=True)
    owner_policies.change(owner=owner, changes={"fallback_sender": fallback}, now=NOW)
    sender_rules.expire()
    assert one(owner, TO[0]) == "+15005550111"
    assert one(owner, "+4915112345678") == "ACME"


def test_a_sender_that_is_deleted_or_gets_an_owner_leaves_the_pool(pool, owner) -> None:
    SenderNumber.objects.filter(number=POOL[0]).delete()
    SenderNumber.objects.filter(number=POOL[1]).update(owner=UserFactory())
    sender_pools.expire()
    assert {one(owner, to) for to in TO} == {POOL[2]}
    assert sender_pools.of_queues(["express"]) == {"express": [POOL[2], GERMAN]}


def test_before_a_change_is_seen_the_statement_takes_no_sender_of_another_user(pool, owner) -> None:
    stale = sender_pools.current()
    batch = accepting._expected(owner, draft(TO[0]), "express", NOW)
    SenderNumber.objects.all().update(owner=UserFactory())
    message = batch.messages[0]
    assert message.from_number == stale.sender_for("express", TO[0])
    assert not accepting._store(message, {}, guard=accepting._guard(draft(TO[0]), message), key=None, fees=())


@pytest.mark.parametrize("others", [{"+14155550777"}, {"OWN"}])
def test_only_senders_that_all_may_use_are_taken(pool, owner, others) -> None:
    SenderFactory(number="OWN", owner=owner)
    with pytest.raises(InvalidField) as error:
        queues.change(name="express", changes={"sender_pool": [POOL[0], *others]})
    assert error.value.field_code == "unknown_sender"
    assert sender_pools.of_queues(["express"]) == {"express": [*POOL, GERMAN]}


def test_a_chunk_of_5000_recipients_costs_as_many_queries_as_one_of_10(pool, owner, monkeypatch) -> None:
    monkeypatch.setattr(bulk_insert, "batch_size", lambda: 5000)
    counts = []
    for size in (10, 5000):
        Message.objects.all().delete()
        ScheduleRun.objects.all().delete()
        run = due_run(owner, recipient_list(*(f"+1212{last:07}" for last in range(5550000, 5550000 + size))))
        with CaptureQueriesContext(connection) as queries:
            made, _ = expansion.expand_chunk(run.pk, now=NOW)
        counts.append(len([each for each in queries if "INSERT INTO" not in each["sql"]]))
        assert made == size
        assert set(Message.objects.values_list("from_number", flat=True)) <= set(POOL)
    assert counts[0] == counts[1]


def test_without_a_pool_nothing_is_asked_for(owner) -> None:
    with CaptureQueriesContext(connection) as queries:
        one(owner, TO[0])
        one(owner, TO[1])
    assert not [each for each in queries if "sender_pool" in each["sql"]]


def test_a_schedule_that_moves_out_of_the_pool_gets_the_default(pool, owner) -> None:
    from scheduling.services.schedules import _checked_sender  # noqa: PLC0415

    assert _checked_sender(owner, None, "express") == ""
    assert _checked_sender(owner, None, "other") == DEFAULT
