"""The console's pages of owners' quiet hours."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from messaging.models import OwnerPolicy
from tests.factories import OwnerPolicyFactory, UserFactory

LIST = "/admin/messaging/ownerpolicy/"
FORM = {"quiet_from": "21:00", "quiet_until": "08:00", "default_time_zone": "Europe/Berlin", "_reason": "agreed"}


def test_they_are_set_changed_and_removed(admin: Client) -> None:
    owner = UserFactory(username="shop")

    added = admin.post(f"{LIST}add/", {**FORM, "owner": owner.pk})
    assert added.status_code == 302, added.context["adminform"].form.errors
    policy = OwnerPolicy.objects.get()
    assert (policy.owner, policy.quiet_in_words, policy.default_time_zone) == (owner, "21:00-08:00", "Europe/Berlin")
    assert policy.effective_at is not None
    page = admin.get(LIST).content.decode()
    assert all(word in page for word in ("shop", "21:00-08:00", "Europe/Berlin"))
    assert 'value="21:00"' in admin.get(f"{LIST}{owner.pk}/change/").content.decode()

    admin.post(
        f"{LIST}{owner.pk}/change/", {"quiet_from": "", "quiet_until": "", "default_time_zone": "", "_reason": "x"}
    )

    policy.refresh_from_db()
    assert (policy.quiet_in_words, policy.default_time_zone) == ("", "")
    assert LogEntry.objects.count() == 2
    assert admin.post(f"{LIST}{owner.pk}/delete/", {"post": "yes", "_reason": "x"}).status_code == 403


def test_one_owner_has_one(admin: Client) -> None:
    policy = OwnerPolicyFactory()

    page = admin.post(f"{LIST}add/", {**FORM, "owner": policy.owner_id})

    assert "owner" in page.context["adminform"].form.errors
    assert OwnerPolicy.objects.get().default_time_zone == ""


@pytest.mark.parametrize(
    ("changes", "field", "error"),
    [
        ({"quiet_until": ""}, "quiet_until", "Set the beginning and the end of quiet hours, or neither."),
        ({"quiet_from": ""}, "quiet_from", "Set the beginning and the end of quiet hours, or neither."),
        ({"quiet_until": "21:00"}, "quiet_until", "Quiet hours end at another time than they begin."),
        ({"quiet_until": "08:00:30"}, "quiet_until", "Quiet hours begin and end with a whole minute."),
        ({"default_time_zone": "Berlin"}, "default_time_zone", "There is no time zone of this name."),
    ],
)
def test_what_cannot_be_meant_is_refused_at_its_field(admin: Client, changes, field: str, error: str) -> None:
    page = admin.post(f"{LIST}add/", {**FORM, "owner": UserFactory().pk, **changes})

    assert page.context["adminform"].form.errors[field] == [error]
    assert not OwnerPolicy.objects.exists()


def test_nothing_changes_without_a_reason(admin: Client) -> None:
    policy = OwnerPolicyFactory()

    admin.post(f"{LIST}{policy.owner_id}/change/", {**FORM, "_reason": ""})

    policy.refresh_from_db()
    assert policy.default_time_zone == ""
