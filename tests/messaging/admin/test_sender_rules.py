"""The console's page of senders by country."""

import pytest
from django.test import Client

from messaging.models import CountrySenders, OwnerPolicy
from messaging.services.outbound import sender_rules
from tests.factories import OwnerPolicyFactory, SenderFactory, UserFactory

LIST = "/admin/messaging/countrysenders/"
FORM = {"country": "de", "takes_numbers": "on", "source": "our carrier", "is_enabled": "on", "_reason": "agreed"}


def test_a_country_is_added_changed_and_removed(admin: Client) -> None:
    added = admin.post(f"{LIST}add/", FORM)
    assert added.status_code == 302, added.context["adminform"].form.errors
    row = CountrySenders.objects.get()
    assert (row.country, row.takes_numbers, row.takes_short_codes, row.takes_names) == ("DE", True, False, False)
    assert set(sender_rules.current().rules) == {"DE"}

    admin.post(f"{LIST}DE/change/", {**FORM, "takes_short_codes": "on", "is_enabled": ""})
    assert "numbers, short codes" in admin.get(LIST).content.decode()
    assert sender_rules.current().rules == {}

    admin.post(f"{LIST}DE/delete/", {"post": "yes", "_reason": "over"})
    assert not CountrySenders.objects.exists()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"country": "D1"}, "A country has two capital letters, such as US."),
        ({"takes_numbers": ""}, "A country takes at least one kind of sender."),
        (
            {"takes_short_codes": "on", "takes_names": "on"},
            "A country without a rule takes every kind; remove the rule instead.",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(admin: Client, changes, error: str) -> None:
    page = admin.post(f"{LIST}add/", FORM | changes)

    assert error in page.context["adminform"].form.errors["__all__"]
    assert not CountrySenders.objects.exists()


def test_the_fallback_sender_is_set_on_the_owners_page(admin: Client) -> None:
    policy = OwnerPolicyFactory()
    number, of_other = SenderFactory(owner=policy.owner), SenderFactory(owner=UserFactory())
    page = f"/admin/messaging/ownerpolicy/{policy.owner_id}/change/"

    refused = admin.post(page, {"fallback_sender": of_other.pk, "_reason": "x"})
    assert refused.context["adminform"].form.errors == {"fallback_sender": ["This is not one of the owner's senders."]}
    admin.post(page, {"fallback_sender": number.pk, "_reason": "x"})

    assert OwnerPolicy.objects.get().fallback_sender == number
