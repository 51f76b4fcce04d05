"""The console's pages of prefixes, velocity limits and SMS pumping: what staff enter holds, and is in the audit log."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client

from messaging.models import PrefixRule, PumpingAlert, VelocityLimit
from messaging.services.installation import OPERATOR
from messaging.services.limits import rules
from tests.factories import NOW, UserFactory
from tests.installed import install

pytestmark = pytest.mark.django_db
SATELLITE = "+881612345678"


@pytest.fixture
def console(client: Client) -> Client:
    install()
    user = UserFactory(is_staff=True)
    user.groups.add(Group.objects.get(name=OPERATOR))
    client.force_login(user)
    return client


def test_a_prefix_is_allowed_and_blocked_again(console: Client) -> None:
    assert rules.current().prefixes.blocked(SATELLITE, None)
    form = {"prefix": "+881", "country": "", "is_allowed": "on", "owner": "", "reason": "our ships"}
    assert console.post("/admin/messaging/prefixrule/add/", form).status_code == 302
    row = PrefixRule.objects.get()
    assert rules.current().prefixes.blocked(SATELLITE, None) == ""
    assert "our ships" in LogEntry.objects.get().change_message

    console.post(f"/admin/messaging/prefixrule/{row.pk}/delete/", {"post": "yes", "_reason": "sold", "reason": "sold"})
    assert not PrefixRule.objects.exists()
    assert rules.current().prefixes.blocked(SATELLITE, None)


@pytest.mark.parametrize(
    "changes", [{"prefix": "881"}, {"country": "FR"}, {"prefix": ""}, {"reason": ""}, {"prefix": "+49"}]
)
def test_a_rule_that_cannot_be_meant_is_not_saved(console: Client, changes: dict[str, str]) -> None:
    PrefixRule.objects.create(prefix="+49", is_allowed=False, changed_at=NOW)
    form = {"prefix": "+881", "country": "", "owner": "", "reason": "x", **changes}
    assert console.post("/admin/messaging/prefixrule/add/", form).status_code == 200
    assert PrefixRule.objects.count() == 1


def test_limits_are_entered_once_for_all_and_hold(console: Client) -> None:
    path = "/admin/messaging/velocitylimit/add/"
    form = {"owner": "", "recipient_per_hour": "5", "_reason": "a loop of a client"}
    assert console.post(path, form).status_code == 302
    assert rules.current().limits_of(7).recipient_per_hour == 5
    assert console.post(path, form).status_code == 200
    owner = UserFactory()
    assert console.post(path, {**form, "owner": owner.pk, "recipient_of_all_per_hour": "5"}).status_code == 200
    assert VelocityLimit.objects.count() == 1


def test_an_alert_is_held_released_and_blocked_by_buttons(console: Client) -> None:
    alert = PumpingAlert.objects.create(prefix="+62812", since=NOW, last_seen_at=NOW)

    def act(name: str) -> PumpingAlert:
        data = {"action": name, "_selected_action": [alert.pk], "confirmed": "1", "reason": "fraud"}
        assert console.post("/admin/messaging/pumpingalert/", data).status_code == 302
        return PumpingAlert.objects.get()

    assert act("hold_selected").is_holding
    assert rules.current().held == {"+62812"}
    assert not act("release_selected").is_holding
    assert act("block_selected").acknowledged_by is not None
    assert rules.current().prefixes.blocked("+6281234567890", None)
    assert LogEntry.objects.count() == 3
