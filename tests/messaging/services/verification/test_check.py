"""Checking codes: counted exactly, and right once."""

from datetime import timedelta

import pytest

from messaging.models import Message, Verification, VerificationCount
from messaging.services.errors import VerificationEnded
from messaging.services.privacy import erasure
from messaging.services.verification import check as checks
from messaging.services.verification import sweep
from tests.factories import NOW, AccountFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.verification.making import begin, code_of, wrong

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]


@pytest.fixture
def row(db) -> Verification:
    return begin(UserFactory()).verification


def check(row: Verification, code: str, *, seconds: float = 1) -> tuple[str, bool]:
    result = checks.check(verification_id=row.pk, code=code, now=NOW + timedelta(seconds=seconds))
    return result.verification.status, result.is_valid


def test_the_right_code_approves_once(row) -> None:
    assert check(row, code_of(row)) == ("approved", True)

    with pytest.raises(VerificationEnded):
        check(row, code_of(row))
    row.refresh_from_db()
    assert (row.tries, row.ended_at) == (1, NOW + timedelta(seconds=1))


def test_after_five_wrong_codes_the_right_one_is_not_valid(row) -> None:
    code = code_of(row)

    found = [check(row, wrong(code, step)) for step in range(1, 6)]

    assert found == [("pending", False)] * 4 + [("max_attempts_reached", False)]
    assert check(row, code) == ("max_attempts_reached", False)
    assert Verification.objects.get().tries == 5


def test_the_fifth_try_may_be_right(row) -> None:
    code = code_of(row)
    for step in range(1, 5):
        check(row, wrong(code, step))

    assert check(row, code) == ("approved", True)


@pytest.mark.parametrize("code", ["0000", "1234567890"])
def test_a_code_of_another_length_counts_as_wrong(row, code: str) -> None:
    assert check(row, code) == ("pending", False)
    assert Verification.objects.get().tries == 1


def test_an_expired_code_is_not_valid_before_and_after_the_sweep(row) -> None:
    other = begin(UserFactory()).verification
    assert check(row, code_of(row), seconds=600) == ("expired", False)

    assert sweep.expire(now=NOW + timedelta(seconds=600)) == 1
    assert check(other, code_of(other), seconds=600) == ("expired", False)
    assert set(Verification.objects.values_list("status", "tries")) == {("expired", 0)}


def test_a_canceled_one_is_not_valid_and_cannot_be_canceled_again(row) -> None:
    checks.cancel(verification_id=row.pk, now=NOW)

    assert check(row, code_of(row)) == ("canceled", False)
    with pytest.raises(VerificationEnded):
        checks.cancel(verification_id=row.pk, now=NOW)


def test_after_a_rotation_the_code_that_was_sent_stays_right(row, settings) -> None:
    code, old = code_of(row), settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new key", [old]

    assert check(row, code) == ("approved", True)


def test_without_the_key_no_code_is_right(row, settings) -> None:
    code = code_of(row)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new key", []

    assert check(row, code) == ("pending", False)


def test_an_approval_is_counted_at_the_account_that_sent_the_code(row) -> None:
    account = AccountFactory(slug="acme")
    Message.objects.update(status="sent", provider=account)

    check(row, code_of(row), seconds=500)

    assert list(VerificationCount.objects.order_by("provider_slug").values_list(
        "hour", "prefix", "provider_slug", "started", "approved"
    )) == [(NOW, "+1415", "", 0, 0), (NOW, "+1415", "acme", 1, 1)]  # fmt: skip


def test_the_sweep_counts_what_was_sent_at_its_account_once(row) -> None:
    account = AccountFactory(slug="acme")
    begin(UserFactory(), to="+4915112345678")
    Message.objects.filter(to_number=row.to_number).update(status="unknown", provider=account)

    assert [sweep.attribute(now=NOW), sweep.attribute(now=NOW)] == [1, 0]
    check(row, code_of(row))

    assert set(VerificationCount.objects.values_list("prefix", "provider_slug", "started", "approved")) == {
        ("+1415", "", 0, 0), ("+1415", "acme", 1, 1), ("+49151", "", 1, 0),
    }  # fmt: skip


def test_old_verifications_are_deleted_and_pending_ones_are_not(row, settings) -> None:
    settings.VERIFY_RETENTION_DAYS = 7
    checks.cancel(verification_id=row.pk, now=NOW)
    kept = begin(UserFactory(), now=NOW + timedelta(days=1)).verification

    sweep.purge(now=NOW + timedelta(days=7, seconds=1))

    assert [each.pk for each in Verification.objects.all()] == [kept.pk]


@pytest.mark.django_db(transaction=True)
def test_twenty_wrong_checks_at_once_are_five_tries(row) -> None:
    code = code_of(row)

    found = at_once([lambda step=step: check(row, wrong(code, step)) for step in range(1, 21)])

    assert sorted(found) == [("max_attempts_reached", False)] * 16 + [("pending", False)] * 4
    assert Verification.objects.get().tries == 5
    assert check(row, code) == ("max_attempts_reached", False)


@pytest.mark.django_db(transaction=True)
def test_of_many_right_checks_at_once_one_is_valid(row) -> None:
    code = code_of(row)

    found = at_once([lambda: check(row, code)] * 10)

    assert found.count(("approved", True)) == 1, found
    assert sum(isinstance(result, VerificationEnded) for result in found) == 9, found
    assert VerificationCount.objects.get().approved == 1


def test_the_erasure_of_a_person_deletes_its_verifications(row) -> None:
    kept = begin(UserFactory(), to="+4915112345678").verification
    person = row.to_number

    erasure.erase(number=person, reason="asked", actor=UserFactory(), now=NOW)

    assert [each.pk for each in Verification.objects.all()] == [kept.pk]
    with pytest.raises(Verification.DoesNotExist):
        check(row, "123456")
