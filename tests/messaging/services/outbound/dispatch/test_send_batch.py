"""A paced queue, tick by tick: task, tick, claim and call together, with a given clock."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from messaging import tasks
from messaging.models import OutboundQueue, Suppression
from messaging.services.outbound import queues
from messaging.services.outbound.dispatch.claim import claim
from tests.factories import NOW, AccountFactory, MessageFactory, QueueFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, Clock, dispatcher
from tests.messaging.services.outbound.dispatch.test_dispatcher import statuses

pytestmark = pytest.mark.django_db
INTERVAL = 120
A = "+14155550101"
URL = {"url": "http://127.0.0.1:9/send"}


class Beat:
    """Acts as beat and worker: calls the task each time that beat would, at the clock's time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, beats: int = 1, concurrency: int = 16) -> None:
        self.clock = Clock(NOW)
        self.carrier = Carrier()
        self.beats = beats
        monkeypatch.setattr(tasks, "timezone", SimpleNamespace(now=self.clock))
        monkeypatch.setattr(tasks, "dispatcher", dispatcher(self.carrier, clock=self.clock, concurrency=concurrency))

    def tick(self) -> list[str]:
        """The texts that this tick has sent."""
        before = len(self.carrier.calls)
        if self.beats == 1:
            tasks.paced_tick("paced")
        else:
            assert at_once([lambda: tasks.paced_tick("paced")] * self.beats) == [None] * self.beats
        return self.carrier.texts[before:]

    def minutes(self, minutes: int, *, every: int = INTERVAL) -> list[list[str]]:
        sent = []
        for _ in range(minutes * 60 // every):
            sent.append(self.tick())
            self.clock.advance(every)
        return sent


@pytest.fixture
def beat(account, monkeypatch) -> Beat:
    QueueFactory(paced=True)
    return Beat(monkeypatch)


def ready(*texts: str | int, **values) -> None:
    queue, owner = OutboundQueue.objects.get(name="paced"), UserFactory()
    for text in texts:
        MessageFactory(queue=queue, owner=owner, text=str(text), **values)


def test_each_tick_sends_one_batch_oldest_first(beat) -> None:
    ready(*range(13))

    assert beat.minutes(10) == [["0", "1"], ["2", "3"], ["4", "5"], ["6", "7"], ["8", "9"]]

    assert statuses() == {"sent": 10, "queued": 3}


@pytest.mark.django_db(transaction=True)
def test_two_beats_send_no_more_than_one(monkeypatch) -> None:
    AccountFactory()
    QueueFactory(paced=True)
    ready(*range(13))
    beat = Beat(monkeypatch, beats=2)

    sent = beat.minutes(10)

    assert [sorted(texts) for texts in sent] == [["0", "1"], ["2", "3"], ["4", "5"], ["6", "7"], ["8", "9"]]
    assert statuses() == {"sent": 10, "queued": 3}


def test_a_beat_that_ticks_more_often_changes_nothing(beat) -> None:
    ready(*range(13))

    sent = beat.minutes(10, every=10)

    assert [len(texts) for texts in sent] == ([2] + [0] * 11) * 5


def test_a_pause_sends_nothing_and_is_not_made_up_for(beat) -> None:
    ready(*range(13))
    beat.minutes(2)
    queues.change(name="paced", changes={"is_paused": True})

    assert beat.minutes(10) == [[]] * 5
    assert statuses() == {"sent": 2, "queued": 11}
    queues.change(name="paced", changes={"is_paused": False})

    assert beat.minutes(4) == [["2", "3"], ["4", "5"]]


def test_a_changed_pace_counts_from_the_next_tick(beat) -> None:
    ready(*range(20))
    beat.minutes(2)
    queues.change(name="paced", changes={"batch_size": 5, "interval_seconds": 60})

    assert beat.minutes(3, every=60) == [list("23456"), ["7", "8", "9", "10", "11"], ["12", "13", "14", "15", "16"]]


def test_without_a_pace_there_are_no_ticks_any_more(beat) -> None:
    ready(*range(3))
    queues.change(name="paced", changes={"batch_size": None, "interval_seconds": None})

    assert beat.minutes(4) == [[], []]

    assert statuses() == {"queued": 3}


def test_a_message_created_after_a_tick_waits_for_the_next(beat) -> None:
    ready("old")
    assert beat.tick() == ["old"]
    beat.clock.advance(1)
    ready("young", created_at=beat.clock())

    assert beat.tick() == []
    beat.clock.advance(INTERVAL - 1)
    assert beat.tick() == ["young"]


def test_a_message_created_during_a_tick_waits_for_the_next(beat) -> None:
    ready("old")
    beat.carrier.before_response = lambda call: (
        call.message.text == "old" and ready("young", created_at=NOW + timedelta(microseconds=1))
    )

    assert beat.tick() == ["old"]
    beat.clock.advance(INTERVAL)
    assert beat.tick() == ["young"]


def test_the_two_oldest_are_sent_in_order_even_to_one_number(beat) -> None:
    ready("first", "second", "third", to_number=A)
    ready("other")

    assert beat.minutes(4) == [["first", "second"], ["third", "other"]]


def test_messages_behind_a_deferred_one_to_the_same_number_do_not_count(beat) -> None:
    ready("deferred", to_number=A, next_attempt_at=NOW + timedelta(seconds=10))
    ready("behind it", to_number=A)
    ready("a", "b", "c")

    assert beat.tick() == ["a", "b"]


def test_an_empty_tick_counts(beat) -> None:
    assert beat.tick() == []
    ready(*range(3))
    beat.clock.advance(60)

    assert beat.tick() == []
    beat.clock.advance(60)
    assert beat.tick() == ["0", "1"]


def test_a_deferred_message_does_not_count_towards_the_batch(beat) -> None:
    ready("deferred", next_attempt_at=NOW + timedelta(hours=1))
    ready(*range(3))

    assert beat.minutes(4) == [["0", "1"], ["2"]]


def test_refused_messages_do_not_count_towards_the_batch(beat) -> None:
    ready("late", "later", expires_at=NOW)
    ready(*range(3))

    assert beat.tick() == ["0", "1"]

    assert statuses() == {"failed": 2, "sent": 2, "queued": 1}


def test_opted_out_recipients_do_not_count_towards_the_batch(beat) -> None:
    Suppression.objects.create(number=A, sender="", source="keyword", created_at=NOW)
    ready(1, 2, to_number=A)
    ready(3, 4)

    assert beat.tick() == ["3", "4"]

    assert statuses() == {"failed": 2, "sent": 2}


def test_a_queue_without_a_pace_is_not_held_back_by_a_paced_one(beat) -> None:
    ready(*range(5))
    for text in "abc":
        MessageFactory(queue=QueueFactory(), text=text)
    beat.tick()

    tasks.dispatcher.run("express")

    assert beat.carrier.texts == ["0", "1", "a", "b", "c"]


@pytest.mark.usefixtures("express")
class TestBulk:
    """A run of a million messages must not delay a single one, such as a login code."""

    def claimed(self, limit: int = 16) -> list[str]:
        return [row.text for row in claim(queue_name="express", limit=limit, now=NOW, lease=LEASE)]

    def test_single_messages_go_before_older_bulk_ones(self) -> None:
        for text in ("bulk 1", "bulk 2"):
            MessageFactory(text=text, is_bulk=True)
        for text in ("single 1", "single 2"):
            MessageFactory(text=text)

        assert self.claimed(3) == ["single 1", "single 2", "bulk 1"]

    def test_a_single_one_does_not_wait_for_an_older_bulk_one_to_the_same_number(self) -> None:
        MessageFactory(text="bulk", to_number=A, is_bulk=True)
        MessageFactory(text="single", to_number=A)

        assert self.claimed(1) == ["single"]

    def test_a_single_one_does_not_wait_for_a_bulk_one_in_flight(self) -> None:
        MessageFactory(text="bulk", to_number=A, is_bulk=True, sending=True)
        MessageFactory(text="single", to_number=A)

        assert self.claimed() == ["single"]

    @pytest.mark.parametrize("older_is_bulk", [False, True])
    @pytest.mark.parametrize("older", [{"sending": True}, {"next_attempt_at": NOW + timedelta(seconds=5)}], ids=str)
    def test_a_bulk_one_waits_for_any_older_one_to_the_same_number(self, older, older_is_bulk: bool) -> None:
        MessageFactory(text="older", to_number=A, is_bulk=older_is_bulk, **older)
        MessageFactory(text="bulk", to_number=A, is_bulk=True)

        assert self.claimed() == []

    def test_a_bulk_one_does_not_wait_for_a_younger_single_one(self) -> None:
        MessageFactory(text="bulk", to_number=A, is_bulk=True)
        MessageFactory(text="single", to_number=A, sending=True)

        assert self.claimed() == ["bulk"]


def test_a_fault_after_some_attempts_were_written_leaves_none_of_them_uncalled(monkeypatch) -> None:
    """Their calls are begun as far as the database knows: without them the sweep would end the messages as `unknown`."""
    AccountFactory(slug="at-once", config={**URL, "denied_prefixes": ["+44"]})
    AccountFactory(slug="limited", config={**URL, "denied_prefixes": ["+1"], "max_per_second": 1000})
    QueueFactory(paced=True)
    ready("first", to_number=A)
    ready("second", to_number="+447400123456")
    carrier = Carrier()

    def fail(*_args, **_options) -> None:
        raise OperationalError("the connection was cut")

    monkeypatch.setattr("messaging.services.outbound.dispatch.dispatcher.start_attempts", fail)

    dispatcher(carrier).send_batch("paced", size=2, created_until=NOW)

    assert carrier.texts == ["first"]
    assert statuses() == {"sent": 1, "sending": 1}  # the second one is queued again when its lease ends
