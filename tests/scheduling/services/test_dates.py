"""Coming dates of a schedule that has begun are left out, put back and added; nothing in the past changes."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from messaging.models import ClientEvent
from messaging.services.errors import InvalidField
from scheduling import holiday_calendar
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import dates, schedules, timing
from scheduling.services.errors import AlreadyRan, ScheduleEnded
from scheduling.services.outlook import look_ahead
from tests.factories import EndpointFactory
from tests.messaging.parallel import at_once
from tests.scheduling.making import DUE, create, expand_all, tick

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DAILY = "RRULE:FREQ=DAILY"

pytestmark = pytest.mark.usefixtures("express")


@pytest.fixture
def ran(owner) -> Schedule:
    """Ran on 22 November at 10:00 UTC, and runs daily."""
    schedule = create(owner, recurrence=DAILY)
    tick()
    expand_all()
    schedule.refresh_from_db()
    return schedule


def after(schedule: Schedule) -> datetime | None:
    schedule.refresh_from_db()
    return schedule.next_run_at


def change(schedule: Schedule, now: datetime = DUE, **changes: Any) -> Schedule:
    return schedules.change(schedule_id=schedule.pk, owner=schedule.owner, changes=changes, now=now)


def exdates(*days: int) -> str:
    return f"{DAILY}\nEXDATE:" + ",".join(f"202611{day:02}T100000Z" for day in days)


def refused(call, *args: Any, **options: Any) -> tuple[str, str]:
    before = Schedule.objects.values().get()
    with pytest.raises(InvalidField) as refusal:
        call(*args, **options)
    assert Schedule.objects.values().get() == before
    return refusal.value.field, refusal.value.field_code


class TestOneRun:
    def test_the_next_run_is_left_out_and_put_back(self, ran) -> None:
        dates.leave_out(schedule_id=ran.pk, at=DUE + DAY, now=DUE)
        without = after(ran), ran.left_out_dates
        dates.put_back(schedule_id=ran.pk, at=DUE + DAY, now=DUE)

        assert without == (DUE + 2 * DAY, "2026-11-23T10:00:00")
        assert (after(ran), ran.left_out_dates, ran.added_dates) == (DUE + DAY, "", "")

    def test_a_later_run_is_left_out_when_it_comes(self, ran) -> None:
        dates.leave_out(schedule_id=ran.pk, at=DUE + 2 * DAY, now=DUE)

        started = [after(ran)]
        for _ in range(2):
            tick(started[-1])
            expand_all(started[-1])
            started.append(after(ran))

        assert started == [DUE + DAY, DUE + 3 * DAY, DUE + 4 * DAY]
        assert ran.runs.count() == 3

    def test_a_run_is_added_runs_once_and_does_not_move_the_rule(self, ran) -> None:
        dates.put_back(schedule_id=ran.pk, at=DUE + 3 * HOUR, now=DUE)
        assert after(ran) == DUE + 3 * HOUR

        tick(DUE + 3 * HOUR)

        assert (after(ran), ran.last_wall, ran.last_added_wall) == (
            DUE + DAY,
            "2026-11-22T10:00:00",
            "2026-11-22T13:00:00",
        )
        expand_all()
        tick(DUE + DAY)
        assert (after(ran), ran.last_added_wall, ran.occurrences) == (DUE + 2 * DAY, "", 2)

    def test_an_added_run_that_is_left_out_again_is_gone(self, ran) -> None:
        dates.put_back(schedule_id=ran.pk, at=DUE + 3 * HOUR, now=DUE)
        dates.leave_out(schedule_id=ran.pk, at=DUE + 3 * HOUR, now=DUE)

        assert (after(ran), ran.left_out_dates, ran.added_dates) == (DUE + DAY, "", "")

    def test_a_run_in_a_skipped_hour_is_put_back_however_it_was_left_out(self, owner) -> None:
        schedule = create(
            owner,
            run_at=datetime(2026, 11, 29, 2, 30),  # noqa: DTZ001
            time_zone="Europe/Berlin",
            recurrence=f"{DAILY}\nEXDATE:20270328T023000",
        )
        at_the_end_of_the_gap = datetime(2027, 3, 28, 1, 0, tzinfo=UTC)

        dates.put_back(schedule_id=schedule.pk, at=at_the_end_of_the_gap, now=DUE)

        schedule.refresh_from_db()
        assert (schedule.left_out_dates, schedule.added_dates) == ("", "")

    def test_an_added_run_in_a_skipped_hour_is_taken_back(self, owner) -> None:
        schedule = create(
            owner,
            run_at=datetime(2026, 11, 29, 9, 0),  # noqa: DTZ001
            time_zone="Europe/Berlin",
            recurrence=f"{DAILY}\nRDATE:20270328T023000",
        )

        dates.leave_out(schedule_id=schedule.pk, at=datetime(2027, 3, 28, 1, 0, tzinfo=UTC), now=DUE)

        schedule.refresh_from_db()
        assert (schedule.left_out_dates, schedule.added_dates) == ("", "")

    def test_a_time_beyond_the_last_year_is_refused(self, owner) -> None:
        schedule = create(owner, recurrence=DAILY, time_zone="Asia/Tokyo")
        last = datetime.max.replace(tzinfo=UTC)

        for edit in (dates.leave_out, dates.put_back):
            assert refused(edit, schedule_id=schedule.pk, at=last, now=DUE) == ("at", "invalid")

    def test_no_run_is_added_before_the_start(self, owner) -> None:
        schedule = create(owner, recurrence=DAILY)

        assert refused(dates.put_back, schedule_id=schedule.pk, at=DUE - HOUR, now=DUE - 2 * HOUR) == (
            "recurrence",
            "invalid",
        )

    def test_a_run_is_put_back_on_a_holiday(self, owner) -> None:
        schedule = create(owner, recurrence=DAILY, holidays="US")
        thanksgiving = DUE + 4 * DAY
        assert [run.utc for run in look_ahead(schedule, count=5, now=DUE - HOUR).runs][3:] == [
            DUE + 3 * DAY,
            DUE + 5 * DAY,
        ]

        dates.put_back(schedule_id=schedule.pk, at=thanksgiving, now=DUE - HOUR)

        schedule.refresh_from_db()
        runs = look_ahead(schedule, count=5, now=DUE - HOUR).runs
        assert [(run.utc, run.is_added) for run in runs][3:] == [(DUE + 3 * DAY, False), (thanksgiving, True)]

    @pytest.mark.parametrize("act", [dates.leave_out, dates.put_back])
    def test_the_past_stays(self, ran, act) -> None:
        assert refused(act, schedule_id=ran.pk, at=DUE, now=DUE) == ("at", "in_the_past")

    def test_the_last_run_is_not_left_out(self, owner) -> None:
        schedule = create(owner, recurrence=f"{DAILY};COUNT=2")
        tick()

        assert refused(dates.leave_out, schedule_id=schedule.pk, at=DUE + DAY, now=DUE) == ("recurrence", "never_fires")

    def test_there_is_a_most(self, ran) -> None:
        Schedule.objects.update(
            added_dates=" ".join(
                (DUE + number * DAY + HOUR).replace(tzinfo=None).isoformat() for number in range(1_000)
            )
        )

        assert refused(dates.leave_out, schedule_id=ran.pk, at=DUE + DAY, now=DUE)[0] == "recurrence"

    def test_a_schedule_that_has_ended_is_refused(self, ran) -> None:
        Schedule.objects.update(status="canceled", next_wall="", next_run_at=None)

        with pytest.raises(ScheduleEnded):
            dates.leave_out(schedule_id=ran.pk, at=DUE + DAY, now=DUE)

        assert Schedule.objects.get().left_out_dates == ""


class TestChange:
    def test_dates_and_holidays_change_after_the_first_run(self, ran) -> None:
        changed = change(ran, recurrence=exdates(23, 24), holidays="us")

        assert (after(ran), changed.holidays) == (DUE + 3 * DAY, "US")
        assert timing.recurrence_text(changed) == exdates(23, 24)
        assert changed.occurrences == 1

    def test_a_rule_written_in_another_way_is_the_same(self, ran) -> None:
        change(ran, recurrence="rrule:freq=daily\r\nexdate;value=date:20261123")

        assert (after(ran), ran.recurrence) == (DUE + 2 * DAY, DAILY)

    def test_dates_that_are_over_stay_whatever_is_sent(self, ran) -> None:
        Schedule.objects.update(left_out_dates="2026-11-20T10:00:00", added_dates="2026-11-22T09:30:00")

        change(ran, recurrence=f"{DAILY}\nRDATE:20261123T120000Z")

        ran.refresh_from_db()
        assert ran.left_out_dates == "2026-11-20T10:00:00"
        assert ran.added_dates == "2026-11-22T09:30:00 2026-11-23T12:00:00"

    @pytest.mark.parametrize("line", ["EXDATE:20261121T100000Z", "EXDATE:20261121", "RDATE:20261122T100000Z"])
    def test_a_new_date_in_the_past_is_refused(self, ran, line: str) -> None:
        assert refused(change, ran, recurrence=f"{DAILY}\n{line}") == ("recurrence", "in_the_past")

    @pytest.mark.parametrize(
        "changes",
        [
            {"recurrence": "RRULE:FREQ=WEEKLY"},
            {"recurrence": None},
            {"recurrence": exdates(23), "name": "Other"},
            {"holidays": "US", "run_at": DUE + DAY},
            {},
        ],
    )
    def test_everything_else_is_refused_after_the_first_run(self, ran, changes: dict[str, Any]) -> None:
        before = Schedule.objects.values().get()

        with pytest.raises(AlreadyRan):
            change(ran, **changes)

        assert Schedule.objects.values().get() == before

    def test_what_was_left_out_in_the_past_does_not_run_late(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=HOURLY", holidays="US", run_at=DUE)
        tick(DUE)
        expand_all()
        Schedule.objects.update(left_out_dates="2026-11-22T11:00:00")
        timing_before = Schedule.objects.get()
        timing.recompute(timing_before, last_run=DUE)
        timing_before.save()
        now = DUE + HOUR + timedelta(minutes=30)
        Schedule.objects.update(left_out_dates="")

        change(schedule, now, holidays=None)

        assert after(schedule) == DUE + 2 * HOUR
        assert tick(now) == 0

    def test_a_run_that_is_due_stays_due(self, ran) -> None:
        change(ran, DUE + DAY + HOUR / 2, recurrence=exdates(24))

        assert after(ran) == DUE + DAY
        tick(DUE + DAY + HOUR / 2)
        assert after(ran) == DUE + 3 * DAY

    def test_a_paused_schedule_takes_dates(self, ran) -> None:
        schedules.pause(schedule_id=ran.pk, now=DUE)

        change(ran, recurrence=exdates(23))

        assert (after(ran), ran.status) == (DUE + 2 * DAY, "paused")

    def test_before_the_first_run_the_dates_are_replaced(self, owner) -> None:
        schedule = create(owner, recurrence=exdates(23))

        change(schedule, DUE - HOUR, recurrence=exdates(22))
        assert (after(schedule), schedule.left_out_dates) == (DUE + DAY, "2026-11-22T10:00:00")
        change(schedule, DUE - HOUR, recurrence=None)

        assert (after(schedule), schedule.left_out_dates) == (DUE, "")

    @pytest.mark.parametrize(
        ("run_at", "left_out", "next_run"),
        [
            ("2026-12-01T09:00:00+01:00", "2026-12-02T03:00:00", "2026-12-01T08:00:00+00:00"),
            ("2026-12-01T09:00:00", "2026-12-02T09:00:00", "2026-12-01T14:00:00+00:00"),
        ],
    )
    def test_in_another_zone_the_dates_move_as_the_start_does(self, owner, run_at, left_out, next_run) -> None:
        schedule = create(
            owner,
            run_at=datetime.fromisoformat(run_at),
            time_zone="Europe/Berlin",
            recurrence=f"{DAILY}\nEXDATE;TZID=Europe/Berlin:20261202T090000",
        )

        change(schedule, DUE, time_zone="America/New_York")

        assert after(schedule).isoformat() == next_run
        assert schedule.left_out_dates == left_out


class TestRuns:
    def test_added_dates_without_a_rule_run_and_then_it_is_completed(self, owner) -> None:
        EndpointFactory(owner=owner)
        schedule = create(owner, recurrence="RDATE:20261122T120000Z,20261124T100000Z")
        due = [DUE, DUE + 2 * HOUR, DUE + 2 * DAY]
        for moment in due:
            assert after(schedule) == moment
            tick(moment)
            expand_all(moment)

        schedule.refresh_from_db()
        assert (schedule.status, schedule.next_run_at) == ("completed", None)
        assert sorted(schedule.runs.values_list("due_at", flat=True)) == due
        text = "RDATE:20261122T120000Z,20261124T100000Z"
        event = ClientEvent.objects.get(type="schedule.completed")
        assert event.snapshot["data"]["recurrence"] == text

    def test_only_the_latest_of_missed_added_dates_runs(self, owner) -> None:
        schedule = create(owner, recurrence="RDATE:20261122T101000Z,20261122T102000Z,20261124T100000Z")

        tick(DUE + HOUR / 2)

        assert sorted(schedule.runs.values_list("due_at", "status")) == [
            (DUE, "missed"),
            (DUE + HOUR / 3, "pending"),
        ]

    def test_a_schedule_that_has_run_on_an_added_date_only_is_not_deleted(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=WEEKLY;BYDAY=TU\nRDATE:20261122T120000Z")
        assert after(schedule) == DUE + 2 * HOUR
        tick(DUE + 2 * HOUR)

        with pytest.raises(AlreadyRan):
            schedules.delete(schedule_id=schedule.pk)

        assert (after(schedule), schedule.occurrences) == (DUE + 2 * DAY, 0)

    def test_a_day_that_has_become_a_holiday_is_left_out_when_it_is_due(self, owner, monkeypatch, caplog) -> None:
        schedule = create(owner, recurrence=DAILY, holidays="US")
        monkeypatch.setattr(holiday_calendar, "name_on", lambda _code, day: "Coronation" if day == DUE.date() else "")

        assert tick(DUE) == 0

        assert (after(schedule), ScheduleRun.objects.count()) == (DUE + DAY, 0)
        assert caplog.messages == [f"schedule {schedule.pk} leaves out 2026-11-22T10:00:00, a holiday of US"]


class TestOutlook:
    def test_it_lists_what_is_left_out_before_the_last_run(self, owner) -> None:
        schedule = create(owner, recurrence=exdates(23, 30) + "\nRDATE:20261124T120000Z", holidays="US")

        outlook = look_ahead(schedule, count=5, now=DUE - HOUR)

        assert [(run.utc - DUE, run.is_added) for run in outlook.runs] == [
            (0 * DAY, False),
            (2 * DAY, False),
            (2 * DAY + 2 * HOUR, True),
            (3 * DAY, False),
            (5 * DAY, False),
        ]
        assert [(each.utc - DUE, each.reason, each.name) for each in outlook.left_out] == [
            (DAY, "exdate", ""),
            (4 * DAY, "holiday", "Thanksgiving Day"),
        ]
        assert outlook.notes == []

    def test_dates_that_match_no_run_and_a_calendar_that_is_gone_are_noted(self, owner) -> None:
        schedule = create(
            owner, recurrence=f"{exdates(24)}\nEXDATE:20261125T110000Z\nEXDATE;VALUE=DATE:20261126,20261127"
        )
        Schedule.objects.update(holidays="US-ZZ", recurrence="RRULE:FREQ=WEEKLY;BYDAY=SU,TU,TH")
        schedule.refresh_from_db()

        outlook = look_ahead(schedule, count=2, now=DUE - HOUR)

        assert [note.code for note in outlook.notes] == ["unknown_calendar", "matches_no_run", "matches_no_run"]
        assert [note.detail for note in outlook.notes[1:]] == [
            "EXDATE 2026-11-25 11:00 matches no run.",
            "EXDATE 2026-11-27 matches no run.",
        ]
        assert "There is no holiday calendar US-ZZ." in outlook.notes[0].detail

    def test_a_day_of_left_out_minutes_is_listed_up_to_a_hundred(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=MINUTELY\nEXDATE;VALUE=DATE:20261123")

        outlook = look_ahead(schedule, count=900, now=DUE - HOUR)

        assert (len(outlook.runs), len(outlook.left_out)) == (900, 100)
        assert outlook.runs[840].utc == DUE.replace(day=24, hour=0)


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_a_run_that_is_left_out_at_its_time_is_left_out_or_has_started(self, owner) -> None:
        for _ in range(5):
            schedule = create(owner, recurrence=DAILY)

            at_once([partial(dates.leave_out, schedule_id=schedule.pk, at=DUE, now=DUE - HOUR), tick])

            schedule.refresh_from_db()
            assert (schedule.left_out_dates, schedule.next_run_at) == ("2026-11-22T10:00:00", DUE + DAY)
            assert schedule.runs.count() == schedule.occurrences
