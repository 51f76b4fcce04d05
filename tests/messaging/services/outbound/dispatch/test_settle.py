"""Saving the results of calls."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import DeliveryAttempt, Message, PhoneNumber, Suppression
from messaging.services.outbound import receipts, recovery
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.settle import settle as settle_with
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.errors import (
    CredentialsRefused,
    OutcomeUnknown,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Rejected,
    Unavailable,
)
from tests.factories import AccountFactory, AttemptFactory, MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, MIDDLE, result_of, results_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
SECOND = timedelta(seconds=1)


def start(now, limit: int = 16):
    claimed = claim(queue_name="express", limit=limit, now=now, lease=LEASE)
    return start_attempts(claimed, now=now, lease=LEASE)


def settle(results, now):
    return settle_with(results, now=now, lease=LEASE, position=lambda: MIDDLE)


@pytest.fixture
def call(account, now):
    """One message in flight at `acme`, the only account."""
    MessageFactory(from_number="")
    [call] = start(now)
    return call


def outcome_of(call) -> tuple[Message, DeliveryAttempt]:
    return Message.objects.get(pk=call.message.pk), DeliveryAttempt.objects.get(pk=call.attempt_id)


def test_accepted_is_sent_with_the_providers_id(call, now) -> None:
    assert settle([result_of(call, "p1")], now + SECOND) == []

    message, attempt = outcome_of(call)
    assert (message.status, message.provider_id, message.provider_message_id) == ("sent", "acme", "p1")
    assert (message.sent_at, message.claim_id, message.lease_until) == (now + SECOND, None, None)
    assert (attempt.outcome, attempt.provider_message_id, attempt.latency_ms) == ("accepted", "p1", 7)
    assert (attempt.finished_at, attempt.error_code) == (now + SECOND, "")
    event = message.events.last()
    assert (event.from_status, event.to_status, event.source, event.provider_slug) == (
        "sending",
        "sent",
        "dispatch",
        "acme",
    )


def test_accepted_without_an_id_is_sent(call, now) -> None:
    settle([result_of(call, "")], now)

    message, attempt = outcome_of(call)
    assert (message.status, message.provider_message_id, attempt.outcome) == ("sent", "", "accepted")


def test_the_accounts_own_number_becomes_the_messages_sender(now) -> None:
    AccountFactory(config={"url": "http://127.0.0.1:9/", "from_number": "+15005550042"})
    named, unnamed = MessageFactory(), MessageFactory(from_number="")

    settle(results_of(start(now)), now)

    named.refresh_from_db()
    unnamed.refresh_from_db()
    assert (named.from_number, unnamed.from_number) == ("+15005550006", "+15005550042")


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (Rejected("no", code="too_rude"), "failed", "rejected"),
        (RecipientOptedOut("no"), "failed", "rejected"),
        (RecipientInvalid("no"), "failed", "rejected"),
        (OutcomeUnknown("lost"), "unknown", "unknown"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_final_error_ends_the_message_with_its_reason(call, now, error, status: str, outcome: str) -> None:
    assert settle([result_of(call, error)], now) == []

    message, attempt = outcome_of(call)
    assert (message.status, message.error_code, message.error_detail) == (status, error.error_code, error.detail)
    assert (message.claim_id, message.sent_at) == (None, None)
    assert (attempt.outcome, attempt.error_code, attempt.error_detail) == (outcome, error.error_code, error.detail)
    assert message.events.last().detail == error.error_code


def test_only_an_invalid_recipient_becomes_inactive(account, now) -> None:
    errors = [RecipientInvalid("x"), RecipientOptedOut("x"), Rejected("x"), OutcomeUnknown("x"), Unavailable("x")]
    MessageFactory.create_batch(len(errors))
    calls = start(now)

    settle([result_of(call, error) for call, error in zip(calls, errors, strict=True)], now)

    inactive = PhoneNumber.objects.get(status="inactive")
    assert (inactive.number, inactive.reason) == (calls[0].message.to_number, "acme: recipient_invalid")


class TestFailover:
    def test_after_an_opt_out_during_the_call_the_next_account_is_not_tried(self, call, now) -> None:
        AccountFactory(slug="other")
        to = call.message.to_number
        Suppression.objects.create(number=to, sender="", source="keyword", created_at=now)

        assert settle([result_of(call, Unavailable("busy"))], now) == []

        message, attempt = outcome_of(call)
        assert (message.status, message.error_code) == ("failed", "recipient_opted_out")
        assert (message.attempts, attempt.outcome) == (1, "unavailable")

    @pytest.mark.parametrize("error", [Unavailable, RateLimited, CredentialsRefused], ids=lambda e: e.__name__)
    def test_the_next_account_is_tried_at_once(self, call, now, error) -> None:
        AccountFactory(slug="other")

        [following] = settle([result_of(call, error("down"))], now + SECOND)

        message, attempt = outcome_of(call)
        assert (following.account.slug, following.number, following.round.tried) == ("other", 2, {"acme", "other"})
        assert (following.round.claim_id, message.claim_id) == (call.round.claim_id, call.round.claim_id)
        assert (message.status, message.attempts, message.provider_id) == ("sending", 2, "other")
        assert message.lease_until == now + SECOND + LEASE
        assert (attempt.outcome, attempt.error_code) == ("unavailable", error.code)
        assert DeliveryAttempt.objects.get(outcome="calling").pk == following.attempt_id
        assert message.rounds_failed == 0

    def test_an_account_that_does_not_serve_the_number_is_not_tried(self, call, now) -> None:
        AccountFactory(config={"url": "http://127.0.0.1:9/", "allowed_prefixes": ["+49"]})
        AccountFactory(weight=0)
        AccountFactory(is_enabled=False)

        assert settle([result_of(call, Unavailable("down"))], now) == []
        assert Message.objects.get().status == "queued"

    def test_the_error_of_an_earlier_account_is_removed_from_an_accepted_message(self, call, now) -> None:
        AccountFactory(slug="other")
        [following] = settle([result_of(call, Unavailable("down"))], now)

        settle([result_of(following)], now)

        message, _ = outcome_of(call)
        assert (message.status, message.error_code, message.error_detail) == ("sent", "", "")


class TestDeferral:
    @pytest.mark.parametrize(("failed_before", "seconds"), list(enumerate([5, 30, 120, 600, 1800])))
    def test_when_all_accounts_failed_the_table_decides(self, call, now, failed_before: int, seconds: float) -> None:
        Message.objects.update(rounds_failed=failed_before)

        assert settle([result_of(call, Unavailable("down", code="http_500"))], now) == []

        message, _ = outcome_of(call)
        assert (message.status, message.next_attempt_at) == ("queued", now + timedelta(seconds=seconds))
        assert (message.rounds_failed, message.claim_id) == (failed_before + 1, None)
        assert (message.error_code, message.error_detail) == ("http_500", "down")
        assert message.events.last().detail == "http_500: down"

    def test_after_the_last_round_it_fails_with_the_reason(self, call, now) -> None:
        Message.objects.update(rounds_failed=5)

        settle([result_of(call, Unavailable("down", code="http_500"))], now)

        message, _ = outcome_of(call)
        assert (message.status, message.rounds_failed, message.next_attempt_at) == ("failed", 6, None)
        assert (message.error_code, message.error_detail) == ("http_500", "down")
        assert message.events.last().detail == "http_500: down"

    def test_a_message_that_expires_before_its_next_round_fails_now(self, call, now) -> None:
        Message.objects.update(expires_at=now + timedelta(seconds=5))

        settle([result_of(call, Unavailable("down"))], now)

        message, _ = outcome_of(call)
        assert (message.status, message.next_attempt_at) == ("failed", None)
        assert message.events.last().detail == "expires first; provider_unavailable: down"

    def test_retry_after_takes_precedence_over_the_table(self, call, now) -> None:
        settle([result_of(call, RateLimited("slow down", retry_after=77))], now)

        assert Message.objects.get().next_attempt_at == now + timedelta(seconds=77)

    @pytest.mark.parametrize(
        ("retry_afters", "seconds"),
        [
            ((77, 11), 11),
            ((11, 77), 11),
            ((3600, None), 5),
            ((None, 3600), 5),
            ((None, None), 5),
            ((0, 3600), 5),
            ((77, 0), 5),
        ],
    )
    def test_the_earliest_retry_after_of_the_round_decides(self, call, now, retry_afters, seconds: float) -> None:
        AccountFactory(slug="other")
        first, second = (Unavailable("down", retry_after=value) for value in retry_afters)
        [following] = settle([result_of(call, first)], now)

        settle([result_of(following, second)], now)

        assert Message.objects.get().next_attempt_at == now + timedelta(seconds=seconds)

    def test_an_account_without_retry_after_means_the_usual_delay(self, call, now) -> None:
        AccountFactory.create_batch(2)
        calls = [call]

        for retry_after in (600, None, 900):
            calls = settle([result_of(calls[0], RateLimited("slow down", retry_after=retry_after))], now)

        assert Message.objects.get().next_attempt_at == now + timedelta(seconds=5)

    def test_retry_after_of_an_earlier_round_is_not_used(self, call, now) -> None:
        settle([result_of(call, RateLimited("slow down", retry_after=3600))], now)
        later = now + timedelta(seconds=3600)
        recovery.release_due(now=later)
        [again] = start(later)

        settle([result_of(again, Unavailable("down"))], later)

        assert Message.objects.get().next_attempt_at == later + timedelta(seconds=5)

    def test_the_next_round_may_try_all_accounts_again(self, call, now) -> None:
        settle([result_of(call, Unavailable("down"))], now)
        later = now + timedelta(seconds=5)
        recovery.release_due(now=later)

        [again] = start(later)

        assert (again.account.slug, again.number, again.round.tried) == ("acme", 2, {"acme"})


def test_the_cost_of_settling_does_not_grow_with_the_batch(now) -> None:
    AccountFactory.create_batch(2)
    errors = [None, "dup", Unavailable("x"), OutcomeUnknown("x"), RecipientInvalid("x")]

    costs = []
    for times in (1, 4):
        MessageFactory.create_batch(5 * times)
        calls = start(now, limit=5 * times)
        results = [result_of(call, error) for call, error in zip(calls, errors * times, strict=True)]
        with CaptureQueriesContext(connection) as queries:
            following = settle(results, now)
        assert len(following) == times
        costs.append(len(queries))

    assert costs[0] == costs[1]


def test_the_cost_of_failing_over_and_deferring_does_not_grow_either(now) -> None:
    AccountFactory.create_batch(2)

    costs = []
    for size in (5, 20):
        MessageFactory.create_batch(size)
        calls = start(now, limit=size)
        with CaptureQueriesContext(connection) as first:
            following = settle(results_of(calls, Unavailable("x")), now)
        with CaptureQueriesContext(connection) as second:
            assert settle(results_of(following, Unavailable("x")), now) == []
        assert len(following) == size
        costs.append((len(first), len(second)))

    assert costs[0] == costs[1]


def test_an_id_that_another_message_has_is_a_conflict(call, now, caplog) -> None:
    AttemptFactory(provider=call.account, provider_message_id="taken")

    settle([result_of(call, "taken")], now)

    message, attempt = outcome_of(call)
    assert (message.status, message.provider_message_id) == ("sent", "")
    assert (attempt.outcome, attempt.provider_message_id) == ("accepted", "")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_the_same_id_twice_in_one_batch_stays_with_the_first(account, now) -> None:
    MessageFactory.create_batch(2)
    first, second = start(now)

    settle([result_of(first, "same"), result_of(second, "same")], now)

    assert list(Message.objects.order_by("pk").values_list("status", "provider_message_id")) == [
        ("sent", "same"),
        ("sent", ""),
    ]


def test_the_same_id_of_another_account_is_no_conflict(call, now) -> None:
    AttemptFactory(provider_message_id="same")

    settle([result_of(call, "same")], now)

    assert outcome_of(call)[0].provider_message_id == "same"


def test_a_receipt_that_came_before_the_result_is_applied_with_it(call, now) -> None:
    report = StatusReport("p1", status=ReportedStatus.DELIVERED, word="delivered")
    receipts.record(account=call.account, body=b"x", report=report, attempt_id=None, now=now)

    settle([result_of(call, "p1")], now)

    message, _ = outcome_of(call)
    assert message.status == "delivered"
    assert list(message.events.values_list("to_status", flat=True)) == ["sending", "sent", "delivered"]
