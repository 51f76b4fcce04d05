"""Senders in the console: numbers, short codes and names."""

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from providers.models import SenderNumber
from tests.factories import SenderFactory, UserFactory
from tests.messaging.admin.conftest import Staff

pytestmark = pytest.mark.django_db
ADD = "admin:providers_sendernumber_add"


@pytest.mark.parametrize(
    ("written", "stored"), [("+1 (500) 555-0006", "+15005550006"), ("80888", "80888"), (" Acme 24/7 ", "Acme 24/7")]
)
def test_a_sender_of_any_kind_can_be_added(admin, written: str, stored: str) -> None:
    owner = UserFactory()

    assert admin.post(reverse(ADD), {"number": written, "owner": owner.pk}).status_code == 302

    sender = SenderNumber.objects.get()
    assert (sender.number, sender.owner, str(sender)) == (stored, owner, stored)
    sender.full_clean()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("15005550006", "international notation"),
        ("ABCDEFGHIJKL", "at most 11 characters"),
        ("+15550101", "cannot exist"),
        ("+1 500 555 0007", "already exists"),
    ],
)
def test_what_cannot_be_a_sender_is_refused_with_the_reason(admin, written: str, words: str) -> None:
    SenderFactory(number="+15005550007")

    page = admin.post(reverse(ADD), {"number": written})

    assert page.status_code == 200
    assert words in page.content.decode()
    assert SenderNumber.objects.count() == 1


def test_a_name_can_be_given_to_one_owner_or_to_all_but_not_twice(admin) -> None:
    SenderFactory(number="ACME", owner=UserFactory())

    refused = admin.post(reverse(ADD), {"number": "ACME", "owner": UserFactory().pk})
    other = admin.post(reverse(ADD), {"number": "Acme"})

    assert "already exists" in refused.content.decode()
    assert other.status_code == 302
    assert set(SenderNumber.objects.values_list("number", flat=True)) == {"ACME", "Acme"}


def test_the_form_says_what_can_be_written(admin) -> None:
    assert "a short code (3 to 8 digits), or a name" in admin.get(reverse(ADD)).content.decode()


def test_a_member_of_staff_without_the_permission_to_change_only_reads(staff: Staff) -> None:
    sender = SenderFactory(number="ACME")

    page = staff("providers.view_sendernumber").get(reverse("admin:providers_sendernumber_change", args=[sender.pk]))

    assert page.status_code == 200
    assert "ACME" in page.content.decode()


@pytest.mark.parametrize("number", ["", "ABCDEFGHIJKL", "+123456", "+1500555000x"])
def test_the_database_refuses_what_is_no_sender(number: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        SenderNumber.objects.create(number=number)
