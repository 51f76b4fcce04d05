"""Lists that wait in the console while something else happens: another list, a cancel, a deletion, an erasure, another text."""

import io
from datetime import timedelta
from functools import partial

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from scheduling.models import ListImport, Schedule, ScheduleRecipient
from scheduling.services import list_files, list_imports, recipients, schedules
from scheduling.services.errors import ListDecided, ScheduleEnded
from tests.messaging.admin.conftest import staff
from tests.messaging.parallel import at_once
from tests.scheduling.making import A, B, C, create
from tests.scheduling.test_admin import LIST, add, admin, clock, edit, listed, user
from tests.scheduling.test_admin_lists import BAD, counts, decide, page_of, waiting

__all__ = ["admin", "clock", "staff", "user"]
pytestmark = pytest.mark.usefixtures("express")
OTHER = f"to,name\n{B},Bob\nnobody,x\n"


def press(admin: Client, found: ListImport, action: str) -> list[tuple[str, str]]:
    page = admin.post(page_of(found), {"to": "0", action: "1"}, follow=True)
    assert page.status_code == 200
    return [(message.level_tag, str(message)) for message in page.context["messages"]]


def cancel(user) -> Schedule:
    schedule = Schedule.objects.get()
    schedules.cancel(schedule_id=schedule.pk, actor=user, now=schedule.updated_at, source="api")
    return schedule


class TestTwoLists:
    @pytest.fixture
    def two(self, admin) -> tuple[ListImport, ListImport]:
        """Both wait for the same new schedule."""
        add(admin, pasted=BAD)
        edit(admin, Schedule.objects.get(), pasted=OTHER)
        newest, oldest = ListImport.objects.order_by("-pk")
        assert (newest.activates, oldest.activates) == (True, True)
        admin.get("/admin/")  # shows the messages so far
        return oldest, newest

    def test_the_schedule_starts_with_the_last_of_them(self, admin, two) -> None:
        told = [press(admin, two[1], "save")[-1], press(admin, two[0], "save")[-1]]

        assert told == [
            ("success", "1 added to the list. The schedule is paused until its other list is saved or discarded."),
            ("success", "1 added to the list, 1 already on it. The schedule is active."),
        ]
        assert {each.status for each in ListImport.objects.all()} == {"saved"}
        assert (Schedule.objects.get().status, [number for number, _ in listed()]) == ("active", [B, A])

    def test_it_is_paused_while_the_other_one_waits(self, admin, two) -> None:
        press(admin, two[0], "save")

        assert (Schedule.objects.get().status, counts(waiting())) == ("paused", ("checked", 1, 0, 1))

    @pytest.mark.django_db(transaction=True)
    def test_of_two_that_are_saved_at_once_the_last_one_starts_it(self, two, clock, user) -> None:
        at_once([partial(list_imports.save, list_id=each.pk, actor=user, clock=clock) for each in two])

        assert {each.status for each in ListImport.objects.all()} == {"saved"}
        assert (Schedule.objects.get().status, {number for number, _ in listed()}) == ("active", {A, B})

    def test_a_clean_list_beside_a_waiting_one_is_saved(self, admin) -> None:
        add(admin, pasted=BAD)
        edit(admin, Schedule.objects.get(), pasted=f"to,name\n{C},Cleo\n")

        assert (Schedule.objects.get().status, [number for number, _ in listed()]) == ("paused", [C])
        assert sorted(ListImport.objects.values_list("status", flat=True)) == ["checked", "saved"]

    def test_a_discard_says_what_the_schedule_has_and_waits_for(self, admin, two) -> None:
        first = press(admin, two[0], "discard")[-1][1]
        ScheduleRecipient.objects.create(schedule=Schedule.objects.get(), number=C)
        Schedule.objects.update(recipient_count=1)
        second = press(admin, two[1], "discard")[-1][1]

        assert first == "The list is discarded. The schedule is paused until its other list is saved or discarded."
        assert second == "The list is discarded. The schedule is paused: resume it, or add another list."


class TestCanceled:
    def test_the_pages_of_a_canceled_schedule_do_not_call_it_paused(self, admin, user) -> None:
        add(admin, pasted=BAD)
        schedule = cancel(user)

        page = admin.get(f"{LIST}{schedule.pk}/change/").content.decode()
        assert "1 to take" in page
        assert "is paused until its list is saved" not in page
        page = admin.get(page_of(waiting())).content.decode()
        assert "The schedule is canceled; no recipients can be added to it." in page
        assert 'name="discard"' in page
        assert 'name="save"' not in page
        assert "until you save" not in page

    def test_a_cancel_while_the_form_saves_its_list_is_told(self, admin, user, monkeypatch) -> None:
        put = list_files.put

        def put_and_cancel(*arguments) -> None:
            put(*arguments)
            cancel(user)

        monkeypatch.setattr(list_files, "put", put_and_cancel)

        page = add(admin, follow=True)

        assert page.redirect_chain[-1][0] == page_of(waiting())
        assert "The schedule is canceled; no recipients can be added to it." in [
            str(m) for m in page.context["messages"]
        ]
        assert listed() == []


class TestGone:
    def test_the_file_goes_with_the_schedule(self, admin, django_capture_on_commit_callbacks) -> None:
        add(admin, pasted=BAD)

        with django_capture_on_commit_callbacks(execute=True):
            schedules.delete(schedule_id=Schedule.objects.get().pk)

        assert (ListImport.objects.exists(), list(list_files.stored_ids())) == (False, [])

    def test_a_save_whose_schedule_is_deleted_is_refused(self, admin, clock, user, monkeypatch) -> None:
        monkeypatch.setattr(recipients, "CHUNK", 1)
        add(admin, text="Hello", pasted=f"to\n{A}\n{B}\nnobody\n")
        found = waiting()
        extend = list_imports._extend

        def delete_first(list_id, now) -> None:
            Schedule.objects.all().delete()
            extend(list_id, now)

        with monkeypatch.context() as patch:
            patch.setattr(list_imports, "_extend", delete_first)
            with pytest.raises(ListDecided, match="This list was deleted with its schedule"):
                list_imports.save(list_id=found.pk, actor=user, clock=clock)

    def test_recipients_for_a_deleted_schedule_are_refused(self, owner, now) -> None:
        schedule = create(owner)
        schedules.delete(schedule_id=schedule.pk)

        with pytest.raises(ScheduleEnded, match="The schedule was deleted"):
            recipients.add(schedule_id=schedule.pk, rows=[recipients.Recipient(0, A, {})], now=now)

    def test_a_list_that_is_discarded_before_its_file_is_stored_leaves_none(self, admin, clock) -> None:
        add(admin, pasted=BAD)
        found = waiting()
        list_files.remove(found.pk)
        list_imports.discard(list_id=found.pk, actor=None, now=clock.now)

        list_imports.store(found.pk, io.BytesIO(BAD.encode()))

        assert list(list_files.stored_ids()) == []

    def test_a_save_that_lost_its_lease_to_a_discard_adds_no_more(self, admin, clock, user, monkeypatch) -> None:
        monkeypatch.setattr(recipients, "CHUNK", 1)
        add(admin, text="Hello", pasted=f"to\n{A}\n{B}\n{C}\nnobody\n")
        found = waiting()
        extend = list_imports._extend

        def discard_first(list_id, now) -> None:
            list_imports.discard(list_id=list_id, actor=user, now=now + timedelta(hours=1))
            extend(list_id, now)

        with monkeypatch.context() as patch:
            patch.setattr(list_imports, "_extend", discard_first)
            with pytest.raises(ListDecided, match="was discarded already"):
                list_imports.save(list_id=found.pk, actor=user, clock=clock)

        assert [number for number, _ in listed()] == [A]
        assert (ListImport.objects.get().status, Schedule.objects.get().status) == ("discarded", "paused")


@pytest.mark.parametrize(("action", "done"), [("save", "saved: 1 added."), ("discard", "discarded.")])
def test_the_audit_log_does_not_keep_the_name_of_a_file(admin, action: str, done: str) -> None:
    add(admin, pasted="", file=SimpleUploadedFile("Ada Lovelace.csv", BAD.encode()))
    found = waiting()

    decide(admin, action)

    changes = list(LogEntry.objects.values_list("change_message", flat=True))
    assert f"List {found.pk} {done}" in changes
    assert not [each for each in changes if "Lovelace" in each]


def test_rows_that_another_text_refuses_are_told(admin) -> None:
    add(admin, text="Hi {name}", pasted=f"to,name,code\n{A},Ada,1\n{B},Bob,\nnobody,x,2\n")
    edit(admin, Schedule.objects.get(), text="{code}")
    admin.get("/admin/")

    told = decide(admin, "save")

    assert told[-2:] == [
        ("success", "1 added to the list. The schedule is active."),
        ("warning", "The text has changed since the list was checked: 1 more refused."),
    ]


def test_staff_that_may_only_add_see_no_page_that_they_may_not_see(staff) -> None:
    client = staff("scheduling.add_schedule")
    add(client, pasted=BAD)
    found = waiting()

    page = client.get(page_of(found)).content.decode()
    assert f"{LIST}{found.schedule_id}/change/" not in page
    assert client.get(f"{page_of(found)}bad-rows/").status_code == 200
    saved = client.post(page_of(found), {"to": "0", "save": "1"}, follow=True)

    assert saved.redirect_chain == [(page_of(found), 302)]
    assert (saved.status_code, ListImport.objects.get().status) == (200, "saved")
    assert staff("scheduling.add_schedule").get(f"{page_of(found)}bad-rows/").status_code == 403
