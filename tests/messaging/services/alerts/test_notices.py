"""Notices are sent once, whoever repeats them and when; what is too much is held."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import AlertChannel, AlertNotice, Message
from messaging.services.alerts import notices, storm_digests
from messaging.services.alerts.notices import KEPT_FOR, AlertTarget, Notice
from messaging.services.errors import InvalidField, RecipientInactive
from messaging.services.privacy import erasure
from tests.factories import NOW, PhoneNumberFactory, UserFactory
from tests.messaging.parallel import at_once

SECOND = timedelta(seconds=1)
pytestmark = pytest.mark.django_db


def texts() -> list[tuple[str, str]]:
    return list(Message.objects.order_by("pk").values_list("to_number", "text"))


def test_each_recipient_gets_one_text(receiver, receive) -> None:
    receiver.recipients = ["+14155550101", "+14155550102"]

    result = receive("a")

    assert texts() == [("+14155550101", "FIRING a"), ("+14155550102", "FIRING a")]
    assert [message.owner_id for message in result.messages] == [receiver.owner_id] * 2
    assert (result.refused, result.is_repeat, result.is_held) == (0, False, False)


def test_a_repeat_sends_nothing_and_keeps_the_notice_known(receive) -> None:
    receive("a")
    later = NOW + KEPT_FOR - timedelta(hours=1)

    assert receive("a", at=later).is_repeat
    notices.purge(now=later + KEPT_FOR - SECOND)
    assert receive("a", at=later + KEPT_FOR - SECOND).is_repeat

    assert len(texts()) == 1


def test_a_notice_is_forgotten_long_after_its_last_repeat(receive) -> None:
    receive("a")

    notices.purge(now=NOW + KEPT_FOR + SECOND)

    assert not AlertNotice.objects.exists()
    assert not receive("a", at=NOW + KEPT_FOR + SECOND).is_repeat


def test_channels_of_named_recipients_are_purged(receiver, receive) -> None:
    receive("a")
    receive("b", target=AlertTarget(receiver.owner, ("+14155550109",)))

    notices.purge(now=NOW + KEPT_FOR + timedelta(days=2))

    assert [channel.receiver for channel in AlertChannel.objects.all()] == [receiver]


def test_the_same_notice_for_others_is_another_one(receiver, receive) -> None:
    targets = [
        AlertTarget.of(receiver),
        AlertTarget(receiver.owner, ("+14155550101",)),
        AlertTarget(receiver.owner, ("+14155550101", "+14155550102")),
        AlertTarget(UserFactory(), ("+14155550101",)),
    ]

    assert [receive("a", target=target).is_repeat for target in targets] == [False] * 4
    assert receive("a", target=AlertTarget(receiver.owner, ("+14155550102", "+14155550101"))).is_repeat


def test_a_repeat_is_known_under_a_new_secret_key(receive, settings) -> None:
    receive("a")
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"

    assert receive("a").is_repeat


@pytest.mark.parametrize(("change", "field"), [({"sender": "+15005550099"}, "from"), ({"queue_id": "none"}, "queue")])
def test_a_receiver_that_cannot_send_says_so_and_the_notice_is_not_taken(receiver, receive, change, field) -> None:
    vars(receiver).update(change)

    with pytest.raises(InvalidField) as refusal:
        receive("a")

    assert refusal.value.field == field
    assert not AlertNotice.objects.exists()
    assert not AlertChannel.objects.exists()


def test_recipients_who_opted_out_are_counted_and_the_others_get_it(receiver, receive) -> None:
    receiver.recipients = ["+14155550101", "+14155550102"]
    PhoneNumberFactory(number="+14155550101", status="inactive")

    assert receive("a").refused == 1

    assert [number for number, _ in texts()] == ["+14155550102"]


def test_without_a_recipient_who_may_be_sent_to_the_refusal_is_raised(receive) -> None:
    PhoneNumberFactory(number="+14155550101", status="inactive")

    with pytest.raises(RecipientInactive):
        receive("a")

    assert not AlertNotice.objects.exists()


def test_what_is_above_the_limit_is_held(receive) -> None:
    results = [receive(name, at=NOW + SECOND * at) for at, name in enumerate("abcd")]

    assert [result.is_held for result in results] == [False, False, True, True]
    assert len(texts()) == 2
    assert AlertChannel.objects.get().digest_due_at == NOW + timedelta(minutes=1)
    assert receive("c").is_repeat


def test_no_minute_has_more_texts_than_the_limit(receive) -> None:
    """Not a window of the clock: the texts of the last 60 seconds count."""
    held = [receive(str(at), at=NOW + SECOND * at).is_held for at in (0, 59, 61)]

    assert held == [False, False, False]
    assert receive("x", at=NOW + SECOND * 62).is_held


def test_the_number_of_queries_is_the_same_for_any_number_of_recipients(receiver, receive) -> None:
    receive("first")
    counts = []
    receiver.max_per_minute = 60
    for recipients in (["+14155550100"], [f"+141555501{number:02}" for number in range(10)]):
        receiver.recipients = recipients
        with CaptureQueriesContext(connection) as queries:
            receive(str(len(recipients)))
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_an_erased_number_gets_no_more_alerts(receiver, receive) -> None:
    receiver.recipients = ["+14155550101", "+14155550102"]
    receiver.max_per_minute = 1
    receiver.save()
    named = AlertTarget(receiver.owner, ("+14155550101", "+14155550103"))
    receive("a", target=named)
    receive("b")
    receive("c", **{"Call +14155550101": 1, "HighLoad": 2})

    erasure.erase(number="+14155550101", reason="asked", actor=UserFactory(), now=NOW)

    receiver.refresh_from_db()
    assert receiver.recipients == ["+14155550102"]
    assert AlertChannel.objects.get(receiver=None).recipients == ["+14155550103"]
    counts = AlertNotice.objects.get(is_held=True).counts
    assert sum(counts.values()) == 3
    assert not any("4155550101" in name for name in counts)


@pytest.mark.django_db(transaction=True)
class TestAtTheSameMoment:
    def test_equal_notices_send_one_text(self, receive) -> None:
        results = at_once([lambda: receive("a")] * 3)

        assert sorted(result.is_repeat for result in results) == [False, True, True]
        assert texts() == [("+14155550101", "FIRING a")]
        assert receive("a").is_repeat

    def test_equal_notices_to_named_recipients_send_one_text(self, receiver, receive) -> None:
        target = AlertTarget(receiver.owner, ("+14155550109",))

        results = at_once([lambda: receive("a", target=target)] * 3)

        assert sorted(result.is_repeat for result in results) == [False, True, True]
        assert texts() == [("+14155550109", "FIRING a")]

    def test_when_the_first_is_rolled_back_the_second_sends(self, receive, monkeypatch) -> None:
        store, failed = notices.submit_many, []

        def fail_once(**values):
            if not failed:
                failed.append(store(**values))
                raise RuntimeError("the process dies here")
            return store(**values)

        monkeypatch.setattr(notices, "submit_many", fail_once)

        results = at_once([lambda: receive("a")] * 2)

        assert sorted(type(result).__name__ for result in results) == ["NoticeResult", "RuntimeError"]
        assert texts() == [("+14155550101", "FIRING a")]

    def test_a_storm_sends_no_more_than_the_limit(self, receive) -> None:
        results = at_once([lambda name=name: receive(name) for name in "abcdefgh"])

        assert sorted(result.is_held for result in results) == [False] * 2 + [True] * 6
        assert len(texts()) == 2


def test_a_notice_without_identities_is_never_a_repeat(receiver) -> None:
    for _ in range(2):
        notice = Notice("text", {"a": 1})
        result = notices.receive(target=AlertTarget.of(receiver), notice=notice, default_queue="express", now=NOW)
        assert not result.is_repeat

    assert len(texts()) == 2


def test_texts_of_a_future_that_a_clock_was_set_back_from_hold_nothing(receive) -> None:
    day = timedelta(days=1)
    assert [receive(name, at=NOW + day).is_held for name in ("a", "b", "c")] == [False, False, True]

    assert [receive(name, at=NOW).is_held for name in ("d", "e")] == [True, True]

    assert AlertChannel.objects.get().digest_due_at <= NOW + timedelta(minutes=1)
    [message] = storm_digests.send_due(default_queue="express", now=NOW + timedelta(minutes=1))
    assert message.text == "3 more alerts: HighLoad x3"
    assert not receive("f", at=NOW + timedelta(minutes=2, seconds=1)).is_held


def test_a_digest_that_was_due_in_such_a_future_is_sent(receive) -> None:
    for name in ("a", "b", "c"):
        receive(name, at=NOW + timedelta(days=1))

    notices.purge(now=NOW)

    assert len(storm_digests.send_due(default_queue="express", now=NOW)) == 1


def test_a_notice_may_be_known_for_a_shorter_time(receiver) -> None:
    def receive(at: datetime) -> bool:
        notice = Notice("FIRING a", {"a": 1}, ("a",), kept_for=timedelta(hours=1))
        target = AlertTarget.of(receiver)
        return notices.receive(target=target, notice=notice, default_queue="express", now=at).is_repeat

    assert [receive(NOW + timedelta(minutes=minutes)) for minutes in (0, 1, 59, 60, 61)] == [
        *(False, True, True),
        *(False, True),
    ]
    assert Message.objects.count() == 2
