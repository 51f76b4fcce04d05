"""What several receipts of one text say together, in every order."""

import itertools
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.models import AttemptPart, Message, MessageEvent, ProviderCallback
from messaging.services.outbound import receipt_results, receipts
from messaging.services.outbound.resolve import resolve
from messaging.services.outbound.retry import retry
from messaging.states import Source, Status
from providers.contract.callbacks import ReportedStatus as R
from providers.contract.callbacks import StatusReport
from providers.state import health
from tests.factories import NOW, AccountFactory, AttemptFactory, EventFactory, MessageFactory, QueueFactory, UserFactory
from tests.generated import examples
from tests.messaging.services.outbound.test_receipts import receive, report, steps

pytestmark = pytest.mark.django_db
FAILURES = [R.UNDELIVERED, R.FAILED, R.CANCELED, R.INVALID, R.OPTED_OUT]


@pytest.fixture
def sent(account):
    """A text of one part that `acme` has accepted as `p1`."""
    return text_of(account, segments=1)


def text_of(account, *, segments: int, parts: Sequence[str] = (), status: str = "sent", **values) -> Message:
    message = MessageFactory(
        status=status, attempts=1, sent_at=NOW, provider=account, provider_message_id="p1", segments=segments, **values
    )
    attempt = AttemptFactory(message=message, provider=account, provider_message_id="p1")
    AttemptPart.objects.bulk_create(
        AttemptPart(attempt=attempt, provider=account, provider_message_id=each) for each in parts
    )
    return message


def facts(message: Message) -> tuple:
    message.refresh_from_db()
    return message.status, message.error_code, message.delivered_at


class TestOnePart:
    @pytest.mark.parametrize("failure", FAILURES)
    def test_a_late_delivery_after_a_failure_is_true(self, account, sent, now, failure) -> None:
        receive(account, report(failure), now=now)
        later = now + timedelta(hours=1)

        kept = receive(account, report(R.DELIVERED), now=later)

        assert (facts(sent), kept.state) == (("delivered", "", later), "applied")
        assert steps(sent)[-1] == "delivered"

    @pytest.mark.parametrize("failure", FAILURES)
    def test_a_failure_after_a_delivery_is_not(self, account, sent, now, failure) -> None:
        receive(account, report(R.DELIVERED), now=now)

        kept = receive(account, report(failure), now=now)

        assert (facts(sent), kept.state) == (("delivered", "", now), "ignored")

    @pytest.mark.parametrize("source", [Source.DISPATCH, Source.SWEEP, Source.OPERATOR, Source.API])
    @pytest.mark.parametrize("status", ["failed", "undelivered", "canceled"])
    def test_it_moves_nothing_that_a_receipt_has_not_ended(self, account, now, source, status: str) -> None:
        message = text_of(account, segments=1, status=status, error_code="undelivered")
        EventFactory(message=message, to_status=status, source=source)

        kept = receive(account, report(R.DELIVERED), now=now)

        assert (facts(message)[0], kept.state) == (status, "ignored")

    def test_it_moves_nothing_that_an_operator_has_resolved(self, account, now) -> None:
        message = text_of(account, segments=1, status="unknown")
        resolve(message_id=message.pk, outcome=Status.FAILED, reason="asked", actor=message.owner, now=now)

        assert receive(account, report(R.DELIVERED), now=now).state == "ignored"

        assert facts(message)[0] == "failed"

    def test_a_retry_by_an_operator_ends_with_a_late_delivery(self, account, sent, now) -> None:
        receive(account, report(R.FAILED), now=now)
        retry(message_id=sent.pk, reason="again", actor=sent.owner, now=now)

        receive(account, report(R.UNDELIVERED), now=now, body=b"late")
        assert facts(sent)[0] == "queued"
        receive(account, report(R.DELIVERED), now=now)

        assert facts(sent)[0] == "delivered"

    def test_the_same_bytes_after_a_retry_are_about_the_new_attempt(self, account, sent, now) -> None:
        """A provider without ids that repeats our message's id, at one address for the whole account."""
        repeated = StatusReport("", R.UNDELIVERED, "no", reference=str(sent.pk))
        receive(account, repeated, now=now)
        retry(message_id=sent.pk, reason="again", actor=sent.owner, now=now)
        later = now + timedelta(minutes=1)
        AttemptFactory(message=sent, provider=account, number=2, started_at=later)
        Message.objects.filter(pk=sent.pk).update(status="sent", sent_at=later, attempts=2)

        kept = [receive(account, repeated, now=later + timedelta(seconds=delay)) for delay in (1, 2)]

        assert (facts(sent)[0], [each.state for each in kept]) == ("undelivered", ["applied", "applied"])
        assert ProviderCallback.objects.count() == 2

    def test_the_delivery_rate_counts_a_repeated_failure_once(self, account, sent, now) -> None:
        for reported in (R.FAILED, R.UNDELIVERED, R.DELIVERED):
            receive(account, report(reported), now=now)

        [minute] = health.windows(["acme"], now=now.timestamp(), minutes=[1])["acme"]
        assert minute.delivery_rate == 0.5

    def test_a_receipt_removes_the_mark_of_a_missing_one(self, account, now) -> None:
        message = text_of(account, segments=1, error_code="receipt_missing", error_detail="none")

        receive(account, report(R.DELIVERED), now=now)

        message.refresh_from_db()
        assert (message.status, message.error_code, message.error_detail) == ("delivered", "", "")


class TestSeveralParts:
    @pytest.mark.parametrize("order", list(itertools.permutations([R.DELIVERED, R.UNDELIVERED])), ids="-".join)
    @pytest.mark.parametrize("by_address", [False, True])
    def test_one_that_is_not_delivered_decides(self, account, now, order, by_address: bool) -> None:
        message = text_of(account, segments=2)
        attempt_id = message.delivery_attempts.get().pk if by_address else None

        for reported in order:
            receive(account, report(reported, "" if by_address else "p1"), now=now, attempt_id=attempt_id)

        assert facts(message) == ("undelivered", "undelivered", None)

    def test_a_delivery_without_parts_is_the_delivery_of_the_text(self, account, now) -> None:
        message = text_of(account, segments=3)

        receive(account, report(R.DELIVERED), now=now)

        assert facts(message) == ("delivered", "", now)

    def test_a_text_whose_parts_have_ids_is_delivered_when_all_are(self, account, now) -> None:
        message = text_of(account, segments=3, parts=["p1", "0xA2", "p3"])

        first, again, second = (
            receive(account, report(R.DELIVERED, given), now=now) for given in ("p1", "0xa2", "162")
        )
        assert facts(message)[0] == "sent"
        assert [each.note for each in (first, again, second)] == ["other parts are to come"] * 3

        receive(account, report(R.DELIVERED, "p3"), now=now)
        assert facts(message) == ("delivered", "", now)
        assert steps(message) == ["delivered"]

    def test_a_part_settles_a_message_without_a_response(self, account, now) -> None:
        message = text_of(account, segments=2, parts=["p1", "p2"], status="unknown")

        receive(account, report(R.DELIVERED, "p2"), now=now)

        assert (facts(message)[0], steps(message)) == ("sent", ["sent"])

    @pytest.mark.parametrize("given", ["", "elsewhere"])
    def test_a_receipt_that_names_no_part_is_about_all(self, account, now, given: str) -> None:
        message = text_of(account, segments=2, parts=["p1", "p2"])
        attempt_id = message.delivery_attempts.get().pk

        receive(account, report(R.DELIVERED, given), now=now, attempt_id=attempt_id)
        assert facts(message)[0] == "delivered"

        receive(account, report(R.FAILED, given), now=now, attempt_id=attempt_id)
        receive(account, report(R.DELIVERED, "p1"), now=now)
        assert facts(message)[0] == "failed"

    def test_a_receipt_before_the_response_waits_for_the_ids_of_the_parts(self, account, now) -> None:
        message = MessageFactory(sending=True, segments=2, provider=account)
        attempt = AttemptFactory(message=message, provider=account, outcome="calling", finished_at=None)

        kept = receive(account, report(R.DELIVERED), now=now, attempt_id=attempt.pk)

        assert (kept.state, kept.note, facts(message)[0]) == ("unmatched", "", "sending")
        assert receipts.sweep_parked(now=now) == 0
        type(attempt).objects.filter(pk=attempt.pk).update(outcome="unknown", finished_at=now)
        assert receipts.sweep_parked(now=now + timedelta(minutes=1)) == 1
        assert facts(message)[0] == "delivered"

    def test_a_failure_of_a_later_attempt_does_not_undo_the_delivery_by_an_earlier_one(self, account, now) -> None:
        other = AccountFactory()
        for order in itertools.permutations([(account, R.DELIVERED), (other, R.FAILED)]):
            message = MessageFactory(sent=True, segments=2, attempts=2, provider=other, provider_message_id="B")
            first = AttemptFactory(message=message, provider=account, outcome="unknown", number=1)
            second = AttemptFactory(message=message, provider=other, number=2)

            for sender, reported in order:
                attempt = first if sender == account else second
                receive(sender, report(reported), now=now, attempt_id=attempt.pk)

            assert facts(message) == ("delivered", "", now)


REPORTS = st.tuples(st.sampled_from([*receipt_results.TARGETS, R.PROGRESS]), st.sampled_from(["p1", "p2", "", "p9"]))


@given(
    segments=st.integers(1, 3),
    parts=st.sampled_from([(), ("p1", "p2"), ("p1", "p2", "p3")]),
    start=st.sampled_from(["sent", "unknown"]),
    shuffled=st.lists(REPORTS, min_size=1, max_size=4, unique=True).flatmap(
        lambda reports: st.tuples(st.just(reports), st.permutations(reports))
    ),
)
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_result_is_the_same_in_every_order(account, segments: int, parts, start: str, shuffled) -> None:
    owner, queue = UserFactory(), QueueFactory()
    results = []
    for reports in shuffled:
        message = text_of(account, segments=segments, parts=parts, status=start, owner=owner, queue=queue)
        attempt_id = message.delivery_attempts.get().pk
        for reported, pmid in reports:
            kept = receive(account, report(reported, pmid), now=NOW, attempt_id=attempt_id)
            assert kept.state in {"applied", "ignored"}
        results.append(facts(message))

    assert results[0] == results[1]
    changes = MessageEvent.objects.filter(message__owner=owner)
    assert set(changes.values_list("source", flat=True)) <= {"receipt"}
