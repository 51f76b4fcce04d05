"""Accepting messages: what is stored, what is refused, and the number of queries."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Message, MessageEvent, PhoneNumber, Suppression
from messaging.services import transitions
from messaging.services.errors import InvalidField, OptedOut, RecipientInactive
from messaging.services.outbound.submit import LATEST, MessageInput, submit, submit_many
from messaging.services.recipients import suppressions
from messaging.services.reporting import statistics
from messaging.states import Status
from tests.factories import (
    NOW,
    AccountFactory,
    PhoneNumberFactory,
    QueueFactory,
    SenderFactory,
    UserFactory,
)
from tests.messaging.parallel import at_once

pytestmark = pytest.mark.usefixtures("express")
TO = "+14155550101"


def draft(**changes) -> MessageInput:
    return MessageInput(**{"to": TO, "text": "Hello", "valid_for": 60, **changes})


def assert_nothing_stored() -> None:
    assert not Message.objects.exists()
    assert not MessageEvent.objects.exists()
    assert not PhoneNumber.objects.filter(number=TO).exists()


@pytest.fixture
def owner(db):
    return UserFactory()


def test_a_message_without_a_time_is_queued_and_ready(owner, now) -> None:
    message = submit(
        owner=owner, draft=draft(reference="r", callback_url="https://x.example/"), default_queue="express", now=now
    )

    message.refresh_from_db()
    assert (message.status, message.next_attempt_at, message.send_at) == ("queued", None, None)
    assert (message.to_number, message.text, message.owner, message.queue_id) == (TO, "Hello", owner, "express")
    assert (message.encoding, message.segments) == ("gsm7", 1)
    assert (message.reference, message.callback_url) == ("r", "https://x.example/")
    assert (message.created_at, message.updated_at, message.expires_at) == (now, now, now + timedelta(seconds=60))
    assert (message.attempts, message.rounds_failed, message.provider_id, message.error_code) == (0, 0, None, "")


def test_the_first_event_names_the_creator(owner, now) -> None:
    submit(owner=owner, draft=draft(), default_queue="express", now=now)

    assert not MessageEvent.objects.exists()
    [event] = transitions.history(Message.objects.get())
    assert (event.at, event.from_status, event.to_status, event.source, event.actor) == (
        now,
        "",
        "queued",
        "api",
        owner,
    )


def test_a_time_in_the_future_schedules_it_and_validity_counts_from_then(owner, now) -> None:
    due = now + timedelta(hours=2)

    message = submit(owner=owner, draft=draft(send_at=due), default_queue="express", now=now)

    assert (message.status, message.send_at, message.next_attempt_at) == ("scheduled", due, due)
    assert message.expires_at == due + timedelta(seconds=60)


@pytest.mark.parametrize("seconds", [0, -1, -3600])
def test_a_time_in_the_past_means_now(owner, now, seconds: int) -> None:
    message = submit(
        owner=owner, draft=draft(send_at=now + timedelta(seconds=seconds)), default_queue="express", now=now
    )

    assert (message.status, message.next_attempt_at) == ("queued", None)
    assert message.expires_at == now + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"queue": "nowhere"}, "queue", "unknown_queue"),
        ({"sender": "+15005550999"}, "from", "sender_not_allowed"),
        ({"text": "a" * 1531}, "message", "too_long"),
        ({"text": "я" * 671}, "message", "too_long"),
    ],
)
def test_an_invalid_draft_stores_nothing(owner, now, changes, field: str, code: str) -> None:
    with pytest.raises(InvalidField) as refused:
        submit(owner=owner, draft=draft(**changes), default_queue="express", now=now)

    assert (refused.value.field, refused.value.field_code) == (field, code)
    assert_nothing_stored()


@pytest.mark.parametrize("send_at", [NOW + timedelta(days=400), LATEST - timedelta(seconds=60)])
def test_a_time_far_ahead_is_accepted(owner, now, send_at) -> None:
    submit(owner=owner, draft=draft(send_at=send_at, valid_for=60), default_queue="express", now=now)

    message = Message.objects.get()
    assert (message.status, message.send_at, message.next_attempt_at) == ("scheduled", send_at, send_at)
    assert message.expires_at == send_at + timedelta(seconds=60)


def test_a_validity_that_no_timestamp_can_express_is_refused(owner, now) -> None:
    with pytest.raises(InvalidField) as refused:
        submit(
            owner=owner,
            draft=draft(send_at=LATEST - timedelta(seconds=59), valid_for=60),
            default_queue="express",
            now=now,
        )

    assert (refused.value.field, refused.value.field_code) == ("send_at", "too_far_ahead")
    assert_nothing_stored()


@pytest.mark.parametrize(("text", "segments"), [("a" * 1530, 10), ("я" * 670, 10), ("€" * 760, 10)])
def test_ten_segments_are_accepted(owner, now, text: str, segments: int) -> None:
    message = submit(owner=owner, draft=draft(text=text), default_queue="express", now=now)

    assert message.segments == segments


def test_an_inactive_recipient_is_refused(owner, now) -> None:
    PhoneNumberFactory(number=TO, inactive=True)

    with pytest.raises(RecipientInactive):
        submit(owner=owner, draft=draft(), default_queue="express", now=now)

    assert not Message.objects.exists()


def test_a_new_number_is_known_from_then_on(owner, now) -> None:
    submit(owner=owner, draft=draft(), default_queue="express", now=now)
    submit(owner=owner, draft=draft(), default_queue="express", now=now)

    assert list(PhoneNumber.objects.values_list("number", "status")) == [(TO, "active")]


def test_the_owners_default_sender_comes_before_the_shared_one(owner, now) -> None:
    SenderFactory(number="+15005550001", is_default=True)
    SenderFactory(number="+15005550002", is_default=True, owner=owner)
    SenderFactory(number="+15005550003", is_default=True, owner=UserFactory())

    mine = submit(owner=owner, draft=draft(), default_queue="express", now=now)
    others = submit(owner=UserFactory(), draft=draft(), default_queue="express", now=now)

    assert mine.from_number == "+15005550002"
    assert others.from_number == "+15005550001"


def test_without_a_default_sender_the_account_decides(owner, now) -> None:
    SenderFactory(account=AccountFactory())

    assert submit(owner=owner, draft=draft(), default_queue="express", now=now).from_number == ""


def test_own_and_shared_senders_are_accepted_and_other_owners_are_not(owner, now) -> None:
    shared, own = SenderFactory(), SenderFactory(owner=owner)
    foreign = SenderFactory(owner=UserFactory())

    for sender in (shared, own):
        message = submit(owner=owner, draft=draft(sender=sender.number), default_queue="express", now=now)
        assert message.from_number == sender.number
    with pytest.raises(InvalidField) as refused:
        submit(owner=owner, draft=draft(sender=foreign.number), default_queue="express", now=now)

    assert refused.value.field_code == "sender_not_allowed"


@pytest.mark.parametrize("sender", ["+15005550007", "80888", "ACME"])
def test_a_number_short_code_or_name_is_a_sender_of_its_owner_only(owner, now, sender: str) -> None:
    SenderFactory(number=sender, owner=owner)

    message = submit(owner=owner, draft=draft(sender=sender), default_queue="express", now=now)
    with pytest.raises(InvalidField) as refused:
        submit(owner=UserFactory(), draft=draft(sender=sender), default_queue="express", now=now)

    assert message.from_number == sender
    assert refused.value.field_code == "sender_not_allowed"
    assert Message.objects.count() == 1


def test_a_name_counts_as_it_is_written(owner, now) -> None:
    SenderFactory(number="ACME", owner=owner)

    with pytest.raises(InvalidField):
        submit(owner=owner, draft=draft(sender="Acme"), default_queue="express", now=now)


def test_a_name_can_be_the_default_sender(owner, now) -> None:
    SenderFactory(number="ACME", owner=owner, is_default=True)

    assert submit(owner=owner, draft=draft(), default_queue="express", now=now).from_number == "ACME"


def test_bad_drafts_do_not_stop_good_ones_and_the_order_is_kept(owner, now) -> None:
    PhoneNumberFactory(number="+14155550109", inactive=True)
    QueueFactory(name="bulk")
    drafts = [draft(), draft(queue="nowhere"), draft(to="+14155550109"), draft(queue="bulk")]

    first, second, third, fourth = submit_many(owner=owner, drafts=drafts, default_queue="express", now=now)

    assert (first.queue_id, fourth.queue_id) == ("express", "bulk")
    assert isinstance(second, InvalidField)
    assert isinstance(third, RecipientInactive)
    assert set(Message.objects.values_list("pk", flat=True)) == {first.pk, fourth.pk}
    assert statistics.current()[Status.QUEUED] == 2


def test_one_inactive_and_one_opted_out_number_are_found_among_hundreds(owner, now) -> None:
    numbers = [f"+1415555{n:04d}" for n in range(1000, 1250)]
    PhoneNumberFactory(number=numbers[7], inactive=True)
    suppressions.add(number=numbers[200], sender="", source=Suppression.Source.KEYWORD, reason="", now=now)

    results = submit_many(
        owner=owner, drafts=[draft(to=number) for number in numbers], default_queue="express", now=now
    )

    refused = {place: type(result) for place, result in enumerate(results) if not isinstance(result, Message)}
    assert refused == {7: RecipientInactive, 200: OptedOut}
    assert Message.objects.count() == 248


def test_ids_follow_the_order_of_the_drafts(owner, now) -> None:
    drafts = [draft(text=str(n)) for n in range(50)]

    submit_many(owner=owner, drafts=drafts, default_queue="express", now=now)

    assert list(Message.objects.order_by("pk").values_list("text", flat=True)) == [str(n) for n in range(50)]


def test_the_cost_does_not_grow_with_the_batch(owner, now) -> None:
    def queries_for(size: int, start: int) -> int:
        drafts = [draft(to=f"+1415555{start + n:04d}") for n in range(size)]
        with CaptureQueriesContext(
            connection,
        ) as queries:
            submit_many(owner=owner, drafts=drafts, default_queue="express", now=now)
        return len(queries)

    assert queries_for(5, 1000) == queries_for(20, 2000)


def test_new_numbers_are_stored_in_one_order_so_that_batches_cannot_block_each_other(owner, now) -> None:
    """Two transactions that insert the same keys in different orders wait for each other until one is killed."""
    drafts = [draft(to=f"+1415555{n:04d}") for n in range(300, 200, -1)]

    submit_many(owner=owner, drafts=drafts, default_queue="express", now=now)

    place = "ctid" if connection.vendor == "postgresql" else "rowid"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT number FROM messaging_phonenumber ORDER BY {place}")  # noqa: S608 (one of two words)
        stored = [number for (number,) in cursor.fetchall()]
    assert stored == sorted(draft.to for draft in drafts)


@pytest.mark.django_db(transaction=True)
def test_concurrent_batches_to_the_same_new_numbers_are_all_stored(express, now) -> None:
    owner = UserFactory()
    numbers = [f"+1415555{n:04d}" for n in range(1000, 1200)]

    def send(order: list[str]) -> list:
        drafts = [draft(to=number) for number in order]
        return submit_many(owner=owner, drafts=drafts, default_queue="express", now=now)

    results = at_once([lambda: send(numbers), lambda: send(numbers[::-1])] * 3)

    assert [len(result) for result in results] == [200] * 6
    assert Message.objects.count() == 1200
    assert PhoneNumber.objects.count() == 200
