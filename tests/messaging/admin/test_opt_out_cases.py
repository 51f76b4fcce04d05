"""The console's opt-out cases, and opt-outs that staff enter."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from messaging.models import OptOutCase, Suppression
from messaging.services import installation
from tests.factories import MessageFactory, UserFactory

pytestmark = pytest.mark.django_db
LIST = "/admin/messaging/optoutcase/"
PERSON, OURS = "+14155550101", "+15005550006"
FORM = {
    "number": PERSON,
    "sender": "",
    "channel": "letter",
    "requested_at": "2026-11-03T10:00",
    "note": "folder 7",
    "reason": "asked by letter",
}


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


def open_case(number: str = PERSON, *, due_in: int = 5, **changes) -> OptOutCase:
    now = timezone.now()
    values = {"sender": OURS, "senders": [OURS], "text": "please stop", "opened_at": now}
    return OptOutCase.objects.create(number=number, due_at=now + timedelta(days=due_in), **values, **changes)


def test_open_cases_are_listed_by_their_deadline_and_overdue_ones_marked(admin: Client) -> None:
    open_case("+14155550101", due_in=5)
    open_case("+14155550102", due_in=-1)
    open_case("+14155550103", decision="dismissed", decided_at=timezone.now())

    page = admin.get(LIST).content.decode()

    assert page.index("+14155550102") < page.index("+14155550101")
    assert "overdue" in page
    assert "please stop" in page
    assert "+14155550103" not in page
    assert "+14155550103" in admin.get(f"{LIST}?state=dismissed").content.decode()
    assert "+14155550101" not in admin.get(f"{LIST}?state=overdue").content.decode()


def test_several_cases_are_suppressed_together(admin: Client) -> None:
    cases = [open_case(), open_case("+14155550102")]
    chosen = [str(case.pk) for case in cases]

    admin.post(LIST, {"action": "suppress_selected", "_selected_action": chosen, "reason": "clear"})

    assert set(Suppression.objects.values_list("number", "source", "channel")) == {
        (PERSON, "admin", "text"),
        ("+14155550102", "admin", "text"),
    }
    assert set(OptOutCase.objects.values_list("decision", "note")) == {("suppressed", "clear")}
    assert LogEntry.objects.filter(change_message="Suppress. Reason: clear").count() == 2


def test_a_case_is_dismissed_with_a_note(admin: Client) -> None:
    case = open_case()

    admin.post(LIST, {"action": "dismiss_selected", "_selected_action": [str(case.pk)], "reason": "a song"})

    case.refresh_from_db()
    assert (case.decision, case.note) == ("dismissed", "a song")
    assert not Suppression.objects.exists()


def test_its_page_has_the_words_and_leads_to_the_conversation_and_back(admin: Client) -> None:
    message = MessageFactory(inbound=True, from_number=PERSON, to_number=OURS)
    case = open_case(message=message)

    page = admin.get(f"{LIST}{case.pk}/change/").content.decode()

    assert "please stop" in page
    assert f"/admin/messaging/message/{message.pk}/change/" in page
    assert f"{LIST}{case.pk}/change/" in admin.get(f"/admin/messaging/message/{message.pk}/change/").content.decode()


def test_a_viewer_sees_cases_without_words_and_cannot_decide_them() -> None:
    installation.install()
    user = UserFactory(is_staff=True)
    user.groups.add(Group.objects.get(name=installation.VIEWER))
    client = Client()
    client.force_login(user)
    case = open_case()

    page = client.get(f"{LIST}{case.pk}/change/").content.decode()

    assert PERSON in page
    assert "please stop" not in page
    client.post(LIST, {"action": "suppress_selected", "_selected_action": [str(case.pk)], "reason": "x"})
    assert not Suppression.objects.exists()


def test_an_opt_out_by_letter_is_entered_with_its_time_and_note(admin: Client) -> None:
    open_case()

    admin.post("/admin/messaging/suppression/add/", FORM)

    row = Suppression.objects.get()
    assert (row.number, row.sender, row.source, row.channel, row.note) == (PERSON, "", "admin", "letter", "folder 7")
    assert row.requested_at.isoformat() == "2026-11-03T10:00:00+00:00"
    assert OptOutCase.objects.get().decision == "suppressed"
    page = admin.get(f"/admin/messaging/suppression/{row.pk}/change/").content.decode()
    assert "letter" in page
    assert "folder 7" in page
    export = b"".join(admin.get("/admin/messaging/suppression/export/").streaming_content).decode()
    assert f"{PERSON},,letter,2026-11-03T10:00:00" in export


def test_two_ways_of_saying_so_are_two_suppressions(admin: Client) -> None:
    admin.post("/admin/messaging/suppression/add/", FORM)
    admin.post("/admin/messaging/suppression/add/", {**FORM, "channel": "phone"})
    admin.post("/admin/messaging/suppression/add/", {**FORM, "channel": "phone", "note": "again"})

    assert sorted(Suppression.objects.values_list("channel", "note")) == [("letter", "folder 7"), ("phone", "folder 7")]


def test_a_time_in_the_future_is_refused(admin: Client) -> None:
    tomorrow = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")

    page = admin.post("/admin/messaging/suppression/add/", {**FORM, "requested_at": tomorrow}).content.decode()

    assert "This time has not come yet." in page
    assert not Suppression.objects.exists()
