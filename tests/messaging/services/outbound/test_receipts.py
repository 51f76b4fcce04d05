"""Receipts: stored first, applied by rank, never lost."""

from datetime import timedelta

import pytest

from messaging.models import Message, PhoneNumber, ProviderCallback
from messaging.services.outbound import receipts
from messaging.states import Status
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.state import health
from tests.factories import AccountFactory, AttemptFactory, CallbackFactory, MessageFactory

pytestmark = pytest.mark.django_db
R = ReportedStatus


def report(status: ReportedStatus, pmid: str = "p1", code: str = "") -> StatusReport:
    return StatusReport(pmid, status=status, raw_status=f"word-{status}", error_code=code)


def receive(account, given: StatusReport, *, now, attempt_id=None, body: bytes | None = None) -> ProviderCallback:
    body = body or f"{given.provider_message_id} {given.status}".encode()
    kept = receipts.record(account=account, body=body, report=given, attempt_id=attempt_id, now=now)
    receipts.apply(kept.pk, now=now)
    kept.refresh_from_db()
    return kept


@pytest.fixture
def sent(account):
    """A message that `acme` has accepted as `p1`."""
    message = MessageFactory(sent=True, provider=account, provider_message_id="p1")
    AttemptFactory(message=message, provider=account, provider_message_id="p1")
    return message


def steps(message) -> list[str]:
    return list(message.events.values_list("to_status", flat=True))


def test_a_delivered_receipt_sets_the_delivery_time(account, sent, now) -> None:
    later = now + timedelta(seconds=9)

    kept = receive(account, report(R.DELIVERED), now=later)

    sent.refresh_from_db()
    assert (sent.status, sent.delivered_at, sent.sent_at, sent.error_code) == ("delivered", later, now, "")
    assert (kept.state, kept.message, kept.note) == ("applied", sent, "")
    [event] = sent.events.all()
    assert (event.source, event.provider_slug, event.detail) == ("receipt", "acme", "acme reported word-delivered")


def test_an_identical_callback_is_found_after_a_change_of_the_secret_key(account, sent, now, settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old", []
    first = receive(account, report(R.DELIVERED), now=now)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]

    assert receive(account, report(R.DELIVERED), now=now) == first
    settings.SECRET_KEY_FALLBACKS = []
    assert receive(account, report(R.DELIVERED), now=now).digest != first.digest


@pytest.mark.parametrize(
    ("reported", "status", "code"),
    [
        (R.UNDELIVERED, "undelivered", "undelivered"),
        (R.FAILED, "failed", "failed_by_provider"),
        (R.CANCELED, "canceled", "canceled_by_provider"),
        (R.INVALID, "undelivered", "recipient_invalid"),
        (R.OPTED_OUT, "undelivered", "recipient_opted_out"),
    ],
)
def test_a_failed_delivery_has_its_reason(sent, now, reported, status: str, code: str) -> None:
    receive(sent.provider, report(reported, code="30003"), now=now)

    sent.refresh_from_db()
    assert (sent.status, sent.error_code, sent.delivered_at) == (status, code, None)
    assert sent.error_detail == f"acme reported word-{reported} (30003)"


@pytest.mark.parametrize("reported", [r for r in R if r is not R.INVALID])
def test_only_invalid_makes_the_number_inactive(account, sent, now, reported) -> None:
    receive(account, report(reported), now=now)

    assert not PhoneNumber.objects.filter(status="inactive").exists()


def test_invalid_makes_the_number_inactive_with_the_reason(account, sent, now) -> None:
    receive(account, report(R.INVALID), now=now)

    number = PhoneNumber.objects.get(number=sent.to_number)
    assert (number.status, number.reason, number.changed_at) == ("inactive", "acme: recipient_invalid", now)


@pytest.mark.parametrize("final", ["delivered", "undelivered", "failed", "canceled"])
@pytest.mark.parametrize("reported", sorted(receipts.TARGETS))
def test_no_receipt_changes_a_final_status(account, now, final: str, reported) -> None:
    message = MessageFactory(status=final, attempts=1, delivered_at=now)
    AttemptFactory(message=message, provider=account, provider_message_id="p1")

    kept = receive(account, report(reported), now=now)

    message.refresh_from_db()
    assert (message.status, steps(message), kept.state) == (final, [], "ignored")
    assert kept.note == f"the message is {final} already"


def test_the_same_receipt_twice_is_one_row_and_one_transition(account, sent, now) -> None:
    first = receive(account, report(R.DELIVERED), now=now)
    second = receive(account, report(R.DELIVERED), now=now + timedelta(hours=1))

    assert first.pk == second.pk
    assert ProviderCallback.objects.count() == 1
    sent.refresh_from_db()
    assert (sent.delivered_at, steps(sent)) == (now, ["delivered"])


def test_the_same_bytes_from_two_accounts_are_two_receipts(account, sent, now) -> None:
    other = AccountFactory()
    message = MessageFactory(sent=True)
    AttemptFactory(message=message, provider=other, provider_message_id="p1")

    receive(account, report(R.DELIVERED), now=now)
    receive(other, report(R.DELIVERED), now=now)

    assert set(Message.objects.values_list("status", flat=True)) == {"delivered"}


def test_an_id_matches_only_attempts_of_its_account(account, sent, now) -> None:
    kept = receive(AccountFactory(), report(R.DELIVERED), now=now)

    sent.refresh_from_db()
    assert (sent.status, kept.state) == ("sent", "unmatched")


@pytest.mark.parametrize("reported", [R.PROGRESS, R.UNRECOGNIZED])
def test_a_report_without_a_target_status_changes_nothing(account, sent, now, reported) -> None:
    kept = receive(account, report(reported), now=now)

    sent.refresh_from_db()
    assert (sent.status, steps(sent), kept.state) == ("sent", [], "ignored")


def test_an_unrecognized_status_is_logged_without_its_text(account, sent, now, caplog) -> None:
    receive(account, StatusReport("p1", status=R.UNRECOGNIZED, raw_status="+14155550101"), now=now)

    [record] = [record for record in caplog.records if record.name == "messaging.services.outbound.receipt_effects"]
    assert record.levelname == "WARNING"
    assert "acme" in record.getMessage()
    assert "+14155550101" not in record.getMessage()
    assert "p1" not in record.getMessage()


def test_an_early_receipt_is_parked_and_the_sweep_matches_it(account, now) -> None:
    message = MessageFactory(sent=True)
    kept = receive(account, report(R.DELIVERED), now=now)
    assert (kept.state, kept.message) == ("unmatched", None)

    AttemptFactory(message=message, provider=account, provider_message_id="p1")
    matched = receipts.sweep_parked(now=now + timedelta(seconds=5))

    message.refresh_from_db()
    kept.refresh_from_db()
    assert (matched, message.status, kept.state, kept.message) == (1, "delivered", "applied", message)
    assert receipts.sweep_parked(now=now) == 0


def test_parked_receipts_are_applied_in_order_of_arrival(account, now) -> None:
    message = MessageFactory(status=Status.UNKNOWN, attempts=1)
    for reported in (R.SENT, R.DELIVERED):
        receive(account, report(reported), now=now)

    attempt = AttemptFactory(message=message, provider=account, provider_message_id="p1")
    receipts.match_parked([attempt], now=now)

    assert steps(message) == ["sent", "delivered"]


def test_an_unmatched_receipt_stays_and_costs_the_sweep_one_query(account, now, django_assert_num_queries) -> None:
    CallbackFactory.create_batch(5, provider=account)

    with django_assert_num_queries(1):
        assert receipts.sweep_parked(now=now) == 0

    assert ProviderCallback.objects.filter(state="unmatched").count() == 5


def test_malformed_bytes_are_stored_with_replacement_characters(account, now) -> None:
    body = b"\x00\xff\xfeabc"

    kept = receipts.record(account=account, body=body, report=None, attempt_id=None, now=now)

    assert (kept.state, kept.body) == ("malformed", "\ufffd\ufffd\ufffdabc")


def test_a_receipt_that_becomes_parseable_is_not_lost(account, sent, now) -> None:
    """The account's configuration was wrong and is corrected, and the provider sends the same bytes again."""
    receipts.record(account=account, body=b"same", report=None, attempt_id=None, now=now)

    kept = receive(account, report(R.DELIVERED), now=now, body=b"same")

    sent.refresh_from_db()
    assert (sent.status, kept.state) == ("delivered", "applied")
    assert ProviderCallback.objects.count() == 1


def test_long_provider_statuses_are_cut(account, now) -> None:
    given = StatusReport("p1", status=R.UNRECOGNIZED, raw_status="w" * 65, error_code="e" * 65)

    kept = receipts.record(account=account, body=b"x", report=given, attempt_id=None, now=now)

    assert (kept.word, kept.error_code) == ("w" * 64, "e" * 64)


def test_receipts_determine_the_accounts_delivery_rate(account, now) -> None:
    words = [R.DELIVERED, R.DELIVERED, R.DELIVERED, R.UNDELIVERED, R.INVALID, R.OPTED_OUT, R.PROGRESS]
    for place, word in enumerate(words):
        message = MessageFactory(sent=True, provider=account, provider_message_id=f"p{place}")
        AttemptFactory(message=message, provider=account, provider_message_id=f"p{place}")
        receive(account, report(word, f"p{place}"), now=now)
    receive(account, report(R.FAILED, "p0"), now=now)

    [minute] = health.windows(["acme"], now=now.timestamp(), minutes=[1])["acme"]
    assert minute.delivery_rate == 0.75


def test_an_ingested_receipt_is_stored_and_applied(account, sent, now) -> None:
    states = receipts.ingest(
        [report(R.DELIVERED)], account=account, body=b"id:p1 stat:DELIVRD", attempt_id=None, now=now
    )

    assert states == ["applied"]
    sent.refresh_from_db()
    assert sent.status == "delivered"
    assert ProviderCallback.objects.values_list("body", "state").get() == ("id:p1 stat:DELIVRD", "applied")


def test_an_ingested_receipt_of_an_unknown_id_is_stored_until_the_id_is_known(account, sent, now) -> None:
    states = receipts.ingest([report(R.DELIVERED, "p2")], account=account, body=b"x", attempt_id=None, now=now)

    assert states == ["unmatched"]
    sent.refresh_from_db()
    assert sent.status == "sent"
    assert ProviderCallback.objects.values_list("state", flat=True).get() == "unmatched"


def test_a_receipt_is_stored_even_when_applying_it_fails(account, sent, now, monkeypatch) -> None:
    def fail(*_args, **_options) -> None:
        raise RuntimeError

    monkeypatch.setattr(receipts, "apply", fail)

    with pytest.raises(RuntimeError):
        receipts.ingest([report(R.DELIVERED)], account=account, body=b"x", attempt_id=None, now=now)
    assert ProviderCallback.objects.values_list("state", flat=True).get() == "unmatched"
