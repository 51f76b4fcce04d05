"""Active and inactive numbers."""

from datetime import timedelta

import pytest

from messaging.models import PhoneNumber
from messaging.services.recipients import phone_numbers
from tests.factories import NOW, PhoneNumberFactory

pytestmark = pytest.mark.django_db
A, B, C = "+14155550101", "+14155550102", "+14155550103"


def rows() -> dict:
    return {row.number: (row.status, row.reason, row.changed_at) for row in PhoneNumber.objects.all()}


def test_known_and_unknown_numbers_become_inactive_with_their_reasons(now) -> None:
    PhoneNumberFactory(number=A)
    PhoneNumberFactory(number=C)

    phone_numbers.mark_inactive({A: "one", B: "two"}, now=now)

    assert rows() == {A: ("inactive", "one", now), B: ("inactive", "two", now), C: ("active", "", None)}


def test_the_first_reason_stays(now) -> None:
    phone_numbers.mark_inactive({A: "first"}, now=now)

    phone_numbers.mark_inactive({A: "second"}, now=now + timedelta(days=1))

    assert rows() == {A: ("inactive", "first", now)}


def test_a_number_that_was_activated_again_can_become_inactive_again(now) -> None:
    PhoneNumberFactory(number=A, reason="activated by hand", changed_at=NOW)

    phone_numbers.mark_inactive({A: "gone"}, now=now + timedelta(days=1))

    assert rows() == {A: ("inactive", "gone", now + timedelta(days=1))}


def test_a_long_reason_is_cut(now) -> None:
    phone_numbers.mark_inactive({A: "x" * 500}, now=now)

    assert rows()[A][1] == "x" * 200


def test_no_numbers_cost_nothing(now, django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        phone_numbers.mark_inactive({}, now=now)


@pytest.mark.parametrize("status", ["active", "inactive"])
def test_an_operator_decides_with_a_reason(now, status: str) -> None:
    PhoneNumberFactory(number=A, inactive=status == "active")

    phone_numbers.set_status(number=A, status=status, reason="because", now=now)

    assert rows() == {A: (status, "because", now)}


def test_an_unknown_number_raises(now) -> None:
    with pytest.raises(PhoneNumber.DoesNotExist):
        phone_numbers.set_status(number=A, status="inactive", reason="r", now=now)

    assert rows() == {}
