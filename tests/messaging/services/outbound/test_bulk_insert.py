"""Bulk insertion stores the same rows as single insertion, on each database."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from messaging.models import Message, MessageEvent, PhoneNumber
from messaging.segments import Encoding
from messaging.services import transitions
from messaging.services.outbound import bulk_insert
from messaging.services.outbound.bulk_insert import Variant
from messaging.states import Direction, Source, Status
from tests.factories import PhoneNumberFactory, UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
A, B = "+14155550101", "+14155550102"
HARD = 'tab\t newline\n return\r backslash \\ \\N \\. "quoted", comma; null NULL € 😀 {} %s ' + "é" * 5


@pytest.fixture
def prototype(now) -> Message:
    return Message(
        direction=Direction.OUTBOUND,
        status=Status.QUEUED,
        owner=UserFactory(),
        queue_id="express",
        schedule_id=uuid7(),
        run_id=uuid7(),
        is_bulk=True,
        from_number="+15005550006",
        valid_for=600,
        expires_at=now + timedelta(seconds=600, microseconds=1),
        created_at=now + timedelta(microseconds=123456),
        updated_at=now,
    )


def variants(count: int) -> list[Variant]:
    return [Variant(f"+1415556{n:04}", f"Hello {n}", Encoding.GSM7, 1) for n in range(count)]


def columns(rows) -> list[dict]:
    """All columns except the key, which is new in each row."""
    return [{name: value for name, value in row.items() if name != "id"} for row in rows.values()]


def test_every_column_is_what_bulk_create_would_write(prototype) -> None:
    listed = [Variant(A, HARD, Encoding.UCS2, 2), Variant(B, "", Encoding.GSM7, 1), *variants(3)]

    bulk_insert.store(prototype, listed, source=Source.SCHEDULE)
    stored = columns(Message.objects.order_by("pk"))

    Message.objects.all().delete()
    shared = {field.attname: getattr(prototype, field.attname) for field in Message._meta.concrete_fields}
    del shared["id"]
    Message.objects.bulk_create(Message(**{**shared, **variant._asdict()}) for variant in listed)
    assert stored == columns(Message.objects.order_by("pk"))
    assert [row["text"] for row in stored][:2] == [HARD, ""]


def test_a_first_event_that_the_message_tells_is_no_row(prototype) -> None:
    bulk_insert.store(prototype, variants(3), source=Source.SCHEDULE)

    assert not MessageEvent.objects.exists()
    for message in Message.objects.all():
        [event] = transitions.history(message)
        assert (event.at, event.to_status, event.source, event.actor_id) == (
            prototype.created_at,
            "queued",
            "schedule",
            None,
        )


def test_every_message_has_its_first_history_row_if_it_does_not_tell_it(prototype) -> None:
    bulk_insert.store(prototype, variants(3), source=Source.ADMIN)

    events = MessageEvent.objects.order_by("pk")
    assert list(events.values_list("message_id", flat=True)) == list(
        Message.objects.order_by("pk").values_list("pk", flat=True)
    )
    assert columns(events.filter(message=Message.objects.first())) == [
        {
            "message_id": Message.objects.first().pk,
            "at": prototype.created_at,
            "from_status": "",
            "to_status": "queued",
            "source": "admin",
            "provider_slug": "",
            "detail": "",
            "actor_id": None,
        }
    ]


def test_the_keys_are_in_the_order_of_the_variants(prototype) -> None:
    bulk_insert.store(prototype, variants(50), source=Source.SCHEDULE)

    assert list(Message.objects.order_by("pk").values_list("to_number", flat=True)) == [
        variant.to_number for variant in variants(50)
    ]
    assert {pk.version for pk in Message.objects.values_list("pk", flat=True)} == {7}


def test_an_empty_batch_stores_nothing(prototype) -> None:
    bulk_insert.store(prototype, [], source=Source.SCHEDULE)

    assert not Message.objects.exists()
    assert not MessageEvent.objects.exists()


@pytest.mark.parametrize(
    ("bad", "constraint"),
    [
        (Variant(A, "again", Encoding.GSM7, 1), "message_once_per_run_and_recipient|run_id"),
        (Variant(B, "long", Encoding.GSM7, 11), "message_segments_range"),
    ],
    ids=["twice", "segments"],
)
def test_a_violated_constraint_is_an_error_of_django_and_rolls_the_batch_back(prototype, bad, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        bulk_insert.store(prototype, [Variant(A, "once", Encoding.GSM7, 1), bad], source=Source.SCHEDULE)

    assert not Message.objects.exists()
    assert not MessageEvent.objects.exists()


def test_the_cost_does_not_grow_with_the_batch(prototype) -> None:
    costs = []
    for listed in (variants(20)[:5], variants(20)[5:]):
        with CaptureQueriesContext(connection) as queries:
            bulk_insert.store(prototype, listed, source=Source.SCHEDULE)
        costs.append(len(queries))

    assert costs[0] == costs[1]


def test_messages_of_a_batch_are_stored_as_they_are_in_memory(prototype, now) -> None:
    prototype.run_id = None
    listed = [
        bulk_insert.like(prototype, id=uuid7(), to_number=A, text=HARD, encoding=Encoding.UCS2, segments=2),
        bulk_insert.like(prototype, id=uuid7(), to_number=A, text="b", encoding=Encoding.GSM7, segments=1, reference="r"),
        bulk_insert.like(
            prototype, id=uuid7(), to_number=B, text="c", encoding=Encoding.GSM7, segments=1, status=Status.SCHEDULED,
            send_at=now + timedelta(hours=1), next_attempt_at=now + timedelta(hours=1), expires_at=now + timedelta(hours=2),
        ),
    ]  # fmt: skip

    bulk_insert.store_messages(listed, source=Source.API, actor=prototype.owner)

    names = [field.attname for field in Message._meta.concrete_fields]
    stored = list(Message.objects.order_by("pk"))
    assert [[getattr(row, name) for name in names] for row in stored] == [
        [getattr(row, name) for name in names] for row in listed
    ]
    assert {(row._state.adding, row._state.db) for row in listed} == {(False, "default")}


def test_a_copy_shares_nothing_that_can_change_with_its_prototype(prototype) -> None:
    first, second = (bulk_insert.like(prototype, id=uuid7()) for _ in range(2))

    first.queue_id = "elsewhere"
    first._state.adding = False

    assert (second.queue_id, prototype.queue_id, second._state.adding) == ("express", "express", True)
    assert first.owner is prototype.owner


def test_known_numbers_stay_as_they_are(prototype) -> None:
    known = PhoneNumberFactory(number=A, inactive=True)

    bulk_insert.store_numbers([B, A, B])

    assert list(PhoneNumber.objects.values_list("number", "status", "reason", "changed_at")) == [
        (A, "inactive", known.reason, known.changed_at),
        (B, "active", "", None),
    ]
    assert PhoneNumber.objects.get(pk=B).created_at is not None
