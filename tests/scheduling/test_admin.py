"""Schedules in the console, which uses the services of the API."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from messaging.models import Message
from messaging.models.encrypted import fault_of
from messaging.services import installation
from scheduling.models import Schedule, ScheduleRecipient
from scheduling.services import schedules
from tests.factories import MessageFactory, QueueFactory, SenderFactory, UserFactory, lose_the_key
from tests.messaging.admin.conftest import staff
from tests.messaging.api.conftest import Api
from tests.messaging.services.outbound.dispatch.fakes import Clock
from tests.scheduling.making import DUE, A, B, C, create, due_run, expand_all, recipient_list, statuses, tick

__all__ = ["staff"]
pytestmark = pytest.mark.usefixtures("express")
LIST = "/admin/scheduling/schedule/"
FORM = {
    "name": "Reminder",
    "text": "Hi {name}",
    "run_at": "2026-12-01 09:00",
    "time_zone": "Europe/Berlin",
    "recurrence": "RRULE:FREQ=DAILY;COUNT=3",
    "queue": "express",
    "missed": "latest",
    "valid_for": "900",
    "pasted": f"to,name\n{A},Ada\n{B},Bob\n{A},again\n",
}
NO_RUNS = {"runs-TOTAL_FORMS": "0", "runs-INITIAL_FORMS": "0"}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, now) -> Clock:
    clock = Clock(now)
    for module in ("form", "row_actions", "pages", "dates", "list_upload", "list_check"):
        monkeypatch.setattr(f"scheduling.admin.{module}.timezone", SimpleNamespace(now=clock))
    for module in ("scheduling.api.schedules",):
        monkeypatch.setattr(f"{module}.timezone", SimpleNamespace(now=clock))
    return clock


@pytest.fixture
def user(db):
    return UserFactory(is_staff=True, is_superuser=True)


@pytest.fixture
def admin(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def add(admin: Client, *, follow: bool = False, **changes):
    return admin.post(f"{LIST}add/", {**FORM, **changes}, follow=follow)


def edit(admin: Client, schedule: Schedule, *, follow: bool = False, **changes):
    """The form as the page shows it, with these changes."""
    page = admin.get(f"{LIST}{schedule.pk}/change/")
    shown = page.context["adminform"].form
    data = {name: shown.get_initial_for_field(field, name) or "" for name, field in shown.fields.items()}
    data = {**data, **NO_RUNS, "_reason": "asked to", **changes}
    return admin.post(f"{LIST}{schedule.pk}/change/", data, follow=follow)


def act(admin: Client, action: str, *chosen: Schedule) -> list[tuple[str, str]]:
    """The messages that the action shows."""
    data = {"action": action, "_selected_action": [str(schedule.pk) for schedule in chosen], "reason": "asked to"}
    page = admin.post(LIST, data, follow=True)
    return [(message.level_tag, str(message)) for message in page.context["messages"]]


def errors(response) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def listed() -> list[tuple[str, dict]]:
    return list(ScheduleRecipient.objects.order_by("pk").values_list("number", "variables"))


def assert_nothing_stored() -> None:
    assert not Schedule.objects.exists()
    assert not ScheduleRecipient.objects.exists()


class TestAdd:
    def test_it_makes_what_the_api_makes(self, admin, user) -> None:
        SenderFactory(number="+15005550001", is_default=True)
        client = Api(installation.service_user("client"))
        body = {
            "name": FORM["name"],
            "message": FORM["text"],
            "run_at": "2026-12-01T09:00:00",
            "time_zone": FORM["time_zone"],
            "recurrence": FORM["recurrence"],
            "queue": "express",
            "valid_for": 900,
            "recipients": [
                {"to": A, "variables": {"name": "Ada"}},
                {"to": B, "variables": {"name": "Bob"}},
                {"to": A, "variables": {"name": "again"}},
            ],
        }

        response = add(admin)
        assert client.post("schedules/", body).status_code == 201

        made, other = Schedule.objects.order_by("pk")
        assert (response.status_code, response.headers["Location"]) == (302, LIST)
        own = {"id", "owner_id"}
        mine, theirs = (
            {name: value for name, value in row.items() if name not in own}
            for row in Schedule.objects.order_by("pk").values()
        )
        assert mine == theirs
        assert (made.owner, other.owner) == (user, client.user)
        assert listed() == [(A, {"name": "Ada"}), (B, {"name": "Bob"})] * 2

    def test_and_it_runs_like_that(self, admin) -> None:
        add(admin, run_at="2026-11-22 11:00", recurrence="")

        tick(DUE)
        expand_all(DUE)

        assert list(Message.objects.order_by("pk").values_list("to_number", "text")) == [(A, "Hi Ada"), (B, "Hi Bob")]

    def test_a_time_with_an_offset_is_converted(self, admin) -> None:
        add(admin, run_at="2026-12-01 09:00-05:00")

        assert Schedule.objects.get().start_wall == "2026-12-01T15:00:00"

    @pytest.mark.parametrize(
        "pasted",
        [
            *(f"{A}\n{B}\n", f"\n {A}\r\n{B}", f"to\n{A}\n{B}", f"To;x\n{A};1\n{B};2"),
            *(f"{A}, {B}", f"{A};{B}", f"{A},\n{B},\n", f"+1 415 555-0101, {B}"),
        ],
    )
    def test_recipients_are_pasted_with_or_without_a_header(self, admin, pasted: str) -> None:
        add(admin, text="Hello", pasted=pasted)

        assert [number for number, _ in listed()] == [A, B]
        assert Schedule.objects.get().recipient_count == 2

    def test_or_come_as_a_file(self, admin) -> None:
        content = f"\ufeffto;name\r\n{C};Eve\r\n".encode()

        add(admin, pasted="", file=SimpleUploadedFile("people.csv", content))

        assert listed() == [(C, {"name": "Eve"})]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"text": ""}, "text"),
            ({"text": "Hi {"}, "text"),
            ({"text": "x" * 1531}, "text"),
            ({"run_at": ""}, "run_at"),
            ({"run_at": "soon"}, "run_at"),
            ({"run_at": "2027-01-04"}, "run_at"),
            ({"run_at": "2026-13-01 09:00"}, "run_at"),
            ({"run_at": "2026-11-22 09:59"}, "run_at"),
            ({"time_zone": "Mars/Olympus"}, "time_zone"),
            ({"recurrence": "FREQ=SECONDLY"}, "recurrence"),
            ({"recurrence": "FREQ=DAILY;UNTIL=20200101T000000Z"}, "recurrence"),
            ({"queue": "nowhere"}, "queue"),
            ({"valid_for": "0"}, "valid_for"),
            ({"valid_for": "604801"}, "valid_for"),
            ({"pasted": ""}, "pasted"),
            ({"pasted": "to,name\n"}, "pasted"),
            ({"country": "XX"}, "country"),
            ({"pasted": "to,name;time\n1,2"}, "pasted"),
            ({"file": SimpleUploadedFile("people.csv", f"to,name\n{A},Ada\n".encode())}, "file"),
        ],
        ids=str,
    )
    def test_an_invalid_field_has_an_error_and_nothing_is_stored(self, admin, changes, field: str) -> None:
        assert set(errors(add(admin, **changes))) == {field}

        assert_nothing_stored()

    @pytest.mark.parametrize(
        "pasted", ["0151 12345678\n0151 12345679", "Handy,Name\n0151 12345678,Ada\n0151 12345679,Bob"]
    )
    def test_numbers_of_a_named_country_need_no_plus(self, admin, pasted: str) -> None:
        add(admin, text="Hello", pasted=pasted, country="de")

        assert [number for number, _ in listed()] == ["+4915112345678", "+4915112345679"]

    def test_what_was_decided_is_told(self, admin) -> None:
        page = add(admin, text="Hi", pasted=f"phone,Home,Home\n{A} / {B},1,2\n", follow=True)

        told = [str(message).split("<br>") for message in page.context["messages"]]
        assert told[1] == [
            "Decided for you:",
            "Row 1: Not used: Home, Home.",
            "Row 2, to: There are 2 numbers; the first mobile one is taken, or else the first.",
        ]
        assert listed() == [(A, {})]

    def test_the_column_of_the_numbers_can_be_named(self, admin) -> None:
        add(admin, text="Hi", pasted=f"phone,Private\n{B},{A}\n", to_column="Private")

        assert listed() == [(A, {"phone": B})]

    def test_a_file_that_is_no_list_is_refused(self, admin) -> None:
        file = SimpleUploadedFile("people.csv", f"to,name\n{A},Ada\n\xff\n".encode("latin-1"))

        assert set(errors(add(admin, pasted="", file=file))) == {"file"}

        assert_nothing_stored()

    def test_without_the_permission_to_add_nothing_is_added(self) -> None:
        client = Client()
        client.force_login(UserFactory(is_staff=True))

        assert add(client).status_code == 403

        assert_nothing_stored()


def test_a_text_that_cannot_be_opened_is_reported_and_unchanged(admin, owner) -> None:
    schedule = create(owner)
    lose_the_key(schedule)

    page = admin.get(f"{LIST}{schedule.pk}/change/")

    assert page.status_code == 200
    assert "The text of this schedule cannot be opened" in page.content.decode()
    assert list(errors(edit(admin, schedule, name="Other", text=""))) == ["text"]
    assert fault_of(Schedule.objects.get(), "text") is not None
    edit(admin, schedule, name="Other", text="Hello again")
    assert Schedule.objects.get().text == "Hello again"


class TestCategory:
    def test_it_can_be_chosen_and_changed(self, admin) -> None:
        add(admin, category="otp")
        schedule = Schedule.objects.get()
        assert schedule.category == "otp"

        edit(admin, schedule, category="marketing")
        schedule.refresh_from_db()
        assert schedule.category == "marketing"

    def test_an_emergency_needs_its_permission(self, staff) -> None:
        client = staff("scheduling.add_schedule", "scheduling.view_schedule", "messaging.view_text")

        content = add(client, category="emergency").content.decode()

        assert "Emergency messages need the permission" in content
        assert_nothing_stored()


class TestEdit:
    def test_before_the_first_run_everything_can_be_edited(self, admin, owner) -> None:
        QueueFactory(name="bulk")
        schedule = create(owner, recipient_list((A, {"name": "Ada"})))

        response = edit(
            admin,
            schedule,
            name="Other",
            text="Hi {name}",
            run_at="2026-12-01 09:00",
            time_zone="Europe/Berlin",
            recurrence="FREQ=DAILY",
            queue="bulk",
            valid_for="60",
        )

        assert response.status_code == 302
        schedule.refresh_from_db()
        assert (schedule.name, schedule.text, schedule.queue_id, schedule.valid_for) == (
            "Other",
            "Hi {name}",
            "bulk",
            60,
        )
        assert (schedule.recurrence, schedule.next_run_at.isoformat()) == (
            "RRULE:FREQ=DAILY",
            "2026-12-01T08:00:00+00:00",
        )
        assert (schedule.owner, schedule.recipient_count) == (owner, 1)

    def test_what_is_left_as_it_is_stays_so_even_a_start_that_has_passed(self, admin, owner, clock) -> None:
        """The start may be days before the rule's first occurrence."""
        schedule = create(owner, recurrence="FREQ=WEEKLY;BYDAY=FR")
        due = schedule.next_run_at
        clock.now = DUE + timedelta(days=1)

        assert edit(admin, schedule, name="Other").status_code == 302

        schedule.refresh_from_db()
        assert (schedule.name, schedule.next_run_at) == ("Other", due)

    def test_recipients_are_added_to_the_list(self, admin, owner) -> None:
        schedule = create(owner, recipient_list((A, {"name": "Ada"})), text="Hi {name}")

        page = edit(admin, schedule, text="Dear {name}", pasted=f"to,name\n{A},again\n{B},Bob", follow=True)

        assert listed() == [(A, {"name": "Ada"}), (B, {"name": "Bob"})]
        schedule.refresh_from_db()
        assert (schedule.text, schedule.recipient_count, schedule.status) == ("Dear {name}", 2, "active")
        assert "1 added to the list, 1 already on it." in [str(message) for message in page.context["messages"]]

    def test_the_page_shows_the_first_of_the_list_and_how_many_there_are(self, admin, owner) -> None:
        schedule = create(owner, recipient_list(*((f"+1415556{place:04}", {"name": "Ada"}) for place in range(25))))

        page = admin.get(f"{LIST}{schedule.pk}/change/").content.decode()

        assert "25 recipients<br>+14155560000" in page
        assert page.count("name: Ada") == 20
        assert "+14155560020" not in page
        assert "and 5 more" in page

    def test_an_invalid_edit_changes_nothing(self, admin, owner) -> None:
        schedule = create(owner)
        before = Schedule.objects.values().get()

        assert set(errors(edit(admin, schedule, name="Other", text="Hi {name}"))) == {"text"}
        assert set(errors(edit(admin, schedule, name="Other", run_at="2020-01-01 09:00"))) == {"run_at"}

        assert Schedule.objects.values().get() == before

    def test_after_the_first_run_there_is_nothing_to_edit(self, admin, owner) -> None:
        schedule = due_run(owner, recurrence="FREQ=DAILY").schedule
        before = Schedule.objects.values().get()

        page = admin.get(f"{LIST}{schedule.pk}/change/")
        response = admin.post(f"{LIST}{schedule.pk}/change/", {**FORM, **NO_RUNS})

        assert (page.status_code, response.status_code) == (200, 403)
        assert b'name="_save"' not in page.content
        assert Schedule.objects.values().get() == before

    def test_one_that_runs_while_it_is_edited_is_not_changed(self, admin, owner, monkeypatch) -> None:
        schedule = create(owner)
        change = schedules.change

        def late(**options) -> Schedule:
            tick(DUE)
            return change(**options)

        monkeypatch.setattr(schedules, "change", late)

        [error] = errors(edit(admin, schedule, name="Other"))["__all__"]

        assert error == "The schedule has run already; only its coming dates and holidays can be changed."
        assert Schedule.objects.get().name == "Reminder"

    def test_the_page_shows_next_runs_and_what_became_of_the_messages(self, admin, owner) -> None:
        schedule = due_run(owner, 3, recurrence="FREQ=DAILY").schedule
        expand_all()

        page = admin.get(f"{LIST}{schedule.pk}/change/").content.decode()

        assert "Mon 23 Nov 2026 10:00 UTC" in page
        assert "3 queued" in page


@pytest.mark.parametrize("has_run", [False, True])
def test_the_page_says_that_newer_zone_data_has_moved_the_next_run(admin, owner, has_run: bool) -> None:
    schedule = create(owner, recurrence="FREQ=DAILY")
    if has_run:
        tick()
    assert "newer zone data" not in admin.get(f"{LIST}{schedule.pk}/change/").content.decode()
    schedule.refresh_from_db()
    Schedule.objects.update(moved_from=schedule.next_run_at - timedelta(hours=1), zone_release="2026f")

    page = admin.get(f"{LIST}{schedule.pk}/change/").content.decode()

    day = 23 if has_run else 22
    assert "Moved by newer zone data" in page
    assert f"from {day} Nov 2026 09:00 to {day} Nov 2026 10:00 UTC (tzdata 2026f)" in page


class TestTexts:
    """Texts of schedules need the permission to read texts of messages."""

    @pytest.fixture
    def schedule(self, owner) -> Schedule:
        return create(
            owner, recipient_list((A, {"code": "471100"})), text="Your code is {code}", recurrence="FREQ=DAILY"
        )

    def test_without_the_permission_the_length_is_shown_and_no_form(self, staff, schedule) -> None:
        client = staff("scheduling.view_schedule", "scheduling.change_schedule")
        before = Schedule.objects.values().get()

        page = client.get(f"{LIST}{schedule.pk}/change/").content.decode()
        refused = client.post(f"{LIST}{schedule.pk}/change/", {**FORM, **NO_RUNS, "_reason": "asked to"})

        assert "•••••• (19 characters)" in page
        assert "Your code" not in page
        assert "471100" not in page
        assert f"1 recipient<br>{A}" in page
        assert "code: ••••••" in page
        assert 'name="_save"' not in page
        assert refused.status_code == 403
        assert Schedule.objects.values().get() == before

    def test_but_pauses_it_where_the_role_allows_that(self, staff, schedule) -> None:
        client = staff("scheduling.view_schedule", "scheduling.change_schedule")

        assert act(client, "pause_selected", schedule) == [("success", "1 schedule paused.")]

    def test_with_the_permission_texts_are_shown_also_after_the_first_run(self, staff, schedule) -> None:
        client = staff("scheduling.view_schedule", "messaging.view_text")

        assert "Your code is {code}" in client.get(f"{LIST}{schedule.pk}/change/").content.decode()


class TestDelete:
    def test_before_the_first_run(self, admin, owner) -> None:
        schedule = create(owner, 3)

        assert admin.post(f"{LIST}{schedule.pk}/delete/", {"post": "yes", "_reason": "asked for"}).status_code == 302

        assert_nothing_stored()

    def test_not_afterwards(self, admin, owner) -> None:
        schedule = due_run(owner, 3).schedule

        assert admin.post(f"{LIST}{schedule.pk}/delete/", {"post": "yes", "_reason": "asked for"}).status_code == 403

        assert schedule.recipients.count() == 3

    def test_not_even_if_it_ran_while_the_confirmation_was_open(self, admin, owner, monkeypatch) -> None:
        schedule = create(owner, 3)
        delete = schedules.delete

        def late(**options) -> None:
            tick(DUE)
            delete(**options)

        monkeypatch.setattr(schedules, "delete", late)

        assert admin.post(f"{LIST}{schedule.pk}/delete/", {"post": "yes", "_reason": "asked for"}).status_code == 403

        assert (schedule.recipients.count(), Schedule.objects.count()) == (3, 1)


class TestActions:
    def test_pause_and_resume(self, admin, owner) -> None:
        one, two = create(owner, name="<One>"), create(owner, name="Two")

        assert act(admin, "pause_selected", one, two) == [("success", "2 schedules paused.")]
        assert tick(DUE) == 0
        assert act(admin, "resume_selected", two) == [("success", "1 schedule resumed.")]

        assert tick(DUE) == 1
        assert two.runs.count() == 1

    def test_cancel_reports_how_many_messages_were_canceled(self, admin, owner, user) -> None:
        schedule = due_run(owner, 3, recurrence="FREQ=DAILY").schedule
        expand_all()

        assert act(admin, "cancel_selected", schedule) == [("success", "1 schedule canceled, 3 messages canceled.")]

        assert statuses() == {"canceled": 3}
        event = Message.objects.first().events.get(to_status="canceled")
        assert (event.source, event.actor) == ("admin", user)

    @pytest.mark.parametrize("action", ["pause_selected", "resume_selected", "cancel_selected"])
    def test_one_that_has_ended_is_left_alone_and_the_others_are_not(self, admin, owner, action: str) -> None:
        ended, other = create(owner, name="Ended"), create(owner, name="Other")
        act(admin, "cancel_selected", ended)
        before = Schedule.objects.values().get(name="Ended")

        shown = act(admin, action, ended, other)

        assert ("warning", "1 schedule not changed: The schedule is canceled.") in shown
        assert [level for level, _ in shown].count("success") == 1
        assert Schedule.objects.values().get(name="Ended") == before

    @pytest.mark.parametrize("action", ["pause_selected", "resume_selected", "cancel_selected"])
    def test_with_only_the_view_permission_nothing_is_changed(self, owner, action: str) -> None:
        reader = UserFactory(is_staff=True)
        reader.groups.add(*installation_groups())
        client = Client()
        client.force_login(reader)
        schedule = create(owner)
        before = Schedule.objects.values().get()

        act(client, action, schedule)

        assert Schedule.objects.values().get() == before


def installation_groups():
    installation.install()
    return installation.Group.objects.filter(name=installation.API_READER)


class TestLive:
    def preview(self, admin: Client, **data: str) -> dict:
        whole = {"run_at": "2026-12-01T09:00", "time_zone": "Europe/Berlin", "recurrence": ""}
        return admin.post(f"{LIST}preview/", {**whole, **data}).json()

    def test_the_next_runs_of_a_rule_are_shown_in_its_zone(self, admin) -> None:
        assert self.preview(admin, recurrence="RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=2") == {
            "error": "",
            "runs": [
                {"at": "2026-12-01T08:00:00+00:00", "text": "Tue 01 Dec 2026 09:00 CET", "is_added": False},
                {"at": "2026-12-08T08:00:00+00:00", "text": "Tue 08 Dec 2026 09:00 CET", "is_added": False},
            ],
            "left_out": [],
            "notes": [],
            "regions": [],
        }

    def test_a_time_that_a_day_does_not_have_is_shown_as_it_will_be(self, admin) -> None:
        runs = self.preview(admin, run_at="2027-03-27T02:30", recurrence="RRULE:FREQ=DAILY;COUNT=3")["runs"]

        assert [run["text"] for run in runs] == [
            "Sat 27 Mar 2027 02:30 CET",
            "Sun 28 Mar 2027 03:00 CEST",
            "Mon 29 Mar 2027 02:30 CEST",
        ]

    @pytest.mark.parametrize(
        "data",
        [
            {"run_at": ""},
            {"run_at": "soon"},
            {"run_at": "2020-01-01T09:00"},
            {"time_zone": "Mars"},
            {"recurrence": "X"},
        ],
    )
    def test_invalid_input_is_reported(self, admin, data: dict[str, str]) -> None:
        answer = self.preview(admin, **data)

        assert answer["runs"] == []
        assert answer["error"]

    def test_progress_counts_recipients_and_messages(self, admin, owner) -> None:
        schedule = due_run(owner, 3, recurrence="FREQ=DAILY").schedule
        before = admin.get(f"{LIST}{schedule.pk}/progress/").json()
        expand_all()
        Message.objects.update(status="canceled")

        after = admin.get(f"{LIST}{schedule.pk}/progress/").json()

        assert before["moves"]
        assert "0 of 3 recipients expanded" in before["html"]
        assert not after["moves"]
        assert "3 of 3 recipients expanded" in after["html"]
        assert "3 of 3 messages handed to providers" in after["html"]

    def test_both_need_the_permission_to_view_schedules(self, owner) -> None:
        client = Client()
        client.force_login(UserFactory(is_staff=True))
        schedule = create(owner)

        assert client.post(f"{LIST}preview/", {}).status_code == 403
        assert client.get(f"{LIST}{schedule.pk}/progress/").status_code == 403


def test_the_list_costs_the_same_for_one_and_for_five(admin, owner) -> None:
    costs = []
    for more in (1, 4):
        for _ in range(more):
            create(owner)
        with CaptureQueriesContext(connection) as queries:
            assert admin.get(LIST).status_code == 200
        costs.append(len(queries))

    assert costs[0] == costs[1]


def test_the_list_can_be_searched_and_filtered(admin, owner) -> None:
    create(owner, name="One")
    schedules.pause(schedule_id=create(owner, name="Two").pk, now=DUE)

    found = [
        [row.name for row in admin.get(f"{LIST}?{query}").context["cl"].result_list]
        for query in ("", "q=on", "status__exact=paused", "queue__name__exact=express&q=t")
    ]

    assert found == [["Two", "One"], ["One"], ["Two"], ["Two"]]


class TestFilterOfMessages:
    """`messaging` cannot import schedules, so `scheduling` adds the filter to its list."""

    def test_it_offers_schedules_by_the_start_of_their_name(self, admin, owner) -> None:
        wanted, _ = create(owner, name="Spring offer"), create(owner, name="Winter offer")

        page = admin.get("/admin/messaging/message/").content.decode()
        answer = admin.get(
            "/admin/autocomplete/?term=spr&app_label=scheduling&model_name=schedulerun&field_name=schedule"
        )

        assert 'name="schedule"' in page
        assert 'data-field-name="schedule"' in page
        assert [row["id"] for row in answer.json()["results"]] == [str(wanted.pk)]

    def test_the_chosen_one_is_shown_by_its_name(self, admin, owner) -> None:
        run = due_run(owner, 2, name="Spring offer")
        expand_all()
        MessageFactory(queue__name="express")

        page = admin.get(f"/admin/messaging/message/?schedule={run.schedule_id}")

        assert {row.schedule_id for row in page.context["cl"].result_list} == {run.schedule_id}
        assert len(page.context["cl"].result_list) == 2
        assert "Spring offer" in page.content.decode()
