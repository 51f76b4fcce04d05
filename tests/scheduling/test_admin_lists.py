"""Lists in the console: a clean one is saved at once, any other one waits on its page until staff decide."""

import csv
import io
from datetime import timedelta
from functools import partial

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from messaging.models import Message
from scheduling import recipients_csv
from scheduling.models import ListImport, Schedule
from scheduling.services import list_files, list_imports, recipients, schedules
from scheduling.services.errors import ListDecided, ListNotSaved
from tests.factories import UserFactory
from tests.messaging.admin.conftest import staff
from tests.messaging.api.conftest import Api
from tests.messaging.parallel import at_once
from tests.scheduling.making import DUE, A, B, C, create, expand_all, recipient_list, tick
from tests.scheduling.test_admin import LIST, add, admin, clock, edit, listed, user

__all__ = ["admin", "clock", "staff", "user"]
pytestmark = pytest.mark.usefixtures("express")
BAD = f"to,name\nnobody,Bob\n{A},Ada\n{B},x,y\n{A},again\n"


def page_of(found: ListImport) -> str:
    return f"{LIST}{found.schedule_id}/lists/{found.pk}/"


def waiting() -> ListImport:
    return ListImport.objects.get(status="checked")


def decide(admin: Client, action: str, **changes) -> list[tuple[str, str]]:
    """Press a button on the page as it is shown, with these changes. Returns the messages of the next page."""
    page = admin.get(page_of(ListImport.objects.get()))
    form = page.context.get("form")
    shown = {name: form.get_initial_for_field(field, name) or "" for name, field in form.fields.items()} if form else {}
    return press(admin, {**shown, action: "1", **changes})


def press(admin: Client, data: dict[str, str]) -> list[tuple[str, str]]:
    page = admin.post(page_of(ListImport.objects.get()), data, follow=True)
    assert page.status_code == 200
    return [(message.level_tag, str(message)) for message in page.context["messages"]]


def counts(found: ListImport) -> tuple[str, int, int, int]:
    return str(found.status), found.taken, found.duplicates, found.refused


class TestSend:
    def test_a_clean_list_is_saved_at_once(self, admin, user) -> None:
        add(admin, pasted=f"to,name\n{A},Ada\n{A},again\n")

        found = ListImport.objects.get()
        assert counts(found) == ("saved", 1, 1, 0)
        assert (found.actor, found.decided_by, found.file_name) == (user, user, "pasted list")
        assert Schedule.objects.get().status == "active"
        assert listed() == [(A, {"name": "Ada"})]

    @pytest.mark.django_db(transaction=True)
    def test_it_is_read_and_saved_outside_the_transaction_of_the_form(self, admin, monkeypatch) -> None:
        found = []

        def watched(function):
            def call(*arguments, **options):
                found.append(connection.in_atomic_block)
                return function(*arguments, **options)

            return call

        monkeypatch.setattr(list_imports, "check", watched(list_imports.check))
        monkeypatch.setattr(recipients, "add", watched(recipients.add))

        add(admin)

        assert (found, len(listed())) == ([False, False], 2)

    def test_one_with_bad_rows_waits_and_the_new_schedule_is_paused(self, admin) -> None:
        response = add(admin, pasted=BAD)

        found = waiting()
        assert response.headers["Location"] == page_of(found)
        assert counts(found) == ("checked", 1, 1, 2)
        assert (Schedule.objects.get().status, listed()) == ("paused", [])
        assert [row[:3] for row in found.refusals] == [[2, "to", "invalid_number"], [4, "", "wrong_number_of_fields"]]
        tick(DUE + timedelta(days=30))
        assert not Message.objects.exists()

    def test_the_page_shows_what_would_be_saved(self, admin) -> None:
        page = add(admin, pasted=BAD, follow=True).content.decode()

        assert "The schedule is paused until you save this list." in page
        assert "Row 4: This row has 3 fields, the header has 2." in page
        assert "Hi Ada" in page
        assert "Save 1 recipient" in page

    def test_check_first_shows_a_clean_list_too(self, admin) -> None:
        add(admin, check_first="on")

        assert counts(waiting()) == ("checked", 2, 1, 0)
        assert listed() == []

    def test_so_does_a_list_with_two_columns_of_numbers(self, admin) -> None:
        add(admin, text="Hello", pasted=f"Mobile,Handy\n{A},{B}\n")

        assert counts(waiting()) == ("checked", 1, 0, 0)

    @pytest.mark.parametrize("changes", [{"to_column": "Private"}, {"pasted": f"fax,name\n{A},Ada"}], ids=str)
    def test_a_column_that_is_not_found_can_be_chosen(self, admin, changes) -> None:
        page = add(admin, follow=True, **changes)
        assert "No column is known to have the numbers" in page.content.decode()
        assert next(iter(page.context["form"].fields["to"].choices)) == ("", "choose …")

        decide(admin, "check", to="0")
        decide(admin, "save")

        assert listed()[0] == (A, {"name": "Ada"})
        assert Schedule.objects.get().status == "active"

    def test_an_existing_schedule_keeps_its_list_and_runs(self, admin, owner) -> None:
        schedule = create(owner, recipient_list((A, {"name": "Ada"})), text="Hi {name}")

        edit(admin, schedule, text="Dear {name}", pasted=f"to,name\n{B},Bob\n{C},x,y\n")

        schedule.refresh_from_db()
        assert (schedule.text, schedule.status, listed()) == ("Dear {name}", "active", [(A, {"name": "Ada"})])
        assert "keeps its present recipients" in admin.get(page_of(waiting())).content.decode()

    def test_a_pasted_list_without_a_header_counts_its_own_rows(self, admin) -> None:
        add(admin, text="Hello", pasted=f"{A}\n12345\n")

        assert [row[0] for row in waiting().refusals] == [2]

    def test_so_do_its_preview_and_what_was_decided(self, admin) -> None:
        page = add(admin, text="Hello", pasted=f"{A}\n{B} | {C}\n12345\n", follow=True)
        assert [each["row"].row for each in page.context["rows"]] == [1, 2, 3]

        told = decide(admin, "save")

        assert (
            "info",
            "Decided for you:<br>Row 2, to: There are 2 numbers; the first mobile one is taken, or else the first.",
        ) in told

    def test_a_list_that_is_given_up_waits_and_says_so(self, admin, monkeypatch) -> None:
        monkeypatch.setattr(recipients_csv, "MAX_BAD_ROWS", 3)

        page = add(admin, text="Hello", pasted="to\n" + "0151 12345678\n" * 6, follow=True)

        assert "more rows are refused than good; the rest is not read." in page.content.decode()
        decide(admin, "check", country="DE")
        assert counts(waiting()) == ("checked", 1, 5, 0)
        assert waiting().problem == ""


class TestDecide:
    def test_save_adds_the_good_rows_and_activates_the_schedule(self, admin, user, django_capture_on_commit_callbacks):
        add(admin, pasted=BAD, run_at="2026-11-22 11:00", recurrence="")

        with django_capture_on_commit_callbacks(execute=True):
            told = decide(admin, "save")

        assert told == [("success", "1 added to the list, 1 already on it. The schedule is active.")]
        assert counts(ListImport.objects.get()) == ("saved", 1, 1, 2)
        assert (Schedule.objects.get().status, listed()) == ("active", [(A, {"name": "Ada"})])
        assert list(list_files.stored_ids()) == []
        tick(DUE)
        expand_all(DUE)
        assert list(Message.objects.values_list("to_number", "text")) == [(A, "Hi Ada")]

    def test_an_edited_schedule_stays_as_it_was(self, admin, owner) -> None:
        schedule = create(owner, recipient_list((A, {})))
        schedules.pause(schedule_id=schedule.pk, now=schedule.updated_at)
        edit(admin, schedule, pasted=f"to\n{B}\nnobody\n")

        decide(admin, "save")

        assert (Schedule.objects.get().status, listed()) == ("paused", [(A, {}), (B, {})])

    def test_the_columns_and_the_country_can_be_changed(self, admin) -> None:
        add(admin, pasted="Mobile,Private,name,Vorname\nx,0151 12345678,1,Ada\ny,0151 12345679,2,Bob\n")
        assert counts(waiting()) == ("checked", 0, 0, 2)

        told = decide(admin, "save", to="1", country="DE", variable_name="3")

        assert told == [("warning", "The columns have changed: look at the list again, then save it.")]
        assert counts(waiting()) == ("checked", 2, 0, 0)
        assert listed() == []
        assert "Hi Ada" in admin.get(page_of(waiting())).content.decode()
        decide(admin, "save")
        assert [(number, values["name"]) for number, values in listed()] == [
            ("+4915112345678", "Ada"),
            ("+4915112345679", "Bob"),
        ]

    def test_a_text_that_is_changed_meanwhile_counts(self, admin) -> None:
        add(admin, text="Hi {first}", pasted=f"to,name\n{A},Ada\n")
        assert counts(waiting()) == ("checked", 0, 0, 1)
        edit(admin, Schedule.objects.get(), text="Hi {name}")

        decide(admin, "check")
        decide(admin, "save")

        assert listed() == [(A, {"name": "Ada"})]

    @pytest.mark.parametrize("data", [{"to": "7"}, {"to": "x"}, {"country": "XX"}, {"variable_name": "9"}], ids=str)
    def test_a_choice_that_is_none_changes_nothing(self, admin, data) -> None:
        add(admin, pasted=BAD)
        before = ListImport.objects.values().get()

        assert decide(admin, "save", **data) == [("error", "This choice does not fit the list. Nothing has changed.")]

        assert (ListImport.objects.values().get(), listed()) == (before, [])

    def test_discard_removes_the_list_and_leaves_the_schedule_paused(
        self, admin, django_capture_on_commit_callbacks
    ) -> None:
        add(admin, pasted=BAD)

        with django_capture_on_commit_callbacks(execute=True):
            [(level, told)] = decide(admin, "discard")

        assert (level, "is paused and has no recipients" in told) == ("info", True)
        assert (ListImport.objects.get().status, Schedule.objects.get().status, listed()) == ("discarded", "paused", [])
        assert list(list_files.stored_ids()) == []

    def test_the_next_list_of_that_schedule_activates_it(self, admin) -> None:
        add(admin, pasted=BAD)
        decide(admin, "discard")

        edit(admin, Schedule.objects.get(), pasted=f"to,name\n{A},Ada\n")

        assert (Schedule.objects.get().status, listed()) == ("active", [(A, {"name": "Ada"})])

    def test_a_second_press_says_who_decided(self, admin, user, staff) -> None:
        add(admin, pasted=BAD)
        decide(admin, "save")
        colleague = staff()

        for action in ("save", "check", "discard"):
            assert press(colleague, {action: "1"}) == [("error", f"This list was saved already by {user}.")]

        assert listed() == [(A, {"name": "Ada"})]

    def test_while_it_is_being_saved_nothing_else_happens_to_it(self, admin, clock) -> None:
        add(admin, pasted=BAD)
        ListImport.objects.update(saving_until=clock.now + timedelta(seconds=1))

        for action in ("save", "check", "discard"):
            assert decide(admin, action) == [("error", "This list is being saved at the moment.")]

        assert (counts(waiting()), listed()) == (("checked", 1, 1, 2), [])

    def test_a_save_that_died_is_continued(self, admin, clock, monkeypatch) -> None:
        monkeypatch.setattr(recipients, "CHUNK", 1)
        add(admin, text="Hello", pasted=f"to\n{A}\n{B}\n{C}\nnobody\n")
        found = waiting()

        class Killed(BaseException):
            pass

        def die(*_arguments, **_options) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(list_imports, "_extend", die)
            with pytest.raises(Killed):
                list_imports.save(list_id=found.pk, actor=found.actor, clock=clock)
        ListImport.objects.update(saving_until=clock.now)  # as a process leaves it that was killed

        assert listed() == [(A, {})]
        decide(admin, "save")

        assert [number for number, _ in listed()] == [A, B, C]
        assert counts(ListImport.objects.get()) == ("saved", 2, 1, 1)
        assert (Schedule.objects.get().recipient_count, Schedule.objects.get().status) == (3, "active")

    @pytest.mark.django_db(transaction=True)
    def test_of_two_that_save_at_once_one_does(self, admin, user, clock) -> None:
        add(admin, pasted=BAD)
        found, colleague = waiting(), UserFactory(is_staff=True)

        def save(actor):
            try:
                list_imports.save(list_id=found.pk, actor=actor, clock=clock)
            except ListDecided:
                return False
            return True

        assert sorted(at_once([partial(save, user), partial(save, colleague)])) == [False, True]

        assert counts(ListImport.objects.get()) == ("saved", 1, 1, 2)
        assert listed() == [(A, {"name": "Ada"})]

    def test_a_list_without_a_good_row_cannot_be_saved(self, admin) -> None:
        page = add(admin, pasted="to,name\nnobody,Bob\n", follow=True).content.decode()
        assert 'name="save"' not in page

        assert decide(admin, "save") == [("error", "No row of this list can be taken.")]

        assert (counts(waiting()), Schedule.objects.get().status) == (("checked", 0, 0, 1), "paused")

    def test_a_run_that_came_due_meanwhile_is_told(self, admin, clock) -> None:
        add(admin, pasted=BAD, run_at="2026-11-22 11:00", recurrence="")
        clock.now = DUE + timedelta(minutes=5)

        assert "came due while the list waited" in admin.get(page_of(waiting())).content.decode()
        told = decide(admin, "save")

        assert [level for level, _ in told] == ["success", "warning"]
        tick(DUE + timedelta(minutes=5))
        assert [run.status for run in Schedule.objects.get().runs.all()] == ["pending"]

    def test_a_file_that_is_lost_can_only_be_discarded(self, admin) -> None:
        add(admin, pasted=BAD)
        list_files.remove(waiting().pk)

        page = admin.get(page_of(waiting())).content.decode()

        assert "cannot be read any more: upload it again" in page
        assert 'name="save"' not in page
        assert decide(admin, "save")[0][0] == "error"
        decide(admin, "discard")
        assert ListImport.objects.get().status == "discarded"

    def test_an_unsaved_list_keeps_the_schedule_from_being_resumed(self, admin, user) -> None:
        add(admin, pasted=BAD)
        schedule = Schedule.objects.get()

        with pytest.raises(ListNotSaved):
            schedules.resume(schedule_id=schedule.pk, now=schedule.updated_at)
        assert Api(user).post(f"schedules/{schedule.pk}/resume/").status_code == 409

        assert Schedule.objects.get().status == "paused"


class TestPages:
    def test_the_page_of_the_schedule_lists_its_lists(self, admin, user) -> None:
        add(admin, pasted=BAD)
        schedule = Schedule.objects.get()

        page = admin.get(f"{LIST}{schedule.pk}/change/").content.decode()

        assert "This schedule is paused until its list is saved." in page
        assert "1 to take, 1 passed over, 2 refused" in page
        decide(admin, "save")
        page = admin.get(f"{LIST}{schedule.pk}/change/").content.decode()
        assert "1 taken, 1 passed over, 2 refused" in page
        assert str(user) in page

    def test_refused_rows_are_the_file_that_the_api_gives(self, admin, user) -> None:
        add(admin, pasted=BAD)

        mine = b"".join(admin.get(f"{page_of(waiting())}bad-rows/").streaming_content).decode("utf-8-sig")

        other = create(user, text="Hi {name}", to=[])
        upload = encode_multipart(BOUNDARY, {"file": SimpleUploadedFile("people.csv", BAD.encode())})
        theirs = Api(user).post(
            f"schedules/{other.pk}/recipients/?report=csv", data=upload, content_type=MULTIPART_CONTENT
        )
        assert mine == theirs.content.decode()
        assert "Bob" not in mine

    def test_no_cell_of_them_is_a_formula(self, admin) -> None:
        add(admin, pasted=BAD)
        ListImport.objects.update(refusals=[[2, "=1+1", "code", "@SUM(1)"]])

        content = b"".join(admin.get(f"{page_of(waiting())}bad-rows/").streaming_content).decode("utf-8-sig")

        assert list(csv.reader(io.StringIO(content)))[1] == ["2", "'=1+1", "code", "'@SUM(1)"]

    def test_names_of_columns_and_files_are_no_markup(self, admin) -> None:
        file = SimpleUploadedFile("<b>.csv", f"Mobile,<i>a</i>\n{A},<u>1</u>\nx,y\n".encode())

        page = add(admin, text="Hi", pasted="", file=file, follow=True).content.decode()

        assert not {"<b>.csv", "<i>a</i>", "<u>1</u>"} & {
            part for part in ("<b>.csv", "<i>a</i>", "<u>1</u>") if part in page
        }
        assert "&lt;u&gt;1&lt;/u&gt;" in page

    def test_a_list_of_another_schedule_is_not_found(self, admin, owner) -> None:
        add(admin, pasted=BAD)
        other = create(owner)

        assert admin.get(f"{LIST}{other.pk}/lists/{waiting().pk}/").status_code == 404
        assert admin.get(f"{LIST}{other.pk}/lists/{waiting().pk}/bad-rows/").status_code == 404


class TestRoles:
    @pytest.mark.parametrize("permissions", [("scheduling.view_schedule",), ("messaging.view_message",)], ids=str)
    def test_without_the_permission_nothing_is_decided(self, admin, staff, permissions) -> None:
        add(admin, pasted=BAD)
        client = staff(*permissions)
        may_look = permissions == ("scheduling.view_schedule",)

        assert client.get(page_of(waiting())).status_code == (200 if may_look else 403)
        for action in ("save", "check", "discard"):
            assert client.post(page_of(waiting()), {"to": "0", action: "1"}).status_code == 403

        assert (counts(waiting()), listed()) == (("checked", 1, 1, 2), [])

    def test_texts_and_values_are_for_those_who_may_read_them(self, admin, staff) -> None:
        add(admin, text="Your code is {name}", pasted="to,name\nnobody,Bob\n" + f"{A},471100\n")
        client = staff("scheduling.view_schedule", "scheduling.change_schedule")

        page = client.get(page_of(waiting())).content.decode()

        assert A in page
        assert "471100" not in page
        assert "Your code" not in page

    def test_raw_cells_too(self, admin, staff) -> None:
        add(admin, pasted="fax,name\n12345,471100\n")
        assert "471100" in admin.get(page_of(waiting())).content.decode()

        client = staff("scheduling.view_schedule", "scheduling.change_schedule")

        assert "471100" not in client.get(page_of(waiting())).content.decode()

    def test_staff_that_may_only_add_decide_about_their_own_lists(self, staff, admin) -> None:
        client = staff("scheduling.view_schedule", "scheduling.add_schedule")
        add(client, pasted=BAD)

        decide(client, "save")

        assert (listed(), Schedule.objects.get().status) == ([(A, {"name": "Ada"})], "active")
        ListImport.objects.update(actor=UserFactory())
        assert client.post(page_of(ListImport.objects.get()), {"discard": "1"}).status_code == 403
