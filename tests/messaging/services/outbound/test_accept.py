"""One message in one statement: stored with all that belongs to it, or not at all."""

import json
from datetime import timedelta
from functools import partial

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from messaging.models import CountJournal, IdempotencyRecord, Message, OutboundQueue, PhoneNumber, Suppression
from messaging.models.encrypted import keys
from messaging.services.errors import IdempotencyKeyReused, InvalidField, OptedOut, RecipientInactive
from messaging.services.outbound import accept as module
from messaging.services.outbound import eligibility, idempotency
from messaging.services.outbound.accept import AcceptedMessage, accept
from messaging.services.outbound.eligibility import Moment
from messaging.services.outbound.idempotency import IdempotencyKey
from messaging.services.outbound.submit import DEFAULT_VALID_FOR, MessageInput, submit
from messaging.services.representation import serialize_message
from providers.models import SenderNumber
from tests.factories import NOW, PhoneNumberFactory, SenderFactory, UserFactory
from tests.messaging.parallel import at_once

TO = "+14155550101"
KEY = IdempotencyKey("k", ["f" * 64])
ON_SQLITE = connection.vendor == "sqlite"
FERNET = "a:" + "A" * 43 + "="


@pytest.fixture
def owner(express: OutboundQueue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_default_senders", module._DefaultSenders())
    return UserFactory()


def draft(**values) -> MessageInput:
    return MessageInput(**{"to": TO, "text": "Hello", "valid_for": DEFAULT_VALID_FOR, **values})


def do(owner, *, key: IdempotencyKey | None = None, **values) -> AcceptedMessage:
    return accept(owner=owner, draft=draft(**values), default_queue="express", now=NOW, key=key)


def do_impatiently(owner, **values) -> AcceptedMessage:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    return do(owner, **values)


def opt_out(*, from_: str) -> None:
    Suppression.objects.create(number=TO, sender=from_, source=Suppression.Source.ADMIN, created_at=NOW)


def columns(message: Message) -> dict:
    return {f.attname: getattr(message, f.attname) for f in Message._meta.concrete_fields if f.attname != "id"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"text": "Grüße €", "reference": "r", "callback_url": "https://example.org/x", "valid_for": 60},
        {"send_at": NOW + timedelta(hours=1)},
        {"send_at": NOW - timedelta(hours=1)},
        {"sender": "+14155550999", "queue": "express"},
    ],
    ids=str,
)
@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
def test_it_stores_what_submit_stores(owner, values: dict, key: IdempotencyKey | None) -> None:
    SenderFactory(number="+14155550999", owner=owner)
    other = submit(owner=owner, draft=draft(**values), default_queue="express", now=NOW)
    first_event, counts = other.events.values("at", "from_status", "to_status", "source", "actor", "detail"), []
    counts = CountJournal.objects.latest("pk").counts

    accepted = do(owner, key=key, **values)

    stored = Message.objects.get(pk=accepted.message.pk)
    assert columns(stored) == columns(Message.objects.get(pk=other.pk))
    assert accepted.response == serialize_message(stored)
    assert list(stored.events.values("at", "from_status", "to_status", "source", "actor", "detail")) == list(
        first_event
    )
    assert CountJournal.objects.latest("pk").counts == counts
    assert PhoneNumber.objects.get().status == "active"


def test_an_unknown_number_is_stored_and_a_known_one_kept(owner) -> None:
    do(owner)
    PhoneNumber.objects.update(reason="kept")

    do(owner)

    assert PhoneNumber.objects.get().reason == "kept"


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
def test_the_default_sender_is_used(owner, key) -> None:
    SenderFactory(number="+14155550990", owner=None, is_default=True)
    SenderFactory(number="+14155550991", owner=UserFactory(), is_default=True)
    assert do(owner).message.from_number == "+14155550990"

    SenderFactory(number="+14155550992", owner=owner, is_default=True)
    assert do(owner, key=key).message.from_number == "+14155550992"


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
class TestRefusals:
    def refused(self, owner, error: type[Exception], key, **values) -> Exception:
        with pytest.raises(error) as found:
            do(owner, key=key, **values)
        assert not Message.objects.exists()
        assert not IdempotencyRecord.objects.exists()
        assert not CountJournal.objects.exists()
        return found.value

    def test_an_unknown_queue(self, owner, key) -> None:
        assert self.refused(owner, InvalidField, key, queue="none").field_code == "unknown_queue"

    def test_another_owners_sender(self, owner, key) -> None:
        SenderFactory(number="+14155550999", owner=UserFactory())
        error = self.refused(owner, InvalidField, key, sender="+14155550999")
        assert error.field_code == "sender_not_allowed"

    def test_a_text_that_is_too_long(self, owner, key) -> None:
        assert self.refused(owner, InvalidField, key, text="x" * 1531).field_code == "too_long"

    def test_an_inactive_number(self, owner, key) -> None:
        PhoneNumberFactory(number=TO, inactive=True)
        self.refused(owner, RecipientInactive, key)

    def test_an_opt_out_from_every_sender(self, owner, key) -> None:
        opt_out(from_="")
        self.refused(owner, OptedOut, key)

    def test_an_opt_out_from_this_sender(self, owner, key) -> None:
        SenderFactory(number="+14155550999", owner=owner)
        opt_out(from_="+14155550999")
        self.refused(owner, OptedOut, key, sender="+14155550999")

    def test_an_opt_out_from_another_sender_refuses_nothing(self, owner, key) -> None:
        SenderFactory(number="+14155550999", owner=owner)
        opt_out(from_="+14155550998")

        assert do(owner, key=key, sender="+14155550999").message is not None


class TestKeys:
    def test_a_repeat_gets_the_first_response(self, owner) -> None:
        first = do(owner, key=KEY)

        assert do(owner, key=KEY) == AcceptedMessage(first.response, None)
        assert Message.objects.count() == CountJournal.objects.count() == 1

    def test_a_repeat_gets_it_even_if_it_would_be_refused_by_now(self, owner) -> None:
        first = do(owner, key=KEY)
        opt_out(from_="")
        PhoneNumber.objects.update(status="inactive")

        assert do(owner, key=KEY) == AcceptedMessage(first.response, None)

    def test_another_request_under_the_key_is_refused(self, owner) -> None:
        do(owner, key=KEY)

        with pytest.raises(IdempotencyKeyReused):
            do(owner, key=IdempotencyKey("k", ["e" * 64]), text="Other")

        assert Message.objects.count() == 1

    def test_a_fingerprint_under_an_earlier_secret_is_known(self, owner) -> None:
        first = do(owner, key=KEY)

        assert do(owner, key=IdempotencyKey("k", ["e" * 64, "f" * 64])) == AcceptedMessage(first.response, None)

    def test_a_key_can_be_used_again_after_a_day(self, owner) -> None:
        do(owner, key=KEY)
        IdempotencyRecord.objects.update(created_at=NOW - idempotency.KEPT_FOR - timedelta(seconds=1))

        assert do(owner, key=KEY).message is not None
        assert Message.objects.count() == 2

    def test_keys_of_two_owners_are_separate(self, owner) -> None:
        assert do(owner, key=KEY).message is not None
        assert do(UserFactory(), key=KEY).message is not None


def test_texts_are_encrypted(owner, settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [FERNET]
    assert keys()

    accepted = do(owner, key=KEY)

    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM messaging_message UNION ALL SELECT response FROM messaging_idempotencyrecord")
        stored = [text for (text,) in cursor.fetchall()]
    assert len(stored) == 2
    assert all(text.startswith("enc:v1:a:") for text in stored)
    assert Message.objects.get().text == "Hello"
    assert do(owner, key=KEY) == AcceptedMessage(accepted.response, None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
def test_it_takes_one_statement(owner, key) -> None:
    """SQLite needs one for each table within a transaction, and no round trip for any."""
    with CaptureQueriesContext(connection) as queries:
        do(owner, key=key)

    assert len(queries) == (2 + 3 + (key is not None) if ON_SQLITE else 1)


@pytest.mark.django_db(transaction=True)
def test_a_default_sender_is_looked_for_once(owner) -> None:
    SenderFactory(number="+14155550990", owner=owner, is_default=True)
    assert do(owner).message.from_number == "+14155550990"

    with CaptureQueriesContext(connection) as queries:
        assert do(owner).message.from_number == "+14155550990"

    assert len(queries) == (2 + 3 if ON_SQLITE else 1)


def test_a_change_of_the_default_sender_is_seen_at_once(owner) -> None:
    """Also one of another process, of which no signal tells."""
    for number in ("+14155550990", "+14155550991"):
        SenderFactory(number=number)
        SenderNumber.objects.filter(number=number).update(owner=owner, is_default=True)
        assert do(owner).message.from_number == number
        SenderNumber.objects.update(is_default=False)
        assert do(owner).message.from_number == ""


def test_few_default_senders_are_kept(owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._DefaultSenders, "MAX_OWNERS", 2)
    known = module._DefaultSenders()

    for owner_id in range(5):
        known.put(owner_id, f"+1{owner_id}")

    assert known.get(4) == "+14"
    assert len(known._known) <= 2


def test_every_check_of_acceptance_is_asked(owner, monkeypatch: pytest.MonkeyPatch) -> None:
    never = eligibility.Check(
        code="never",
        detail="Never.",
        moments=frozenset({Moment.ACCEPT}),
        applies=lambda message, _batch: message.reference == "never",
        error=OptedOut,
    )
    monkeypatch.setattr(eligibility, "CHECKS", (*eligibility.CHECKS, never))

    with pytest.raises(OptedOut, match="Never"):
        do(owner, reference="never")
    assert do(owner, reference="often").message is not None


@pytest.mark.django_db(transaction=True)
def test_a_failure_leaves_nothing(owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of the rows is refused by the database."""
    monkeypatch.setattr(module.CounterBatch, "dumps", lambda _self: None)

    with pytest.raises(IntegrityError):
        do(owner, key=KEY)

    for model in (Message, IdempotencyRecord, PhoneNumber, CountJournal):
        assert not model.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_parallel_requests_with_one_key_store_one_message(owner) -> None:
    results = at_once([partial(do, owner, key=KEY)] * 16)

    assert [type(result) for result in results] == [AcceptedMessage] * 16
    assert {json.dumps(result.response) for result in results} == {json.dumps(results[0].response)}
    assert sum(result.message is not None for result in results) == 1
    assert Message.objects.count() == CountJournal.objects.count() == 1


@pytest.mark.skipif(ON_SQLITE, reason="a writing transaction excludes all others")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("commits", [True, False])
def test_the_second_waits_for_the_first(owner, commits: bool) -> None:
    with transaction.atomic():
        first = do(owner, key=KEY)
        [waited] = at_once([partial(do_impatiently, owner, key=KEY)])
        transaction.set_rollback(not commits)

    assert isinstance(waited, OperationalError)  # it waited until its time-out
    again = do(owner, key=KEY)
    assert (again == AcceptedMessage(first.response, None)) is commits
    assert Message.objects.count() == 1


@pytest.mark.skipif(ON_SQLITE, reason="a writing transaction excludes all others")
@pytest.mark.django_db(transaction=True)
def test_it_does_not_wait_for_a_change_of_the_number(owner) -> None:
    PhoneNumberFactory(number=TO)
    with transaction.atomic():
        PhoneNumber.objects.filter(pk=TO).update(auto_replied_at=NOW)
        [accepted] = at_once([partial(do_impatiently, owner)])

    assert isinstance(accepted, AcceptedMessage)
