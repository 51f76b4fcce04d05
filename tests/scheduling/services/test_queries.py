"""Counts and samples of schedules, with a constant number of queries."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from messaging.models import Message
from scheduling.services import queries as reading
from scheduling.services.queries import RenderedMessage
from tests.factories import MessageFactory
from tests.scheduling.making import create, due_run, expand_all, numbers, recipient_list

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]


def test_messages_are_counted_by_schedule_and_status(owner) -> None:
    one, two = due_run(owner, 3).schedule, due_run(owner, 2).schedule
    empty = create(owner)
    expand_all()
    Message.objects.filter(pk=Message.objects.filter(schedule_id=one.pk).first().pk).update(status="sent")
    MessageFactory(owner=owner, schedule_id=uuid7())

    assert reading.counts_by_status([one.pk, two.pk, empty.pk]) == {
        one.pk: {"sent": 1, "queued": 2},
        two.pk: {"queued": 2},
        empty.pk: {},
    }


def test_the_ten_newest_messages_of_each_schedule_the_newest_first(owner) -> None:
    long, short, empty = due_run(owner, 13).schedule, due_run(owner, 2).schedule, create(owner)
    expand_all()

    newest = reading.newest_messages([long.pk, short.pk, empty.pk])

    assert [message.to_number for message in newest[long.pk]] == numbers(13)[:2:-1]
    assert [message.to_number for message in newest[short.pk]] == numbers(2)[::-1]
    assert newest.get(empty.pk) is None


def test_both_cost_the_same_for_one_schedule_and_for_five(owner) -> None:
    made = [due_run(owner, 3).schedule for _ in range(5)]
    expand_all()
    costs = []

    for ids in ([made[0].pk], [schedule.pk for schedule in made]):
        with CaptureQueriesContext(connection) as queries:
            reading.counts_by_status(ids)
            reading.newest_messages(ids)
        costs.append(len(queries))

    assert costs == [3, 3]


def test_the_first_texts_and_the_segments_of_all(owner) -> None:
    names = [("Ada", 1), ("x" * 160, 2), ("Ж" * 70, 2), ("Bob", 1), ("Eve", 1), ("y" * 160, 2), ("Joe", 1)]
    listed = recipient_list(*((number, {"name": name}) for number, (name, _) in zip(numbers(7), names, strict=True)))
    schedule = create(owner, listed, text="{name}!")

    sample, total = reading.rendered_sample(schedule)

    assert sample[:3] == [
        RenderedMessage(numbers(7)[0], "Ada!", "gsm7", 1),
        RenderedMessage(numbers(7)[1], "x" * 160 + "!", "gsm7", 2),
        RenderedMessage(numbers(7)[2], "Ж" * 70 + "!", "ucs2", 2),
    ]
    assert len(sample) == reading.PREVIEWED == 5
    assert total == sum(segments for _, segments in names) == 10
