"""The only receipt of a request to the address of its attempt: stored and applied in one transaction, like any other."""

import itertools
from uuid import uuid4

import pytest
from django.db import IntegrityError, OperationalError, models

from messaging.models import (
    AttemptPart,
    DeliveryAttempt,
    Message,
    MessageEvent,
    PhoneNumber,
    ProviderCallback,
    Rollup,
    Suppression,
)
from messaging.services import transitions
from messaging.services.outbound import addressed_receipts, receipt_effects, receipt_storage, receipts
from messaging.services.reporting import statistics
from messaging.states import OUTBOUND, Status
from providers.contract.callbacks import ReportedStatus as R
from providers.contract.callbacks import StatusReport
from tests.database_faults import passing_faults
from tests.factories import NOW, AccountFactory, AttemptFactory, MessageFactory
from tests.generated import some
from tests.messaging.services.outbound.test_receipts import report, steps

pytestmark = pytest.mark.django_db


@pytest.fixture
def attempt(account):
    message = MessageFactory(sent=True, provider=account, provider_message_id="p1")
    return AttemptFactory(message=message, provider=account, provider_message_id="p1")


def ingest(attempt, given: StatusReport, now, body: bytes | None = None) -> str:
    body = body or f"{given.provider_message_id} {given.status}".encode()
    [state] = receipts.ingest([given], account=attempt.provider, body=body, attempt_id=attempt.pk, now=now)
    return state


def ingest_in_two_steps(attempt, given: StatusReport, now) -> str:
    """As a receipt that is not alone in its request is stored and applied."""
    body = f"{given.provider_message_id} {given.status}".encode()
    kept = receipts.record(account=attempt.provider, body=body, report=given, attempt_id=attempt.pk, now=now)
    return receipts.apply(kept.pk, now=now)


def message_in(status: Status, **values) -> Message:
    values |= {"delivered_at": NOW} if status == Status.DELIVERED else {}
    return (
        MessageFactory(sending=True, **values) if status == Status.SENDING else MessageFactory(status=status, **values)
    )


def facts(attempt) -> dict[str, object]:
    """All that receipts change, without what two messages never have in common."""
    message = Message.objects.get(pk=attempt.message_id)
    names = ("status", "provider_id", "provider_message_id", "sent_at", "delivered_at", "error_code", "error_detail",
             "next_attempt_at", "claim_id", "lease_until", "updated_at", "attempts")  # fmt: skip
    callbacks = message.callbacks.model.objects.filter(attempt=attempt).order_by("pk")
    columns = ("state", "note", "reported", "word", "error_code", "provider_message_id", "id_key", "body", "kind")
    return {
        **{name: getattr(message, name) for name in names if name != "claim_id" or message.status != "sending"},
        "events": list(message.events.values_list("from_status", "to_status", "source", "provider_slug", "detail")),
        "callbacks": list(callbacks.values_list(*columns)),
        "has_message": list(callbacks.values_list("message", flat=True)) == [message.pk] * len(callbacks),
        "parts": list(attempt.parts.order_by("pk").values_list("provider_message_id", "reported")),
        "numbers": list(PhoneNumber.objects.filter(number=message.to_number).values_list("status", "reason")),
        "suppressed": list(Suppression.objects.filter(number=message.to_number).values_list("sender", "reason")),
    }


class TestTheEndIsThatOfTwoSteps:
    @pytest.mark.parametrize("status", sorted(OUTBOUND - {Status.SCHEDULED}))
    def test_in_every_status(self, account, now, status, subtests) -> None:
        start = sorted(OUTBOUND).index(status)
        for reported, is_latest in some(list(itertools.product(R, (True, False))), start):
            with subtests.test(reported=reported, is_latest=is_latest):
                ends = []
                for way in (ingest, ingest_in_two_steps):
                    message = message_in(status, attempts=1 if is_latest else 2)
                    attempt = AttemptFactory(message=message, provider=account, provider_message_id="p1")
                    ends.append((way(attempt, report(reported, code="7"), now), facts(attempt)))
                assert ends[0] == ends[1]

    @pytest.mark.parametrize("outcome", DeliveryAttempt.Outcome.values)
    @pytest.mark.parametrize("segments", [1, 2])
    @pytest.mark.parametrize("has_parts", [False, True])
    def test_for_every_outcome(self, account, now, *, outcome, segments, has_parts, subtests) -> None:
        start = DeliveryAttempt.Outcome.values.index(outcome) + segments + 2 * has_parts
        for reported in some((R.SENT, R.DELIVERED, R.UNDELIVERED, R.PROGRESS), start):
            with subtests.test(reported=reported):
                ends = []
                for way in (ingest, ingest_in_two_steps):
                    message = MessageFactory(sending=True, segments=segments)
                    finished = None if outcome == "calling" else now
                    attempt = AttemptFactory(message=message, provider=account, outcome=outcome, finished_at=finished)
                    for part in ("p1", "p2") if has_parts else ():
                        AttemptPart.objects.create(attempt=attempt, provider=account, provider_message_id=part)
                    states = [way(attempt, report(reported, pmid), now) for pmid in ("p1", "p2", "p1")]
                    ends.append((states, facts(attempt)))
                assert ends[0] == ends[1]

    @pytest.mark.parametrize("first", sorted(receipts.TARGETS))
    @pytest.mark.parametrize("segments", [1, 2])
    def test_after_another_receipt(self, account, now, first, segments, subtests) -> None:
        for second in some(sorted(receipts.TARGETS), sorted(receipts.TARGETS).index(first) + segments):
            with subtests.test(second=second):
                ends = []
                for way in (ingest, ingest_in_two_steps):
                    message = MessageFactory(sent=True, segments=segments)
                    attempt = AttemptFactory(message=message, provider=account, provider_message_id="p1")
                    states = [way(attempt, report(each), now) for each in (first, second, first)]
                    ends.append((states, facts(attempt)))
                assert ends[0] == ends[1]


def test_what_is_locked_is_what_is_stored(attempt) -> None:
    found = addressed_receipts._lock(attempt.pk, attempt.provider, ["digest"])

    for row, model in ((found.attempt, DeliveryAttempt), (found.attempt.message, Message)):
        stored = model.objects.get(pk=row.pk)
        names = [field.attname for field in model._meta.concrete_fields if field.attname != "text"]
        assert [getattr(row, name) for name in names] == [getattr(stored, name) for name in names]
        assert [type(getattr(row, name)) for name in names] == [type(getattr(stored, name)) for name in names]
    assert found.attempt.message.get_deferred_fields() == {"text"}


def test_it_is_applied_without_the_second_way(attempt, now, monkeypatch) -> None:
    monkeypatch.setattr(receipts, "record", None)

    assert ingest(attempt, report(R.DELIVERED), now) == "applied"
    assert ingest(attempt, report(R.FAILED), now) == "ignored"
    assert ingest(attempt, report(R.PROGRESS), now) == "ignored"


def test_a_repeat_has_its_first_result_and_changes_nothing(attempt, now, monkeypatch) -> None:
    given = [report(R.DELIVERED), report(R.FAILED)]
    first = [ingest(attempt, each, now) for each in given]
    monkeypatch.setattr(receipts, "record", None)

    assert [ingest(attempt, each, now) for each in given] == first == ["applied", "ignored"]
    assert ProviderCallback.objects.count() == 2
    assert steps(attempt.message) == ["delivered"]


def test_a_repeat_is_known_after_a_change_of_the_secret_key(attempt, now, settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old", []
    ingest(attempt, report(R.DELIVERED), now)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]

    assert ingest(attempt, report(R.DELIVERED), now) == "applied"
    assert ProviderCallback.objects.count() == 1


def test_the_same_bytes_for_two_attempts_are_two_receipts(account, attempt, now) -> None:
    other = AttemptFactory(message=MessageFactory(sent=True), provider=account, provider_message_id="p1")

    assert [ingest(each, report(R.DELIVERED), now) for each in (attempt, other)] == ["applied"] * 2
    assert ProviderCallback.objects.count() == 2


def test_an_attempt_of_another_account_is_not_addressed(attempt, now) -> None:
    other = AccountFactory()

    assert receipts.ingest(
        [report(R.DELIVERED)], account=other, body=b"x", attempt_id=attempt.pk, now=now
    ) == receipts.ingest([report(R.DELIVERED)], account=other, body=b"y", attempt_id=uuid4(), now=now)

    attempt.message.refresh_from_db()
    assert attempt.message.status == "sent"
    assert set(ProviderCallback.objects.values_list("state", "attempt")) == {("unmatched", None)}


def test_callbacks_are_counted_once(attempt, now) -> None:
    for _ in range(2):
        ingest(attempt, report(R.DELIVERED), now)
        ingest(attempt, report(R.FAILED), now)

    counts = {
        (each.provider_slug, each.word): each.count for each in statistics.totals(metrics=(Rollup.Metric.CALLBACK,))
    }
    assert counts == {("acme", "applied"): 1, ("acme", "ignored"): 1}


class TestWhenItFails:
    """Whatever fails, the receipt is stored by itself first, and applied then or by the sweep."""

    def fail_once(self, monkeypatch, where: object, name: str, fault: Exception) -> None:
        real, faults = getattr(where, name), [fault]

        def call(*args: object, **options: object) -> object:
            if faults:
                raise faults.pop()
            return real(*args, **options)

        monkeypatch.setattr(where, name, call)

    @pytest.mark.parametrize(
        "fault", [RuntimeError("x"), IntegrityError("x"), *passing_faults()], ids=lambda fault: type(fault).__name__
    )
    @pytest.mark.parametrize(
        ("where", "name"),
        [
            (addressed_receipts, "_lock"),
            (receipt_effects, "apply_to_message"),
            (transitions, "apply"),
            (receipt_storage, "insert"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_once_it_is_applied_all_the_same(self, attempt, now, monkeypatch, caplog, *, where, name, fault) -> None:
        self.fail_once(monkeypatch, where, name, fault)

        assert ingest(attempt, report(R.DELIVERED), now) == "applied"

        attempt.message.refresh_from_db()
        assert (attempt.message.status, steps(attempt.message)) == ("delivered", ["delivered"])
        assert ProviderCallback.objects.values_list("state", "message").get() == ("applied", attempt.message_id)
        assert type(fault).__name__ in caplog.text
        assert "p1" not in caplog.text

    def test_always_it_is_stored_and_the_sweep_applies_it_later(self, attempt, now, monkeypatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError

        with monkeypatch.context() as patch:
            patch.setattr(transitions, "apply", fail)
            with pytest.raises(RuntimeError):
                ingest(attempt, report(R.DELIVERED), now)

        assert ProviderCallback.objects.values_list("state", "attempt").get() == ("unmatched", attempt.pk)
        attempt.message.refresh_from_db()
        assert (attempt.message.status, steps(attempt.message)) == ("sent", [])
        assert receipts.sweep_parked(now=now) == 1
        attempt.message.refresh_from_db()
        assert (attempt.message.status, steps(attempt.message)) == ("delivered", ["delivered"])

    def test_an_unavailable_database_is_the_callers_matter(self, attempt, now, monkeypatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OperationalError

        monkeypatch.setattr(addressed_receipts, "_lock", fail)
        monkeypatch.setattr(receipts, "record", fail)

        with pytest.raises(OperationalError):
            ingest(attempt, report(R.DELIVERED), now)

    def test_an_identical_one_that_was_stored_meanwhile_is_found(self, attempt, now, monkeypatch) -> None:
        """The other request has stored it, after this one looked for it, and has not applied it yet."""
        real = receipt_effects.apply_to_message

        def apply_late(callback: ProviderCallback, *args: object, **options: object) -> object:
            if callback._state.adding:
                receipts.record(
                    account=attempt.provider, body=b"x", report=report(R.DELIVERED), attempt_id=attempt.pk, now=now
                )
            return real(callback, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(receipt_effects, "apply_to_message", apply_late)
            assert ingest(attempt, report(R.DELIVERED), now, b"x") == "applied"

        assert ProviderCallback.objects.count() == 1
        assert steps(attempt.message) == ["delivered"]


def test_no_text_is_read(attempt, now, monkeypatch) -> None:
    """Its key may be lost, and it may be long."""
    monkeypatch.setattr(models.Model, "refresh_from_db", None)  # reads a deferred field

    assert ingest(attempt, report(R.DELIVERED), now) == "applied"


def test_events_are_in_the_order_of_the_receipts(attempt, now) -> None:
    ingest(attempt, report(R.FAILED), now)
    ingest(attempt, report(R.DELIVERED), now)

    assert list(MessageEvent.objects.order_by("pk").values_list("to_status", flat=True)) == ["failed", "delivered"]
