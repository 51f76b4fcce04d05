"""Alert receivers in the console."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from messaging.models import AlertNotice, AlertReceiver
from messaging.sealing import unseal
from messaging.services.alerts.hooks import PURPOSE
from tests.factories import HOOK_SECRET, AlertNoticeFactory, AlertReceiverFactory, QueueFactory, UserFactory

pytestmark = pytest.mark.django_db

LIST = "/admin/messaging/alertreceiver/"
ADD = f"{LIST}add/"
NEW_SECRET = "v1,whsec_YW5vdGhlciBzZWNyZXQgb2YgdGhlIGhvb2s="
REASON = {"_reason": "a test"}


def page_of(row: AlertReceiver) -> str:
    return f"{LIST}{row.pk}/change/"


def form(**values: object) -> dict[str, object]:
    return {
        "name": "ops",
        "kind": "alerts",
        "owner": UserFactory().pk,
        "recipients_text": "+1 (415) 555-0101\n\n+14155550102, +14155550101",
        "sender": "Switchboard",
        "template": "{status} {alerts}",
        "max_segments": 2,
        "max_per_minute": 10,
        "sends_resolved": "on",
        **values,
    }


def hook_form(**values: object) -> dict[str, object]:
    return form(kind="supabase", recipients_text="", template="Code: {otp}", new_secret=HOOK_SECRET, **values)


def test_a_receiver_is_added(admin: Client) -> None:
    queue = QueueFactory(name="alerts")

    assert admin.post(ADD, form(queue=queue.pk)).status_code == 302

    row = AlertReceiver.objects.get()
    assert (row.name, row.kind, row.recipients) == ("ops", "alerts", ["+14155550101", "+14155550102"])
    assert (row.sender, row.queue, row.template) == ("Switchboard", queue, "{status} {alerts}")
    assert (row.max_segments, row.max_per_minute, row.sends_resolved, row.secret) == (2, 10, True, "")


def test_a_change_needs_a_reason_and_is_in_the_audit_log(admin: Client) -> None:
    row = AlertReceiverFactory(name="ops")
    changed = form(owner=row.owner_id, recipients_text="+14155550109")

    assert admin.post(page_of(row), changed).status_code == 200
    assert admin.post(page_of(row), {**changed, **REASON}).status_code == 302

    row.refresh_from_db()
    assert row.recipients == ["+14155550109"]
    entry = LogEntry.objects.get()
    assert "Reason: a test" in entry.change_message
    assert "415" not in entry.change_message


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "taken"}, "name"),
        ({"recipients_text": ""}, "recipients_text"),
        ({"recipients_text": "4155550101"}, "recipients_text"),
        ({"recipients_text": "\n".join(f"+141555501{number:02}" for number in range(51))}, "recipients_text"),
        ({"sender": "a name that is much too long"}, "sender"),
        ({"template": "{otp}"}, "template"),
        ({"template": "{"}, "template"),
        ({"template": "x" * 1531}, "template"),
        ({"max_segments": 0}, "max_segments"),
        ({"max_segments": 11}, "max_segments"),
        ({"max_per_minute": 0}, "max_per_minute"),
        ({"max_per_minute": 61}, "max_per_minute"),
        ({"new_secret": HOOK_SECRET}, "new_secret"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(admin: Client, values: dict[str, object], field: str) -> None:
    AlertReceiverFactory(name="taken")

    page = admin.post(ADD, form(**values))

    assert set(page.context["adminform"].form.errors) == {field}
    assert AlertReceiver.objects.count() == 1


class TestHooks:
    def test_the_secret_is_stored_sealed_and_never_shown(self, admin: Client) -> None:
        assert admin.post(ADD, hook_form()).status_code == 302

        row = AlertReceiver.objects.get()
        assert (row.kind, row.recipients, row.template) == ("supabase", [], "Code: {otp}")
        assert HOOK_SECRET not in row.secret
        assert unseal(PURPOSE, row.secret) == HOOK_SECRET
        for path in (LIST, page_of(row), "/admin/admin/logentry/"):
            shown = admin.get(path).content.decode()
            assert "ops" in shown
            assert "whsec_c2" not in shown
            assert row.secret not in shown

    def test_an_empty_secret_leaves_the_stored_one(self, admin: Client) -> None:
        row = AlertReceiverFactory(hook=True)
        changed = {**hook_form(owner=row.owner_id), **REASON, "new_secret": ""}

        assert admin.post(page_of(row), changed).status_code == 302
        before = row.secret
        row.refresh_from_db()
        assert (row.secret, row.template) == (before, "Code: {otp}")

        admin.post(page_of(row), {**changed, "new_secret": NEW_SECRET})
        row.refresh_from_db()
        assert unseal(PURPOSE, row.secret) == NEW_SECRET

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"new_secret": ""}, "new_secret"),
            ({"new_secret": "whsec_nonsense"}, "new_secret"),
            ({"new_secret": "v1,whsec_="}, "new_secret"),
            ({"new_secret": f"{HOOK_SECRET}|"}, "new_secret"),
            ({"new_secret": "|".join([HOOK_SECRET] * 5)}, "new_secret"),
            ({"template": "no password"}, "template"),
            ({"template": "{alertname} {otp}"}, "template"),
            ({"recipients_text": "+14155550101"}, "recipients_text"),
        ],
    )
    def test_what_cannot_be_is_refused_at_its_field(self, admin: Client, values, field: str) -> None:
        page = admin.post(ADD, {**hook_form(), **values})

        assert set(page.context["adminform"].form.errors) == {field}
        assert "nonsense" not in page.content.decode()
        assert not AlertReceiver.objects.exists()

    def test_its_kind_cannot_be_changed(self, admin: Client) -> None:
        row = AlertReceiverFactory(hook=True)

        admin.post(page_of(row), {**form(owner=row.owner_id), **REASON, "template": "{otp}"})

        row.refresh_from_db()
        assert (row.kind, row.recipients) == ("supabase", [])


def test_a_receiver_is_deleted_with_what_is_held_for_it(admin: Client) -> None:
    row = AlertNoticeFactory(is_held=True, counts={"HighLoad": 1}).channel.receiver

    assert admin.post(f"{LIST}{row.pk}/delete/", {"post": "yes", **REASON}).status_code == 302

    assert not AlertReceiver.objects.exists()
    assert not AlertNotice.objects.exists()


def test_who_may_only_view_sees_no_numbers(staff) -> None:
    row = AlertReceiverFactory(recipients=["+14155550101", "+14155550102"])
    client = staff("messaging.view_alertreceiver")

    for path in (LIST, page_of(row)):
        shown = client.get(path).content.decode()
        assert row.name in shown
        assert "415555" not in shown
    assert client.get(ADD).status_code == 403
    assert client.get(page_of(AlertReceiverFactory(hook=True))).status_code == 200
