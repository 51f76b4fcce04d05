"""The next account at once, or the next round later."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import DeliveryAttempt, Message, Suppression
from messaging.services.outbound import recovery
from providers.errors import CredentialsRefused, RateLimited, Unavailable
from tests.factories import AccountFactory, MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, result_of, results_of
from tests.messaging.services.outbound.dispatch.test_settle import SECOND, outcome_of, settle, start

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]


@pytest.fixture
def call(account, now):
    """One message in flight at `acme`, the only account."""
    MessageFactory(from_number="")
    [call] = start(now)
    return call


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
