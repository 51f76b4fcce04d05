"""Which message a receipt is about: our address, our id, the provider's id, and its other spellings."""

from datetime import timedelta
from uuid import uuid4

import pytest

from messaging.models import AttemptPart, DeliveryAttempt, ProviderCallback
from messaging.services.outbound import receipts
from messaging.states import Status
from providers.contract.callbacks import ReportedStatus as R
from providers.contract.callbacks import StatusReport
from tests.factories import AccountFactory, AttemptFactory, MessageFactory
from tests.messaging.services.outbound.test_receipts import receive, report

pytestmark = pytest.mark.django_db


def accepted(account, pmid: str, **values):
    """An attempt that the account has accepted under this id; its message waits for a receipt."""
    message = MessageFactory(**{"sent": True, "provider": account, "provider_message_id": pmid, **values})
    return AttemptFactory(message=message, provider=account, provider_message_id=pmid)


def status_of(attempt) -> str:
    attempt.message.refresh_from_db()
    return attempt.message.status


@pytest.mark.parametrize("given", ["", "another-part", "0x1F", "taken"])
def test_a_receipt_at_the_address_of_an_attempt_is_about_it(account, now, given: str) -> None:
    attempt, other = accepted(account, "p1"), accepted(account, "taken")

    kept = receive(account, report(R.DELIVERED, given), now=now, attempt_id=attempt.pk)

    assert (status_of(attempt), status_of(other), kept.state) == ("delivered", "sent", "applied")
    assert attempt.message.provider_message_id == "p1"


def test_our_own_id_in_place_of_the_providers_is_good(account, now) -> None:
    attempt = accepted(account, "")

    kept = receive(account, report(R.DELIVERED, str(attempt.message_id)), now=now)

    assert (status_of(attempt), attempt.message.provider_message_id, kept.attempt) == ("delivered", "", attempt)


@pytest.mark.parametrize("pmid", ["", "p1", "taken"])
def test_our_id_outranks_the_providers(account, now, pmid: str) -> None:
    attempt, other = accepted(account, "p1"), accepted(account, "taken")
    given = StatusReport(pmid, status=R.DELIVERED, raw_status="ok", reference=str(attempt.message_id))

    receive(account, given, now=now)

    assert (status_of(attempt), status_of(other)) == ("delivered", "sent")


def test_our_id_names_the_latest_attempt_at_the_account_that_may_be_accepted(account, now) -> None:
    message = MessageFactory(sent=True, attempts=3)
    AttemptFactory(message=message, provider=account, number=1)
    latest = AttemptFactory(message=message, provider=account, number=2)
    AttemptFactory(message=message, provider=account, number=3, outcome="unavailable")

    kept = receive(account, report(R.DELIVERED, str(message.pk)), now=now)

    assert (kept.state, kept.attempt) == ("applied", latest)


def test_our_id_of_another_accounts_message_is_no_match(account, now) -> None:
    attempt = accepted(AccountFactory(), "p1")

    for given in (str(attempt.message_id), str(uuid4())):
        assert receive(account, report(R.DELIVERED, given), now=now).state == "unmatched"
    assert status_of(attempt) == "sent"


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("0x123", "123"),
        ("0x123", "291"),
        ("0x1A2B", "0000006699"),
        ("6699", "0x1a2b"),
        ("6699", "00001A2B"),
        ("abc-DEF", "ABC-def"),
        ("7", "0000000007"),
    ],
)
def test_another_spelling_of_the_id_is_matched_within_the_account(account, now, written: str, given: str) -> None:
    attempt, foreign = accepted(account, written), accepted(AccountFactory(), written)

    kept = receive(account, report(R.DELIVERED, given), now=now)

    assert (kept.state, status_of(attempt), status_of(foreign)) == ("applied", "delivered", "sent")


def test_the_id_as_written_goes_before_other_spellings(account, now) -> None:
    exact, alike = accepted(account, "1f"), accepted(account, "0x1F")

    receive(account, report(R.DELIVERED, "1f"), now=now)

    assert (status_of(exact), status_of(alike)) == ("delivered", "sent")


def test_a_number_that_shows_no_base_is_never_taken_for_another(account, now) -> None:
    other = accepted(account, "3039")  # 12345 in hexadecimal; the response with 12345 was lost

    kept = receive(account, report(R.DELIVERED, "12345"), now=now)
    receipts.sweep_parked(now=now + timedelta(minutes=2))

    kept.refresh_from_db()
    assert (kept.state, status_of(other)) == ("unmatched", "sent")


@pytest.mark.parametrize("given", ["6699", "1A2B", "0x1a2b", "é"])
@pytest.mark.parametrize("is_part", [False, True])
@pytest.mark.parametrize("swept", [False, True])
def test_an_early_receipt_is_matched_when_the_id_is_stored(
    account, now, given: str, is_part: bool, swept: bool
) -> None:
    kept = receive(account, report(R.UNDELIVERED, given), now=now)
    assert kept.state == "unmatched"
    written = given if given == "é" else "1a2b"
    attempt = accepted(account, "first" if is_part else written)
    rows: list = [attempt]
    if is_part:
        rows.append(AttemptPart.objects.create(attempt=attempt, provider=account, provider_message_id=written))

    if swept:
        receipts.sweep_parked(now=now + timedelta(seconds=61))
    else:
        receipts.match_parked(rows, now=now)

    kept.refresh_from_db()
    assert (kept.state, status_of(attempt)) == ("applied", "undelivered")


@pytest.mark.parametrize("named", [False, True])
def test_a_receipt_that_was_stored_but_not_applied_is_swept(account, now, named: bool) -> None:
    attempt = accepted(account, "p1")
    given = report(R.DELIVERED, "" if named else "p1")
    receipts.record(account=account, body=b"x", report=given, attempt_id=attempt.pk if named else None, now=now)

    assert receipts.sweep_parked(now=now) == 1

    assert status_of(attempt) == "delivered"


def test_a_parked_receipt_is_looked_at_a_few_times(account, now, django_assert_num_queries) -> None:
    kept = receive(account, report(R.DELIVERED, "p1"), now=now)

    looks = []
    for minutes in (0, 0, 1, 9, 10, 119, 120, 1440, 2880):
        before = kept.match_at
        receipts.sweep_parked(now=now + timedelta(minutes=minutes))
        kept.refresh_from_db()
        if kept.match_at != before:
            looks.append(minutes)

    assert (looks, kept.match_at) == ([0, 1, 10, 120, 1440], None)
    with django_assert_num_queries(1):
        receipts.sweep_parked(now=now + timedelta(days=9))


def test_looking_at_many_parked_receipts_takes_as_many_queries_as_one(account, now, django_assert_num_queries) -> None:
    for count in (1, 5):
        for number in range(count):
            receive(account, report(R.DELIVERED, f"foreign-{count}-{number}"), now=now)

        with django_assert_num_queries(4):
            assert receipts.sweep_parked(now=now) == 0


class TestAnIdThatIsUsedAgain:
    def test_each_message_gets_its_own_receipt_by_its_address(self, account, now) -> None:
        first, second = accepted(account, "same"), accepted(account, "same")

        receive(account, report(R.FAILED, "same"), now=now, attempt_id=second.pk, body=b"x")
        assert (status_of(first), status_of(second)) == ("sent", "failed")

        receive(account, report(R.DELIVERED, "same"), now=now, attempt_id=first.pk, body=b"y")
        assert (status_of(first), status_of(second)) == ("delivered", "failed")

    def test_the_same_bytes_at_two_addresses_are_two_receipts(self, account, now) -> None:
        attempts = [accepted(account, "same"), accepted(account, "same")]

        for attempt in attempts * 2:
            receive(account, report(R.DELIVERED, "same"), now=now, attempt_id=attempt.pk, body=b"x")

        assert [status_of(each) for each in attempts] == ["delivered", "delivered"]
        assert ProviderCallback.objects.count() == 2

    def test_without_an_address_it_is_the_one_that_waits(self, account, now) -> None:
        waits, delivered = accepted(account, "same"), accepted(account, "same", delivered=True, sent=False)

        receive(account, report(R.FAILED, "same"), now=now)

        assert (status_of(waits), status_of(delivered)) == ("failed", "delivered")

    def test_the_same_bytes_after_a_new_message_are_its_receipt(self, account, now) -> None:
        first = accepted(account, "same")
        receive(account, report(R.DELIVERED, "same"), now=now, body=b"x")
        second = accepted(account, "same")
        type(second).objects.filter(pk=second.pk).update(started_at=now + timedelta(hours=1))

        for _ in range(3):
            receive(account, report(R.DELIVERED, "same"), now=now + timedelta(hours=2), body=b"x")

        assert (status_of(first), status_of(second)) == ("delivered", "delivered")
        assert ProviderCallback.objects.count() == 2
        assert second.message.events.count() == 1

    def test_several_that_wait_are_not_guessed(self, account, now) -> None:
        attempts = [accepted(account, "same"), accepted(account, "same")]

        kept = receive(account, report(R.DELIVERED, "same"), now=now)

        assert [status_of(each) for each in attempts] == ["sent", "sent"]
        assert (kept.state, kept.note) == ("unmatched", "several messages that wait for a receipt have this id")
        assert receipts.sweep_parked(now=now) == 0
        receipts.match_parked(attempts, now=now)
        assert [status_of(each) for each in attempts] == ["sent", "sent"]

    def test_a_message_whose_receipt_is_missing_does_not_stand_in_the_way(self, account, now) -> None:
        old, new = accepted(account, "same", error_code="receipt_missing"), accepted(account, "same")

        receive(account, report(R.DELIVERED, "same"), now=now)

        assert (status_of(old), status_of(new)) == ("sent", "delivered")

    def test_a_message_that_ended_long_ago_leaves_the_receipt_to_the_next_one(self, account, now) -> None:
        later = now + timedelta(hours=73)
        old = accepted(account, "same", sent=False, status=Status.FAILED)
        kept = receive(account, report(R.DELIVERED, "same"), now=later)
        assert (kept.state, kept.note, receipts.sweep_parked(now=later)) == ("unmatched", "", 0)

        new = accepted(account, "same")
        receipts.match_parked([new], now=later)

        assert (status_of(old), status_of(new)) == ("failed", "delivered")


class TestSeveralReportsOfOneRequest:
    def ingest(self, account, now, *reports: StatusReport, attempt_id=None) -> list[str]:
        return receipts.ingest(reports, account=account, body=b"[...]", attempt_id=attempt_id, now=now)

    def test_each_is_kept_and_applied_and_the_request_again_changes_nothing(self, account, now) -> None:
        attempts = [accepted(account, pmid) for pmid in ("p1", "p2")]
        given = [
            report(R.DELIVERED, "p1"),
            report(R.FAILED, "p2"),
            report(R.DELIVERED, "p3"),
            report(R.DELIVERED, "p1"),
        ]

        for _ in range(2):
            states = self.ingest(account, now, *given)

            assert states == ["applied", "applied", "unmatched", "ignored"]
            assert ProviderCallback.objects.count() == 4
        assert [status_of(each) for each in attempts] == ["delivered", "failed"]
        assert [each.message.events.count() for each in attempts] == [1, 1]

    def test_the_stored_row_is_about_one_message_only(self, account, now) -> None:
        self.ingest(account, now, report(R.DELIVERED, "p1"), report(R.FAILED, "p2"))

        bodies = ProviderCallback.objects.order_by("pk").values_list("body", flat=True)
        assert ["p1" in body for body in bodies] == [True, False]
        assert ["p2" in body for body in bodies] == [False, True]

    def test_none_is_stored_if_one_cannot_be(self, account, now) -> None:
        broken = StatusReport("p2", R.DELIVERED, raw_status=None)  # type: ignore[arg-type]  # breaks the contract

        with pytest.raises(TypeError):
            self.ingest(account, now, report(R.DELIVERED, "p1"), broken)

        assert not ProviderCallback.objects.exists()

    def test_at_the_address_of_one_message_the_others_get_theirs(self, account, now) -> None:
        first, second, third = (accepted(account, pmid) for pmid in ("p1", "p2", ""))
        third_report = StatusReport("p3", R.FAILED, "no", reference=str(third.message_id))

        self.ingest(account, now, report(R.DELIVERED, "p1"), report(R.FAILED, "p2"), third_report, attempt_id=first.pk)

        assert [status_of(each) for each in (first, second, third)] == ["delivered", "failed", "failed"]

    def test_at_the_address_of_one_message_its_parts_are_its_own(self, account, now) -> None:
        attempt, taken = accepted(account, "p1", segments=2), accepted(account, "p1")

        self.ingest(account, now, report(R.DELIVERED, "p1"), report(R.FAILED, "p2"), attempt_id=attempt.pk)

        assert (status_of(attempt), status_of(taken)) == ("failed", "sent")

    def test_at_an_address_whose_own_id_is_not_known_each_of_several_ids_waits(self, account, now) -> None:
        attempt = accepted(account, "")

        states = self.ingest(account, now, report(R.SENT, "x1"), report(R.DELIVERED, "x2"), attempt_id=attempt.pk)

        assert (states, status_of(attempt)) == (["unmatched", "unmatched"], "sent")

    def test_several_reports_with_one_id_are_about_the_message_of_the_address(self, account, now) -> None:
        attempt = accepted(account, "")

        states = self.ingest(account, now, report(R.SENT, "x1"), report(R.DELIVERED, "x1"), attempt_id=attempt.pk)

        assert (states, status_of(attempt)) == (["ignored", "applied"], "delivered")

    @pytest.mark.parametrize("reported", [R.DELIVERED, R.FAILED])
    def test_at_the_address_of_one_message_another_ones_waits_for_its_response(self, account, now, reported) -> None:
        first, second = accepted(account, "p1"), accepted(account, "")

        states = self.ingest(account, now, report(R.SENT, "P1"), report(reported, "p2"), attempt_id=first.pk)

        assert (states, status_of(first)) == (["ignored", "unmatched"], "sent")
        DeliveryAttempt.objects.filter(pk=second.pk).update(provider_message_id="p2")
        second.refresh_from_db()
        receipts.match_parked([second], now=now)
        assert (status_of(first), status_of(second)) == ("sent", reported)
