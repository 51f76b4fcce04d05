"""The console's pages of hours: rules, their switches, own rules, and what waits for which hour."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from messaging.models import HoursRevision, HoursRule
from messaging.services import installation
from tests.factories import NOW, HoursRuleFactory, MessageFactory, UserFactory

pytestmark = pytest.mark.django_db
LIST = "/admin/messaging/hoursrule/"
FORM = {
    "id": "at-evening",
    "name": "Evenings in Austria",
    "countries_text": "at, de",
    "prefixes_text": "+4989",
    "for_categories": ["marketing", "transactional"],
    "weekdays": "09:00-20:00",
    "saturday": "10:00-18:00",
    "sunday": "closed",
    "holidays": "AT",
    "effective_from": "2026-12-01",
    "effective_until": "",
    "source": "Our works council",
    "_reason": "agreed",
}


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


def test_the_list_shows_the_shipped_rules_in_words(admin: Client) -> None:
    installation.install()

    page = admin.get(LIST).content.decode()

    assert "Mon-Sat 09:00-21:00, Sun 12:00-21:00" in page
    assert "Mon-Sat 08:00-22:00, Sun closed; closed on holidays of FR" in page
    assert "47 CFR" in page
    assert "+1210, +1214, +1254, +1281, +1325, +1346 and 22 more" in page


def test_a_shipped_rule_is_only_switched(admin: Client) -> None:
    installation.install()
    HoursRevision.objects.update(changed_at=NOW)

    page = admin.get(f"{LIST}us-tx/change/").content.decode()
    refused = admin.post(f"{LIST}us-tx/change/", FORM)
    admin.post(LIST, {"action": "switch_off_selected", "_selected_action": "us-tx", "reason": "no Texans"})

    assert ('name="weekdays"' in page, refused.status_code) == (False, 403)
    rule = HoursRule.objects.get(pk="us-tx")
    assert (rule.is_enabled, rule.name) == (False, "Telephone solicitation in Texas")
    assert HoursRevision.objects.get().changed_at > NOW
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Switch off. Reason: no Texans"]
    assert admin.post(f"{LIST}us-tx/delete/", {"post": "yes", "_reason": "x"}).status_code == 403


def test_an_own_rule_is_added_changed_and_removed(admin: Client) -> None:
    added = admin.post(f"{LIST}add/", FORM)
    assert added.status_code == 302, added.context["adminform"].form.errors
    rule = HoursRule.objects.get()
    assert (rule.pk, rule.countries, rule.prefixes) == ("at-evening", ["AT", "DE"], ["+4989"])
    assert (rule.categories, rule.holidays, rule.source) == (["marketing", "transactional"], "AT", "Our works council")
    assert rule.hours_in_words == "Mon-Fri 09:00-20:00, Sat 10:00-18:00, Sun closed"
    assert (rule.is_enabled, rule.is_shipped, f"{rule.effective_from}") == (True, False, "2026-12-01")

    shown = admin.get(f"{LIST}at-evening/change/").context["adminform"].form
    assert [shown[name].value() for name in ("countries_text", "weekdays", "sunday")] == [
        "AT, DE",
        "09:00-20:00",
        "closed",
    ]
    admin.post(f"{LIST}at-evening/change/", FORM | {"sunday": "12:00-14:00"})
    assert HoursRule.objects.get().hours[6] == [[720, 840]]

    admin.post(f"{LIST}at-evening/delete/", {"post": "yes", "_reason": "over"})
    assert not HoursRule.objects.exists()
    assert LogEntry.objects.count() == 3


@pytest.mark.parametrize(
    ("changes", "field", "error"),
    [
        ({"weekdays": "21:00-08:00"}, "weekdays", "The hours end before they begin."),
        ({"sunday": "never"}, "sunday", "Write hours such as 09:00-21:00, or closed."),
        ({"countries_text": "Austria"}, "__all__", "at-evening: A country has two capital letters, such as FR."),
        ({"prefixes_text": "0043"}, "__all__", "at-evening: A prefix has a plus sign and digits, such as +1512."),
        ({"holidays": "XX"}, "__all__", "at-evening: There is no calendar of holidays XX."),
        ({"effective_until": "2026-11-01"}, "__all__", "The last day comes before the first."),
        ({"for_categories": []}, "for_categories", "This field is required."),
        ({"weekdays": "closed", "saturday": "closed"}, "__all__", "at-evening: Give hours for at least one day."),
    ],
)
def test_a_rule_that_cannot_be_meant_is_not_stored(admin: Client, changes, field: str, error: str) -> None:
    page = admin.post(f"{LIST}add/", FORM | changes)

    assert page.context["adminform"].form.errors[field] == [error]
    assert not HoursRule.objects.exists()


def test_what_waits_for_which_hour(admin: Client) -> None:
    HoursRuleFactory()
    reason = "Held until 09:00 America/Chicago (23 Nov): marketing hours, rule us-tx."
    waiting = {"error_code": "outside_hours", "error_detail": reason, "next_attempt_at": NOW + timedelta(hours=30)}
    MessageFactory.create_batch(2, **waiting)
    MessageFactory(error_code="no_route", next_attempt_at=NOW)

    page = admin.get(f"{LIST}held/")
    found = admin.get("/admin/messaging/message/?waits=hours")

    assert [(group.reason, group.count) for group in page.context["groups"]] == [(reason, 2)]
    assert "23 Nov 2026 15:00" in page.content.decode()
    assert "/admin/messaging/message/?waits=hours" in page.content.decode()
    assert {row.error_code for row in found.context["cl"].result_list} == {"outside_hours"}
    assert len(found.context["cl"].result_list) == 2


def test_nothing_waits(admin: Client) -> None:
    assert "No message waits for its hour." in admin.get(f"{LIST}held/").content.decode()
