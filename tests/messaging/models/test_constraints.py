"""Database constraints: each refuses by name, and accepts values just within its limits."""

import re
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, models, transaction
from uuid_utils.compat import uuid7

from messaging.models import (
    AttemptPart,
    DeliveryAttempt,
    IdempotencyRecord,
    Message,
    OutboundQueue,
    PhoneNumber,
    ProviderCallback,
)
from messaging.states import INBOUND, OUTBOUND, Status
from tests.factories import (
    NOW,
    AccountFactory,
    AttemptFactory,
    CallbackFactory,
    MessageFactory,
    PhoneNumberFactory,
    QueueFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


@contextmanager
def refused(name: str, *columns: str):
    """PostgreSQL names the constraint; SQLite names checks, and the columns of unique constraints."""
    with pytest.raises(IntegrityError) as error, transaction.atomic():
        yield
    expected = name if connection.vendor == "postgresql" or not columns else ", ".join(columns)
    assert expected in str(error.value)


class TestMessage:
    def assert_refused(self, name: str, **values) -> None:
        with refused(name):
            MessageFactory(**values)
        assert not Message.objects.exists()

    @pytest.mark.parametrize("status", sorted(INBOUND))
    def test_an_outbound_message_has_no_inbound_status(self, status) -> None:
        self.assert_refused("message_status_of_direction", status=status)

    @pytest.mark.parametrize("status", [*sorted(OUTBOUND - {Status.SENDING}), "nonsense"])
    def test_an_inbound_message_has_no_outbound_status(self, status) -> None:
        self.assert_refused("message_status_of_direction", inbound=True, status=status, delivered_at=NOW)

    @pytest.mark.parametrize("direction", ["sideways", ""])
    def test_there_are_two_directions(self, direction: str) -> None:
        self.assert_refused("message_", direction=direction)

    @pytest.mark.parametrize(("traits", "limit"), [({}, 1530), ({"inbound": True}, 1600)], ids=["outbound", "inbound"])
    def test_a_text_has_its_limit(self, traits, limit: int) -> None:
        MessageFactory(text="x" * limit, **traits)
        if limit < 1600:
            with refused("message_text_length"):
                MessageFactory(text="x" * (limit + 1), **traits)
        assert Message.objects.count() == 1

    @pytest.mark.parametrize("segments", [0, 11])
    def test_an_outbound_message_has_one_to_ten_segments(self, segments: int) -> None:
        self.assert_refused("message_segments_range", segments=segments)

    @pytest.mark.parametrize("values", [{"segments": 1}, {"segments": 10}, {"segments": 11, "inbound": True}])
    def test_and_an_inbound_one_may_have_more(self, values) -> None:
        MessageFactory(**values)

    @pytest.mark.parametrize("field", ["queue", "owner", "valid_for", "expires_at"])
    def test_an_outbound_message_has_queue_owner_and_validity(self, field: str) -> None:
        values = {field: None} if field != "valid_for" else {"valid_for": None, "expires_at": NOW}
        self.assert_refused("message_outbound_has_queue_and_owner", **values)

    @pytest.mark.parametrize("missing", ["claim_id", "lease_until"])
    def test_a_message_in_flight_has_a_claim(self, missing: str) -> None:
        self.assert_refused("message_sending_has_claim", sending=True, **{missing: None})

    @pytest.mark.parametrize("left", [{"claim_id": uuid7()}, {"lease_until": NOW}], ids=["claim", "lease"])
    def test_no_other_message_has_a_claim(self, left) -> None:
        self.assert_refused("message_sending_has_claim", **left)

    def test_a_delivered_message_has_its_time(self) -> None:
        self.assert_refused("message_delivered_has_time", status=Status.DELIVERED)

    def test_a_message_is_valid_when_it_is_due(self) -> None:
        self.assert_refused("message_valid_after_due", send_at=NOW, expires_at=NOW)
        MessageFactory(send_at=NOW, expires_at=NOW + timedelta(microseconds=1))

    def test_one_run_writes_once_to_a_recipient(self) -> None:
        run, number = uuid7(), "+14155550101"
        MessageFactory(run_id=run, to_number=number)
        with refused("message_once_per_run_and_recipient", "messaging_message.run_id", "messaging_message.to_number"):
            MessageFactory(run_id=run, to_number=number)
        MessageFactory(run_id=uuid7(), to_number=number)
        MessageFactory.create_batch(2, to_number=number)
        assert Message.objects.count() == 4


class TestAttempt:
    def test_attempts_of_a_message_are_numbered_once(self) -> None:
        attempt = AttemptFactory()
        columns = "messaging_deliveryattempt.message_id", "messaging_deliveryattempt.number"
        with refused("attempt_number_of_message", *columns):
            AttemptFactory(message=attempt.message)
        assert DeliveryAttempt.objects.count() == 1

    def test_a_message_has_at_most_one_open_attempt(self) -> None:
        attempt = AttemptFactory(open=True)
        with refused("attempt_one_open_of_message", "messaging_deliveryattempt.message_id"):
            AttemptFactory(message=attempt.message, number=2, outcome="calling", finished_at=None)
        AttemptFactory(message=attempt.message, number=2)

    def test_a_provider_may_use_an_id_again(self) -> None:
        attempt = AttemptFactory(provider_message_id="p1")
        AttemptFactory(provider=attempt.provider, provider_message_id="p1")

    def test_an_attempt_has_each_part_once(self) -> None:
        attempt = AttemptFactory()
        values = {"attempt": attempt, "provider": attempt.provider, "provider_message_id": "p1"}
        AttemptPart.objects.create(**values)
        with refused(
            "part_once_per_attempt", "messaging_attemptpart.attempt_id", "messaging_attemptpart.provider_message_id"
        ):
            AttemptPart.objects.create(**values)

    def test_any_number_of_attempts_has_no_id(self) -> None:
        AttemptFactory.create_batch(3, provider=AccountFactory())

    def test_an_outcome_is_one_of_the_known_words(self) -> None:
        with refused("attempt_outcome_word"):
            AttemptFactory(outcome="lost")

    @pytest.mark.parametrize(
        "values", [{"outcome": "calling", "finished_at": NOW}, {"outcome": "accepted", "finished_at": None}], ids=str
    )
    def test_an_attempt_is_open_or_finished(self, values) -> None:
        with refused("attempt_open_or_finished"):
            AttemptFactory(**values)


def test_the_same_callback_is_stored_once_for_each_account() -> None:
    callback = CallbackFactory()
    columns = "messaging_providercallback.provider_id", "messaging_providercallback.digest"
    with refused("callback_digest", *columns):
        CallbackFactory(provider=callback.provider, digest=callback.digest)
    CallbackFactory(digest=callback.digest)
    assert ProviderCallback.objects.count() == 2


def test_an_idempotency_key_belongs_to_its_owner_once() -> None:
    owner = UserFactory()

    def keep(owner) -> None:
        IdempotencyRecord.objects.create(owner=owner, key="k", fingerprint="f", created_at=NOW)

    keep(owner)
    with refused("idempotency_owner_key", "messaging_idempotencyrecord.owner_id", "messaging_idempotencyrecord.key"):
        keep(owner)
    keep(UserFactory())
    assert IdempotencyRecord.objects.count() == 2


@pytest.mark.parametrize("pace", [(2, None), (None, 120), (0, 120), (2, 0)])
def test_a_queue_has_a_whole_pace_or_none(pace) -> None:
    with refused("queue_pace_both_or_neither"):
        QueueFactory(name="odd", batch_size=pace[0], interval_seconds=pace[1])
    assert not OutboundQueue.objects.exists()


@pytest.mark.parametrize("pace", [(1, 1), (None, None)])
def test_both_kinds_of_queue_are_accepted(pace) -> None:
    QueueFactory(name="even", batch_size=pace[0], interval_seconds=pace[1])


def test_a_number_is_active_or_inactive() -> None:
    with refused("number_status_word"):
        PhoneNumberFactory(status="maybe")
    assert not PhoneNumber.objects.exists()


def test_an_account_a_queue_and_an_owner_with_messages_cannot_be_deleted() -> None:
    attempt = AttemptFactory()
    message = attempt.message
    for row in (attempt.provider, message.queue, message.owner):
        with pytest.raises(models.ProtectedError):
            row.delete()
    assert Message.objects.filter(pk=message.pk).exists()


@pytest.mark.parametrize(
    "model", [Message, DeliveryAttempt, ProviderCallback, OutboundQueue, PhoneNumber, IdempotencyRecord]
)
def test_every_constraint_and_index_is_there_under_its_name(model) -> None:
    wanted = {each.name for each in (*model._meta.constraints, *model._meta.indexes)}

    assert wanted <= names_in_database(model._meta.db_table)


def names_in_database(table: str) -> set[str]:
    """Constraints and indexes of the table. On SQLite from its own SQL: Django's introspection parses it with sqlparse,
    which takes the backslash of `ESCAPE '\\'` for an escape and fails where another constraint comes after it.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            return set(connection.introspection.get_constraints(cursor, table))
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = %s", [table])
        return {
            found for name, sql in cursor.fetchall() for found in (name, *re.findall(r'CONSTRAINT "(\w+)"', sql or ""))
        }
