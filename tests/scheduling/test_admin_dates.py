"""Dates on the pages: left out, put back and added in the form, and on the page of a schedule that has run."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from scheduling.models import Schedule
from tests.factories import UserFactory
from tests.scheduling.making import DUE, create, expand_all, tick
from tests.scheduling.test_admin import FORM, LIST, add, admin, clock, edit, user

__all__ = ["admin", "clock", "user"]

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
pytestmark = pytest.mark.usefixtures("express")


@pytest.fixture
def ran(owner) -> Schedule:
    schedule = create(owner, recurrence="FREQ=DAILY")
    tick()
    expand_all()
    schedule.refresh_from_db()
    return schedule


def preview(admin: Client, **data: str) -> dict:
    whole = {"run_at": "2026-12-21T09:00", "time_zone": "Europe/Berlin", "recurrence": "RRULE:FREQ=DAILY"}
    return admin.post(f"{LIST}preview/", whole | data).json()


def texts(rows: list[dict]) -> list[str]:
    return [row["text"][:16] for row in rows]


class TestPreview:
    def test_a_run_is_left_out_put_back_and_added(self, admin) -> None:
        without = preview(admin, leave_out="2026-12-22T08:00:00+00:00")
        back = preview(admin, recurrence=without["recurrence"], put_back="2026-12-22T08:00:00+00:00")
        more = preview(admin, recurrence="", add="2026-12-22T18:00")

        assert without["recurrence"] == "RRULE:FREQ=DAILY\nEXDATE:20261222T090000"
        assert texts(without["runs"])[:2] == ["Mon 21 Dec 2026 ", "Wed 23 Dec 2026 "]
        assert without["left_out"] == [
            {"at": "2026-12-22T08:00:00+00:00", "text": "Tue 22 Dec 2026 09:00 CET", "name": ""}
        ]
        assert (back["recurrence"], back["left_out"]) == ("RRULE:FREQ=DAILY", [])
        assert more["recurrence"] == "RDATE:20261222T180000"
        assert [(run["text"], run["is_added"]) for run in more["runs"]] == [
            ("Mon 21 Dec 2026 09:00 CET", False),
            ("Tue 22 Dec 2026 18:00 CET", True),
        ]

    def test_holidays_and_the_regions_of_the_country_are_shown(self, admin) -> None:
        found = preview(admin, run_at="2026-12-24T09:00", holidays="de")

        assert texts(found["runs"])[:2] == ["Thu 24 Dec 2026 ", "Sun 27 Dec 2026 "]
        assert [row["name"] for row in found["left_out"]] == ["Christmas Day", "Second Day of Christmas"]
        assert ["DE-BY", "Bayern"] in found["regions"]

    @pytest.mark.parametrize(
        ("data", "error"),
        [
            ({"holidays": "DE-XX"}, "There is no holiday calendar DE-XX."),
            (
                {"recurrence": "RRULE:FREQ=DAILY;COUNT=1", "leave_out": "2026-12-21T08:00:00+00:00"},
                "No run would be left.",
            ),
            ({"add": "soon"}, "Choose the date and time to add."),
            ({"add": ""}, "Choose the date and time to add."),
            ({"add": "2026-12-20T09:00"}, "An added date must be after the first run."),
        ],
    )
    def test_what_cannot_be_is_said(self, admin, data: dict[str, str], error: str) -> None:
        found = preview(admin, **data)

        assert found["error"].startswith(error)
        assert (found["runs"], "recurrence" in found) == ([], False)


class TestForm:
    def test_dates_and_holidays_are_stored_and_shown_again_and_saving_changes_nothing(self, admin) -> None:
        text = "RRULE:FREQ=DAILY\r\nEXDATE:20261202T090000"
        add(admin, recurrence=text, holidays="de")
        stored = Schedule.objects.values().get()

        page = admin.get(f"{LIST}{stored['id']}/change/")
        edit(admin, Schedule.objects.get(), recurrence=text, holidays="DE", name="Other")

        assert (stored["left_out_dates"], stored["holidays"]) == ("2026-12-02T09:00:00", "DE")
        form = page.context["adminform"].form
        assert (form.initial["recurrence"], form.initial["holidays"]) == (text, "DE")
        assert "EXDATE:20261202T090000</textarea>" in page.content.decode()
        changed = Schedule.objects.values().get()
        assert changed | {"updated_at": 0} == stored | {"name": "Other", "updated_at": 0}

    def test_an_unknown_calendar_is_an_error_of_its_field(self, admin) -> None:
        page = add(admin, holidays="DE-XX")

        assert "There is no holiday calendar DE-XX" in page.context["adminform"].form.errors["holidays"][0]
        assert not Schedule.objects.exists()


class TestPage:
    def act(self, client: Client, schedule: Schedule, **data: str):
        return client.post(f"{LIST}{schedule.pk}/dates/", data, follow=True)

    def test_a_run_is_left_out_put_back_and_added(self, admin, ran, clock) -> None:
        clock.now = DUE
        tomorrow = (DUE + DAY).isoformat()
        page = admin.get(f"{LIST}{ran.pk}/change/").content.decode()
        assert f'name="leave_out" value="{tomorrow}" aria-label="Leave out Mon 23 Nov 2026 10:00 UTC"' in page

        left_out = self.act(admin, ran, leave_out=tomorrow).content.decode()
        assert Schedule.objects.get().left_out_dates == "2026-11-23T10:00:00"
        put_back = self.act(admin, ran, put_back=tomorrow).content.decode()
        assert Schedule.objects.get().left_out_dates == ""
        added = self.act(admin, ran, add="2026-11-22T18:00").content.decode()

        assert "The run of Mon 23 Nov 2026 10:00 UTC is left out." in left_out
        assert f'name="put_back" value="{tomorrow}" aria-label="Put back Mon 23 Nov 2026 10:00 UTC"' in left_out
        assert "The run of Mon 23 Nov 2026 10:00 UTC is put back." in put_back
        assert "The run of Sun 22 Nov 2026 18:00 UTC is added." in added
        assert Schedule.objects.get().next_run_at == DUE + 8 * HOUR
        assert LogEntry.objects.filter(object_id=str(ran.pk)).count() == 3

    def test_holidays_are_changed(self, admin, ran, clock) -> None:
        clock.now = DUE

        page = self.act(admin, ran, holidays="us-ca").content.decode()

        assert Schedule.objects.get().holidays == "US-CA"
        assert "Runs on public holidays of US-CA are left out." in page
        assert "Thanksgiving Day" in page

    @pytest.mark.parametrize(
        ("data", "error"),
        [
            ({"leave_out": "2026-11-22T10:00:00+00:00"}, "The time is in the past."),
            ({"leave_out": "soon"}, "Choose a date and a time."),
            ({"leave_out": "2026-11-23T10:00"}, "Choose a date and a time."),
            ({"add": "2026-11-23T10:00Z"}, "Choose a date and a time."),
            ({}, "Choose a date and a time."),
            ({"holidays": "XX"}, "There is no holiday calendar XX."),
        ],
    )
    def test_what_is_refused_is_said_and_changes_nothing(self, admin, ran, clock, data, error: str) -> None:
        clock.now = DUE
        before = Schedule.objects.values().get()

        page = self.act(admin, ran, **data).content.decode()

        assert error in page
        assert Schedule.objects.values().get() == before
        assert not LogEntry.objects.exists()

    @pytest.mark.parametrize("permissions", [(), ("view_schedule",)])
    def test_it_needs_the_permission_to_change_schedules(self, ran, permissions: tuple[str, ...]) -> None:
        client, user = Client(), UserFactory(is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)

        assert self.act(client, ran, leave_out=(DUE + DAY).isoformat()).status_code == 403
        assert Schedule.objects.get().left_out_dates == ""

    def test_a_schedule_that_has_ended_or_is_gone_is_refused(self, admin, ran) -> None:
        Schedule.objects.update(status="canceled", next_wall="", next_run_at=None)

        assert self.act(admin, ran, leave_out=(DUE + DAY).isoformat()).status_code == 403
        assert "coming-runs" not in admin.get(f"{LIST}{ran.pk}/change/").content.decode()
        ran.delete()
        assert self.act(admin, Schedule(), add="2026-11-23T10:00").status_code == 404

    def test_it_is_only_changed_by_post(self, admin, ran) -> None:
        assert admin.get(f"{LIST}{ran.pk}/dates/").status_code == 405


def test_the_form_has_the_countries(admin) -> None:
    page = admin.get(f"{LIST}add/").content.decode()

    assert '<option value="DE">Germany</option>' in page
    assert FORM["recurrence"] not in page
