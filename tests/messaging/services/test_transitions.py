"""The one function that changes a status."""

import base64
from datetime import timedelta

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from messaging.encryption import MARK
from messaging.models import ClientEvent, Message, MessageEvent
from messaging.services import transitions
from messaging.services.errors import IllegalTransition
from messaging.services.reporting import statistics
from messaging.services.transitions import Transition
from messaging.states import Source, Status
from tests.factories import NOW, AccountFactory, ClientEventFactory, EventFactory, MessageFactory, UserFactory

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
KEY = f"one:{base64.urlsafe_b64encode(b'k' * 32).decode()}"


def test_the_status_and_its_history_are_written(now) -> None:
    message = MessageFactory(sending=True)

    transitions.apply([Transition(message, Status.SENT, Source.DISPATCH, "acme", "why")], now=now)

    message.refresh_from_db()
    assert (message.status, message.updated_at) == ("sent", now)
    [event] = message.events.all()
    assert (event.from_status, event.to_status, event.source) == ("sending", "sent", "dispatch")
    assert (event.provider_slug, event.detail, event.at, event.actor) == ("acme", "why", now, None)


def test_no_event_is_before_the_message(now) -> None:
    """A claim reads its time before it finds the message, which another process may accept in between."""
    message = MessageFactory(created_at=now + timedelta(milliseconds=1))

    transitions.apply([Transition(message, Status.CANCELED, Source.API)], now=now)

    message.refresh_from_db()
    [event] = message.events.all()
    assert event.at == message.updated_at == message.created_at


def test_leaving_sending_ends_the_claim(now) -> None:
    message = MessageFactory(sending=True)

    transitions.apply([Transition(message, Status.UNKNOWN, Source.SWEEP)], now=now)

    message.refresh_from_db()
    assert (message.claim_id, message.lease_until) == (None, None)


def test_the_named_fields_are_written_and_no_others(now) -> None:
    message = MessageFactory()
    message.error_code, message.reference = "expired", "changed in memory only"

    transitions.apply([Transition(message, Status.FAILED, Source.SWEEP)], now=now, fields=["error_code"])

    message.refresh_from_db()
    assert (message.error_code, message.reference) == ("expired", "")


def test_one_illegal_transition_stops_all_and_writes_nothing(now) -> None:
    good, final = MessageFactory(), MessageFactory(delivered=True)

    with pytest.raises(IllegalTransition):
        transitions.apply(
            [Transition(good, Status.CANCELED, Source.API), Transition(final, Status.FAILED, Source.RECEIPT)], now=now
        )

    assert list(Message.objects.order_by("pk").values_list("status", flat=True)) == ["queued", "delivered"]
    assert not MessageEvent.objects.exists()


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("corrects", [False, True])
def test_only_a_receipt_corrects_a_receipt(now, source: Source, corrects: bool) -> None:
    message = MessageFactory(status=Status.FAILED, delivered_at=now)
    move = Transition(message, Status.DELIVERED, source, corrects_receipt=corrects)

    if corrects and source is Source.RECEIPT:
        transitions.apply([move], now=now)
        assert message.status == "delivered"
    else:
        with pytest.raises(IllegalTransition):
            transitions.apply([move], now=now)


@pytest.mark.parametrize(("by_operator", "allowed"), [(False, False), (True, True)])
def test_only_an_operator_leaves_a_final_status(now, by_operator: bool, allowed: bool) -> None:
    message = MessageFactory(status=Status.FAILED)
    move = Transition(message, Status.QUEUED, Source.OPERATOR, actor=UserFactory(), by_operator=by_operator)

    if allowed:
        transitions.apply([move], now=now)
    else:
        with pytest.raises(IllegalTransition):
            transitions.apply([move], now=now)

    message.refresh_from_db()
    assert message.status == ("queued" if allowed else "failed")
    assert message.events.count() == int(allowed)


def test_a_failed_change_writes_no_history(now) -> None:
    message = MessageFactory()
    move = Transition(message, Status.SENDING, Source.DISPATCH)  # without a claim the database refuses it

    with pytest.raises(IntegrityError), transaction.atomic():
        transitions.apply([move], now=now)

    message.refresh_from_db()
    assert message.status == "queued"
    assert not MessageEvent.objects.exists()


def test_nothing_to_do_costs_nothing(now, django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        transitions.apply([], now=now)


@pytest.mark.parametrize("size", [1, 5, 20])
def test_any_number_of_transitions_takes_one_statement_or_four_on_sqlite(
    now, size: int, django_assert_num_queries
) -> None:
    messages = MessageFactory.create_batch(size, sending=True)
    for place, message in enumerate(messages):
        message.error_code = f"code_{place}"
    moves = [
        Transition(message, (Status.SENT, Status.UNKNOWN)[place % 2], Source.DISPATCH)
        for place, message in enumerate(messages)
    ]

    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 4):
        transitions.apply(moves, now=now, fields=["error_code"])

    rows = Message.objects.order_by("pk").values_list("status", "error_code")
    assert list(rows) == [(("sent", "unknown")[place % 2], f"code_{place}") for place in range(size)]


def test_different_values_of_every_kind_are_written_to_their_rows(now) -> None:
    accounts = AccountFactory.create_batch(2)
    first, second, third = MessageFactory.create_batch(3)
    first.provider, second.provider, third.provider = accounts[0], accounts[1], None
    first.sent_at, second.sent_at, third.sent_at = now, None, now.replace(year=2027)
    first.attempts, second.attempts, third.attempts = 1, 2, 3

    with CaptureQueriesContext(connection) as queries:
        transitions.save_together([first, second, third], ["provider", "sent_at", "attempts"])

    assert len(queries) == 1
    rows = list(Message.objects.order_by("pk").values_list("provider", "sent_at", "attempts"))
    assert rows == [(accounts[0].slug, now, 1), (accounts[1].slug, None, 2), (None, now.replace(year=2027), 3)]


def test_an_encrypted_column_is_written_encrypted(settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [KEY]
    rows = MessageFactory.create_batch(2)
    rows[0].text, rows[1].text = "first {text}", 'second, "text" \\ with 100 %s'

    transitions.save_together(rows, ["text"])

    for row in rows:
        assert Message.objects.get(pk=row.pk).text == row.text
    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM messaging_message")
        assert all(text.startswith(MARK) for (text,) in cursor.fetchall())


def test_json_is_written_to_its_rows() -> None:
    events = ClientEventFactory.create_batch(2)
    events[0].snapshot, events[1].snapshot = {"status": "sent", "error_detail": 'a "b" {c}'}, {}

    transitions.save_together(events, ["snapshot"])

    assert [ClientEvent.objects.get(pk=event.pk).snapshot for event in events] == [event.snapshot for event in events]


@pytest.mark.parametrize("size", [1, 2])
def test_a_text_that_is_too_long_for_its_column_is_refused_not_cut(size: int) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no lengths of columns")
    rows = MessageFactory.create_batch(size)
    for place, row in enumerate(rows):
        row.error_code = f"{place}" * 65

    with pytest.raises(DataError), transaction.atomic():
        transitions.save_together(rows, ["error_code"])

    assert set(Message.objects.values_list("error_code", flat=True)) == {""}


# --- The first event --------------------------------------------------------------------------------------------------


def first_facts(message: Message) -> tuple:
    """The first event as a reader gets it from the stored message."""
    event, *_ = transitions.history(Message.objects.get(pk=message.pk))
    return event.at, event.from_status, event.to_status, event.source, event.actor, event.detail


@pytest.mark.parametrize(
    ("values", "source", "has_actor"),
    [
        ({}, Source.API, True),
        ({"send_at": NOW + HOUR, "expires_at": NOW + 2 * HOUR, "status": Status.SCHEDULED}, Source.API, True),
        ({"send_at": NOW}, Source.API, True),
        ({"send_at": NOW - HOUR}, Source.API, True),
        ({"is_automatic": True}, Source.INBOUND, True),
        ({"schedule_id": uuid7()}, Source.SCHEDULE, False),
        ({"inbound": True, "is_owned": True}, Source.API, True),
        ({"inbound": True, "is_owned": True, "is_automatic": True}, Source.API, True),
        ({"inbound": True, "from_account": True}, Source.PROVIDER, False),
        ({"inbound": True, "from_account": True, "is_owned": True}, Source.PROVIDER, False),
    ],
)
def test_a_first_event_that_the_message_tells_is_no_row_and_reads_the_same(
    values: dict, source: Source, has_actor: bool
) -> None:
    made = dict(values)
    rows = {"provider": AccountFactory()} if made.pop("from_account", False) else {}
    rows |= {"owner": UserFactory()} if made.pop("is_owned", False) else {}
    message = MessageFactory(created_at=NOW, **made, **rows)
    actor = message.owner if has_actor else None

    transitions.record_creation([message], source=source, actor=actor)

    assert not MessageEvent.objects.exists()
    assert first_facts(message) == (NOW, "", message.status, source, actor, "")
    assert statistics.current()[message.status] == 1


@pytest.mark.parametrize(
    ("values", "source", "actor", "detail"),
    [
        ({}, Source.ADMIN, "owner", ""),
        ({}, Source.API, "other", ""),
        ({}, Source.API, None, ""),
        ({}, Source.API, "owner", "a note"),
        ({"is_automatic": True}, Source.API, "owner", ""),
        ({"schedule_id": uuid7()}, Source.API, "owner", ""),
        ({"send_at": NOW + HOUR, "expires_at": NOW + 2 * HOUR}, Source.API, "owner", ""),
        ({"inbound": True}, Source.API, None, "stop"),
        ({"inbound": True}, Source.PROVIDER, None, ""),
    ],
)
def test_any_other_first_event_is_stored_and_shown_once(
    values: dict, source: Source, actor: str | None, detail: str
) -> None:
    message = MessageFactory(created_at=NOW, **values)
    user = {"owner": message.owner, "other": UserFactory(), None: None}[actor]

    transitions.record_creation([message], source=source, actor=user, detail=detail)

    assert MessageEvent.objects.count() == 1
    assert len(transitions.history(message)) == 1
    assert first_facts(message) == (NOW, "", message.status, source, user, detail)


def test_a_stored_first_event_of_an_earlier_version_is_shown_once(now) -> None:
    message = MessageFactory()
    stored = EventFactory(message=message)
    transitions.apply([Transition(message, Status.CANCELED, Source.API)], now=now)

    assert [event.to_status for event in transitions.history(message)] == ["queued", "canceled"]
    assert transitions.history(message)[0] == stored


def test_the_first_event_stays_the_same_when_the_message_has_moved(now) -> None:
    due = now + HOUR
    message = MessageFactory(status=Status.SCHEDULED, send_at=due, next_attempt_at=due, expires_at=due + HOUR)
    transitions.record_creation([message], source=Source.API, actor=message.owner)
    before = first_facts(message)
    message.next_attempt_at = None

    transitions.apply([Transition(message, Status.QUEUED, Source.SWEEP)], now=due, fields=["next_attempt_at"])

    assert first_facts(message) == before
    assert [event.to_status for event in transitions.history(message)] == ["scheduled", "queued"]
