"""Data migrations that give stored numbers their canonical form."""

from importlib import import_module

import pytest
from django.apps import apps

from providers.models import SenderNumber
from tests.factories import SenderFactory

pytestmark = pytest.mark.django_db
SENDERS = import_module("providers.migrations.0005_senders_of_every_kind")


def test_a_sender_gets_its_canonical_form_and_names_stay() -> None:
    for number in ("+541123456789", "+15005550006", "80888", "ACME"):
        SenderFactory(number=number)

    SENDERS.forwards(apps, None)

    assert set(SenderNumber.objects.values_list("number", flat=True)) == {
        *("+5491123456789", "+15005550006", "80888", "ACME")
    }


def test_a_sender_whose_canonical_form_is_taken_stays() -> None:
    for number in ("+541123456789", "+5491123456789"):
        SenderFactory(number=number)

    SENDERS.forwards(apps, None)

    assert set(SenderNumber.objects.values_list("number", flat=True)) == {"+541123456789", "+5491123456789"}
