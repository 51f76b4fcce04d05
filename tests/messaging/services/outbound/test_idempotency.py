"""One key, one operation: replays, refusals, expiry, and twenty clients at once."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection

from messaging.models import IdempotencyRecord, Message
from messaging.services.errors import IdempotencyKeyReused, InvalidField, RecipientInactive
from messaging.services.outbound import idempotency
from messaging.services.outbound.submit import MessageInput, submit
from tests.factories import UserFactory
from tests.messaging.parallel import at_once


class Operation:
    """Counts its calls."""

    def __init__(self, error: Exception | None = None) -> None:
        self.times = 0
        self.error = error

    def __call__(self) -> dict:
        self.times += 1
        if self.error:
            raise self.error
        return {"time": self.times}


@pytest.fixture
def owner(db):
    return UserFactory()


def once(owner, operation, *, now, key="k", body="a"):
    return idempotency.once(owner=owner, key=key, request_fingerprints=[body], now=now, operation=operation)


def test_the_first_request_runs_and_a_repeat_gets_its_response(owner, now) -> None:
    operation = Operation()

    first, repeat = once(owner, operation, now=now), once(owner, operation, now=now + timedelta(hours=23))

    assert (first, repeat, operation.times) == (({"time": 1}, False), ({"time": 1}, True), 1)


def test_the_same_key_for_another_request_is_refused(owner, now) -> None:
    operation = Operation()
    once(owner, operation, now=now)

    with pytest.raises(IdempotencyKeyReused):
        once(owner, operation, now=now, body="b")

    assert operation.times == 1
    assert once(owner, operation, now=now) == ({"time": 1}, True)


def test_a_fingerprint_reveals_nothing_without_the_secret(settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "here", []
    [here] = idempotency.fingerprints("/path", {"message": "Your code is 123456"})
    settings.SECRET_KEY = "elsewhere"

    assert idempotency.fingerprints("/path", {"message": "Your code is 123456"}) != [here]


def test_a_key_is_found_after_a_change_of_the_secret_key(owner, now, settings) -> None:
    operation = Operation()

    def post() -> tuple[dict, bool]:
        found = idempotency.fingerprints("/path", {"message": "Hello"})
        return idempotency.once(owner=owner, key="k", request_fingerprints=found, now=now, operation=operation)

    settings.SECRET_KEY = "old"
    post()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]

    assert post() == ({"time": 1}, True)


def test_keys_belong_to_their_owner(owner, now) -> None:
    operation = Operation()
    once(owner, operation, now=now)

    assert once(UserFactory(), operation, now=now, body="b") == ({"time": 2}, False)


def test_a_failed_operation_does_not_use_up_the_key(owner, now) -> None:
    with pytest.raises(RecipientInactive):
        once(owner, Operation(RecipientInactive("no")), now=now)

    assert not IdempotencyRecord.objects.exists()
    assert once(owner, Operation(), now=now, body="b") == ({"time": 1}, False)


@pytest.mark.parametrize(("hours", "replayed"), [(24, True), (24.01, False)])
def test_a_key_is_kept_for_a_day(owner, now, hours: float, replayed: bool) -> None:
    operation = Operation()
    once(owner, operation, now=now)

    assert once(owner, operation, now=now + timedelta(hours=hours))[1] is replayed


def test_an_expired_key_may_name_another_request(owner, now) -> None:
    once(owner, Operation(), now=now)

    assert once(owner, Operation(), now=now + timedelta(hours=25), body="b") == ({"time": 1}, False)
    assert IdempotencyRecord.objects.get().fingerprint == "b"


@pytest.mark.parametrize("key", ["k", " ", "~" * 255, "a b"])
def test_printable_ascii_is_a_key(key: str) -> None:
    assert idempotency.check_key(key) == key


@pytest.mark.parametrize("key", ["", "k" * 256, "é", "a\tb", "a\x7f", "a\x00", "\u20ac"])
def test_any_other_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidField) as refused:
        idempotency.check_key(key)

    assert (refused.value.field, refused.value.field_code) == ("Idempotency-Key", "invalid_key")


def test_a_fingerprint_depends_on_the_content_only() -> None:
    reference = idempotency.fingerprints("/p/", {"a": 1, "b": [1, {"c": None}]})

    assert idempotency.fingerprints("/p/", {"b": [1, {"c": None}], "a": 1}) == reference
    assert idempotency.fingerprints("/q/", {"a": 1, "b": [1, {"c": None}]}) != reference
    assert idempotency.fingerprints("/p/", {"a": "1", "b": [1, {"c": None}]}) != reference
    assert idempotency.fingerprints("/p/", {"a": 1, "b": [{"c": None}, 1]}) != reference


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def submit_with(self, owner, now, key: str, text: str = "Hello"):
        draft = MessageInput(to="+14155550101", text=text, valid_for=60)

        def operation() -> dict:
            return {"id": str(submit(owner=owner, draft=draft, default_queue="express", now=now).pk)}

        return idempotency.once(owner=owner, key=key, request_fingerprints=[text], now=now, operation=operation)

    def test_twenty_requests_with_one_key_make_one_message(self, express, now) -> None:
        owner = UserFactory()

        results = at_once([partial(self.submit_with, owner, now, "k")] * 20)

        message = Message.objects.get()
        assert {body["id"] for body, _ in results} == {str(message.pk)}
        assert sorted(replayed for _, replayed in results) == [False] + [True] * 19

    def test_of_two_different_requests_with_one_key_the_second_is_refused(self, express, now) -> None:
        owner = UserFactory()

        results = at_once([partial(self.submit_with, owner, now, "k", text) for text in ("one", "two")])

        assert Message.objects.count() == 1
        assert sum(isinstance(result, IdempotencyKeyReused) for result in results) == 1

    def test_the_second_request_runs_when_the_first_rolls_back(self, express, now) -> None:
        owner = UserFactory()
        errors = iter([RecipientInactive("no"), None])

        def operation() -> dict:
            error = next(errors)
            if error:
                raise error
            return {"done": True}

        results = at_once([partial(once, owner, operation, now=now)] * 2)

        assert sorted(isinstance(result, RecipientInactive) for result in results) == [False, True]
        assert ({"done": True}, False) in results

    def test_the_response_is_committed_together_with_the_operation(self, express, now) -> None:
        owner = UserFactory()

        def operation() -> dict:
            assert connection.in_atomic_block
            assert IdempotencyRecord.objects.filter(key="k").exists()
            return {}

        once(owner, operation, now=now)

        assert IdempotencyRecord.objects.get().response == "{}"
