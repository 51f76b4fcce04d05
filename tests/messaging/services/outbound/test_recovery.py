"""Ticks and sweeps: due messages, expiry, lost claims, old rows."""

from datetime import timedelta
from functools import partial

import pytest

from messaging.models import ApiToken, DeliveryAttempt, IdempotencyRecord, Message, MessageEvent, ProviderCallback
from messaging.services.outbound import recovery
from messaging.states import Status
from tests.factories import (
    NOW,
    AttemptFactory,
    CallbackFactory,
    MessageFactory,
    QueueFactory,
    UserFactory,
    make_token,
)
from tests.messaging.parallel import at_once

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def last_change(message) -> tuple[str, str, str, str]:
    [event] = message.events.all()
    return event.from_status, event.to_status, event.source, event.detail


class TestReleaseDue:
    def test_a_due_scheduled_message_is_queued(self, now) -> None:
        message = MessageFactory(status=Status.SCHEDULED, send_at=now, next_attempt_at=now)

        assert recovery.release_due(now=now) == 1

        message.refresh_from_db()
        assert (message.status, message.next_attempt_at) == ("queued", None)
        assert last_change(message) == ("scheduled", "queued", "sweep", "due")

    def test_a_deferred_message_is_ready_again_without_a_transition(self, now) -> None:
        message = MessageFactory(next_attempt_at=now)

        assert recovery.release_due(now=now) == 1

        message.refresh_from_db()
        assert (message.status, message.next_attempt_at) == ("queued", None)
        assert not MessageEvent.objects.exists()

    @pytest.mark.parametrize("status", [Status.QUEUED, Status.SCHEDULED])
    def test_nothing_is_released_early(self, now, status: Status) -> None:
        message = MessageFactory(status=status, next_attempt_at=now + timedelta(microseconds=1))

        assert recovery.release_due(now=now) == 0

        message.refresh_from_db()
        assert (message.status, message.next_attempt_at) == (status, now + timedelta(microseconds=1))

    def test_more_than_one_chunk_is_released(self, now, monkeypatch) -> None:
        monkeypatch.setattr(recovery, "CHUNK", 3)
        MessageFactory.create_batch(5, status=Status.SCHEDULED, next_attempt_at=now)
        MessageFactory.create_batch(2, next_attempt_at=now)

        assert recovery.release_due(now=now) == 7

        assert not Message.objects.filter(next_attempt_at__isnull=False).exists()

    def test_messages_held_until_the_morning_are_released_last(self, now, monkeypatch) -> None:
        """An OTP that is tried again does not wait for a million of them."""
        monkeypatch.setattr(recovery, "CHUNK", 1)
        monkeypatch.setattr(recovery, "MAX_CHUNKS", 2)
        earlier = now - timedelta(minutes=1)
        MessageFactory.create_batch(3, category="marketing", next_attempt_at=earlier, error_code="outside_hours")
        otp = MessageFactory(category="otp", next_attempt_at=now, error_code="provider_unavailable")

        assert recovery.release_due(now=now) == 3

        otp.refresh_from_db()
        assert otp.next_attempt_at is None
        assert Message.objects.filter(next_attempt_at=earlier).count() == 1

    def test_its_work_is_bounded(self, now, monkeypatch) -> None:
        monkeypatch.setattr(recovery, "CHUNK", 1)
        monkeypatch.setattr(recovery, "MAX_CHUNKS", 2)
        MessageFactory.create_batch(3, next_attempt_at=now)

        assert recovery.release_due(now=now) == 2


class TestExpire:
    @pytest.mark.parametrize("deferred", [False, True])
    def test_a_queued_message_fails_when_its_validity_ends(self, now, deferred: bool) -> None:
        later = now + timedelta(hours=1)
        message = MessageFactory(expires_at=now, next_attempt_at=later if deferred else None)

        assert recovery.expire(now=now) == 1

        message.refresh_from_db()
        assert (message.status, message.error_code, message.next_attempt_at) == ("failed", "expired", None)
        assert message.error_detail == "The message was not sent before its validity ended."
        assert last_change(message) == ("queued", "failed", "sweep", "expired")

    def test_the_last_provider_error_stays_readable(self, now) -> None:
        message = MessageFactory(expires_at=now, error_code="provider_unavailable", error_detail="answered 500")

        recovery.expire(now=now)

        message.refresh_from_db()
        assert (message.error_code, message.error_detail) == ("expired", "answered 500")

    def test_messages_of_a_paused_queue_expire_too(self, now) -> None:
        message = MessageFactory(expires_at=now, queue=QueueFactory(name="held", is_paused=True))

        assert recovery.expire(now=now) == 1

        message.refresh_from_db()
        assert message.status == "failed"

    def test_valid_and_already_sent_messages_are_left_alone(self, now) -> None:
        MessageFactory(expires_at=now + SECOND)
        MessageFactory(sent=True, expires_at=now - SECOND)
        MessageFactory(sending=True, expires_at=now - SECOND)

        assert recovery.expire(now=now) == 0

        assert not MessageEvent.objects.exists()


class TestReturnExpiredClaims:
    def test_a_claim_without_a_started_call_is_queued_again(self, now) -> None:
        message = MessageFactory(sending=True, attempts=0, lease_until=now)

        assert recovery.return_expired_claims(now=now) == 1

        message.refresh_from_db()
        assert (message.status, message.claim_id, message.lease_until) == ("queued", None, None)
        assert (message.next_attempt_at, message.error_code) == (None, "")
        assert last_change(message) == ("sending", "queued", "sweep", "the worker ended before the call")

    def test_a_claim_with_a_started_call_becomes_unknown(self, now) -> None:
        attempt = AttemptFactory(open=True, message__lease_until=now)

        assert recovery.return_expired_claims(now=now) == 1

        attempt.refresh_from_db()
        message = attempt.message
        assert (message.status, message.claim_id, message.error_code) == ("unknown", None, "worker_lost")
        assert last_change(message) == ("sending", "unknown", "sweep", "the worker ended during the call")
        assert (attempt.outcome, attempt.error_code, attempt.finished_at) == ("unknown", "worker_lost", now)

    def test_an_earlier_ended_attempt_does_not_count_as_started(self, now) -> None:
        message = MessageFactory(sending=True, lease_until=now)
        AttemptFactory(message=message, outcome=DeliveryAttempt.Outcome.UNAVAILABLE)

        recovery.return_expired_claims(now=now)

        message.refresh_from_db()
        assert message.status == "queued"

    def test_a_running_lease_is_respected(self, now) -> None:
        message = MessageFactory(sending=True, lease_until=now + SECOND)

        assert recovery.return_expired_claims(now=now) == 0

        message.refresh_from_db()
        assert message.status == "sending"
        assert not MessageEvent.objects.exists()

    def test_lost_workers_are_reported_once_without_numbers_or_text(self, now, caplog) -> None:
        attempt = AttemptFactory(open=True, message__lease_until=now)
        MessageFactory(sending=True, lease_until=now)

        recovery.return_expired_claims(now=now)
        recovery.return_expired_claims(now=now)

        [record] = caplog.records
        assert record.getMessage() == "2 claims expired without a result; 1 of them had started a call"
        assert attempt.message.to_number not in record.getMessage()

    @pytest.mark.django_db(transaction=True)
    def test_two_concurrent_sweeps_return_each_claim_once(self, now) -> None:
        queue, owner = QueueFactory(), UserFactory()
        MessageFactory.create_batch(20, sending=True, attempts=0, lease_until=now, queue=queue, owner=owner)

        counts = at_once([partial(recovery.return_expired_claims, now=now)] * 4)

        assert sum(counts) == 20
        assert MessageEvent.objects.count() == 20


class TestPurge:
    def test_only_old_keys_are_deleted(self, now) -> None:
        user = UserFactory()
        for hours, key in ((25, "old"), (23, "young")):
            created = now - timedelta(hours=hours)
            IdempotencyRecord.objects.create(owner=user, key=key, fingerprint="f", created_at=created)

        recovery.purge(now=now)

        assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["young"]

    @pytest.mark.parametrize(("text_days", "kept_for"), [(0, 30), (90, 30), (2, 2)])
    def test_only_callbacks_without_a_message_are_deleted_after_a_month_or_the_text_retention(
        self, now, settings, text_days: int, kept_for: int
    ) -> None:
        settings.RETENTION_TEXT_DAYS = text_days
        older = now - timedelta(days=kept_for, seconds=1)
        for state in ("unmatched", "malformed"):
            CallbackFactory(received_at=older, state=state)
        kept = {CallbackFactory(received_at=now - timedelta(days=kept_for), state="malformed").pk}
        kept |= {CallbackFactory(received_at=older, state=state).pk for state in ("applied", "ignored")}

        recovery.purge(now=now)

        assert set(ProviderCallback.objects.values_list("pk", flat=True)) == kept

    def test_expired_tokens_are_deleted(self) -> None:
        user = UserFactory()
        make_token(user, valid_for=timedelta(hours=1))
        make_token(user)
        present = ApiToken.objects.exclude(expiry=None).get().expiry

        recovery.purge(now=present)
        assert ApiToken.objects.count() == 2
        recovery.purge(now=present + SECOND)

        assert list(ApiToken.objects.values_list("expiry", flat=True)) == [None]

    def test_messages_and_their_history_are_never_purged(self) -> None:
        MessageFactory(delivered=True)
        AttemptFactory()

        recovery.purge(now=NOW + timedelta(days=3650))

        assert Message.objects.count() == 2
        assert DeliveryAttempt.objects.count() == 1
