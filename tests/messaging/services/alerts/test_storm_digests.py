"""Held notices become one digest when their minute ends, with any number of workers."""

from datetime import timedelta

import pytest

from messaging import tasks
from messaging.models import AlertChannel, AlertNotice, Message, PhoneNumber
from messaging.services.alerts import notices, storm_digests
from messaging.services.alerts.notices import AlertTarget
from tests.factories import NOW
from tests.messaging.parallel import at_once

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
pytestmark = pytest.mark.django_db


def send_due(at=NOW + MINUTE) -> list[Message]:
    return storm_digests.send_due(default_queue="express", now=at)


@pytest.fixture
def storm(receive) -> None:
    """Two texts, and 14 alerts in two notices that are held."""
    receive("a")
    receive("b", at=NOW + SECOND)
    receive("c", at=NOW + SECOND, HighLoad=9, DiskFull=1)
    receive("d", at=NOW + SECOND, DiskFull=4)


def test_a_digest_sums_up_what_was_held(storm) -> None:
    assert send_due(NOW + MINUTE - SECOND) == []

    [message] = send_due()

    assert (message.to_number, message.text) == ("+14155550101", "14 more alerts: HighLoad x9, DiskFull x5")
    assert send_due(NOW + MINUTE * 5) == []
    assert [notice.counts for notice in AlertNotice.objects.all()] == [{}] * 4
    assert not AlertNotice.objects.filter(is_held=True).exists()


def test_after_the_digest_texts_are_sent_again_and_it_counts_as_one(storm, receive) -> None:
    send_due()

    assert receive("c", at=NOW + MINUTE).is_repeat
    later = NOW + MINUTE + 2 * SECOND
    assert [receive(name, at=later).is_held for name in ("e", "f")] == [False, True]
    assert AlertChannel.objects.get().digest_due_at == NOW + 2 * MINUTE


def test_named_recipients_get_their_digest(receiver, receive) -> None:
    target = AlertTarget(receiver.owner, ("+14155550108", "+14155550109"))
    for number in range(6):
        receive(str(number), target=target)

    assert {(each.to_number, each.text) for each in send_due()} == {
        ("+14155550108", "1 more alert: HighLoad x1"),
        ("+14155550109", "1 more alert: HighLoad x1"),
    }


def test_a_digest_that_nobody_may_get_releases_the_notices(storm) -> None:
    PhoneNumber.objects.update(status="inactive")

    assert send_due() == []

    assert not AlertNotice.objects.filter(is_held=True).exists()
    assert AlertChannel.objects.get().digest_due_at is None


def test_more_notices_than_one_digest_takes_have_another_one(storm, monkeypatch) -> None:
    monkeypatch.setattr(storm_digests, "MOST_NOTICES", 1)

    [first] = send_due()
    assert send_due() == []
    [second] = send_due(NOW + 2 * MINUTE)

    assert [first.text, second.text] == [
        "10 more alerts: HighLoad x9, DiskFull x1",
        "4 more alerts: DiskFull x4",
    ]


def test_the_tick_requests_the_task_when_a_digest_is_due(storm, broker, monkeypatch) -> None:
    assert tasks.open_work.waiting(now=NOW + MINUTE - SECOND) == {"messaging.dispatch"}
    assert tasks.open_work.waiting(now=NOW + MINUTE) == {"messaging.dispatch", "messaging.send_alert_digests"}
    monkeypatch.setattr(tasks.timezone, "now", lambda: NOW + MINUTE)

    tasks.send_alert_digests()

    tasks.notifier.flush()
    assert broker.notified == ["express"]
    assert Message.objects.count() == 3


@pytest.mark.django_db(transaction=True)
class TestAtTheSameMoment:
    def test_two_workers_send_one_digest(self, storm) -> None:
        results = at_once([send_due, send_due])

        assert sorted(len(result) for result in results) == [0, 1]
        assert Message.objects.count() == 3

    @pytest.mark.parametrize("place", ["before", "after"])
    def test_a_worker_that_dies_leaves_the_digest_to_the_next(self, storm, monkeypatch, place) -> None:
        store = notices.submit_many

        def die(**values):
            if place == "after":
                store(**values)
            raise SystemExit

        monkeypatch.setattr(notices, "submit_many", die)
        with pytest.raises(SystemExit):
            send_due()
        assert Message.objects.count() == 2

        monkeypatch.setattr(notices, "submit_many", store)
        assert len(send_due()) == 1
        assert Message.objects.count() == 3
