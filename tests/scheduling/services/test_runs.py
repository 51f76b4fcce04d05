"""Runs start when they are due: once, not too late, and not on top of each other."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from messaging.models import ClientEvent, Message
from messaging.states import Source
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import runs, schedules
from scheduling.services.errors import AlreadyRan
from tests.messaging.parallel import at_once
from tests.scheduling.making import DUE, MAX_LATENESS, create, expand_all, recipients_of_messages, tick

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=s) for s in (1, 60, 3600, 86_400))
ROUNDS = 5


def rows() -> list[tuple[datetime, str]]:
    return list(ScheduleRun.objects.order_by("due_at").values_list("due_at", "status"))


def pause(schedule: Schedule, now: datetime) -> None:
    schedules.pause(schedule_id=schedule.pk, now=now)


def resume(schedule: Schedule, now: datetime) -> None:
    schedules.resume(schedule_id=schedule.pk, now=now)


class TestMissed:
    """A minutely schedule after ten minutes without a tick: ten occurrences are due, none of them too late."""

    OUTAGE_ENDS = DUE + 9 * MINUTE + 30 * SECOND

    def ticks(self, count: int = 20) -> list[tuple[datetime, str, str]]:
        for number in range(count):
            tick(self.OUTAGE_ENDS + number * SECOND)
            expand_all(self.OUTAGE_ENDS + number * SECOND)
        return list(ScheduleRun.objects.order_by("due_at").values_list("due_at", "status", "detail"))

    def test_by_default_only_the_latest_is_made_up_for(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=MINUTELY")

        assert self.ticks() == [
            (DUE, "missed", "a later run was due already; 8 more were missed after it"),
            (DUE + 9 * MINUTE, "done", ""),
        ]
        schedule.refresh_from_db()
        assert (schedule.occurrences, schedule.next_run_at) == (10, DUE + 10 * MINUTE)
        assert Message.objects.count() == 1

    def test_or_all_are(self, owner) -> None:
        create(owner, recurrence="FREQ=MINUTELY", missed="all")

        assert self.ticks() == [(DUE + n * MINUTE, "done", "") for n in range(10)]

    def test_or_none_is(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=MINUTELY", missed="none")

        assert self.ticks(1) == [(DUE, "missed", "more than 60 s late; 8 more were missed after it")]
        assert self.ticks() == [*self.ticks(0)[:1], (DUE + 9 * MINUTE, "done", "")]
        schedule.refresh_from_db()
        assert schedule.next_run_at == DUE + 10 * MINUTE

    def test_a_single_late_run_is_the_latest(self, owner) -> None:
        create(owner)

        assert self.ticks(1) == [(DUE, "done", "")]

    def test_but_is_none_of_the_punctual_ones(self, owner) -> None:
        create(owner, missed="none")

        assert self.ticks(1) == [(DUE, "missed", "more than 60 s late")]
        assert Schedule.objects.get().status == "completed"

    def test_the_latest_starts_in_the_tick_that_skips_the_others(self, owner) -> None:
        """Otherwise a schedule that is due again before the next tick would never run."""
        create(owner, recurrence="FREQ=MINUTELY")

        for minutes in range(1, 4):
            tick(DUE + 2 * minutes * MINUTE)
            expand_all(DUE + 2 * minutes * MINUTE)

        assert [status for _, status in rows()] == ["missed", "done"] * 3
        assert Message.objects.count() == 3

    def test_a_start_in_the_second_of_two_equal_hours_is_not_superseded_by_the_first(self, owner) -> None:
        """The rule goes on at 02:40, which was in the first hour; the next time after it is 03:00."""
        start = datetime.fromisoformat("2027-10-31T02:30+01:00")
        create(owner, run_at=start, time_zone="Europe/Berlin", recurrence="FREQ=MINUTELY;INTERVAL=10")

        tick(start + SECOND)

        assert rows() == [(start, "pending")]
        assert Schedule.objects.get().next_run_at == datetime.fromisoformat("2027-10-31T03:00+01:00")

    def test_count_counts_the_missed_ones(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=MINUTELY;COUNT=5")

        assert [run[:2] for run in self.ticks()] == [(DUE, "missed"), (DUE + 4 * MINUTE, "done")]
        schedule.refresh_from_db()
        assert (schedule.status, schedule.occurrences) == ("completed", 5)

    @pytest.mark.parametrize("missed", ["latest", "all", "none"])
    def test_in_time_every_run_runs(self, owner, missed: str) -> None:
        create(owner, recurrence="FREQ=MINUTELY;COUNT=3", missed=missed)
        for number in range(3):
            tick(DUE + number * MINUTE + SECOND)
            expand_all(DUE + number * MINUTE + SECOND)

        assert rows() == [(DUE + n * MINUTE, "done") for n in range(3)]


class TestDue:
    def test_a_run_starts_at_its_time_and_not_before(self, owner) -> None:
        schedule = create(owner)

        assert tick(DUE - timedelta(microseconds=1)) == 0
        assert rows() == []
        assert tick(DUE) == 1

        assert rows() == [(DUE, "pending")]
        schedule.refresh_from_db()
        assert (schedule.status, schedule.occurrences, schedule.next_run_at) == ("active", 1, None)
        assert (schedule.last_wall, schedule.next_wall) == ("2026-11-22T10:00:00", "")

    def test_it_starts_once(self, owner) -> None:
        create(owner)

        assert [tick(DUE + n * SECOND) for n in range(4)] == [1, 0, 0, 0]

        assert rows() == [(DUE, "pending")]

    def test_a_start_makes_no_message_yet(self, owner) -> None:
        create(owner, 3)

        tick()

        assert not Message.objects.exists()

    def test_a_recurring_one_is_given_its_next_time(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=DAILY")

        tick()

        schedule.refresh_from_db()
        assert (schedule.occurrences, schedule.last_wall) == (1, "2026-11-22T10:00:00")
        assert (schedule.next_wall, schedule.next_run_at) == ("2026-11-23T10:00:00", DUE + DAY)

    def test_all_that_is_due_starts_in_one_tick(self, owner) -> None:
        for minute in range(3):
            create(owner, run_at=DUE + minute * MINUTE)

        assert tick(DUE + MINUTE) == 2

        assert rows() == [(DUE, "pending"), (DUE + MINUTE, "pending")]

    def test_many_at_once_are_started_over_several_ticks_the_oldest_first(self, owner, monkeypatch) -> None:
        monkeypatch.setattr(runs, "MAX_STARTS", 2)
        for minute in (2, 0, 1):
            create(owner, run_at=DUE + minute * MINUTE)

        assert tick(DUE + 2 * MINUTE) == 2
        assert [due for due, _ in rows()] == [DUE, DUE + MINUTE]
        assert tick(DUE + 2 * MINUTE) == 1

    def test_of_those_at_one_time_the_one_that_was_made_first_is_started_first(self, owner, monkeypatch) -> None:
        monkeypatch.setattr(runs, "MAX_STARTS", 1)
        first, second = create(owner), create(owner)
        for next_run_at in (DUE + SECOND, DUE):  # an index has this row behind the second then
            Schedule.objects.filter(pk=first.pk).update(next_run_at=next_run_at)

        tick()

        assert (first.runs.count(), second.runs.count()) == (1, 0)

    def test_a_paused_one_does_not_start(self, owner, now) -> None:
        schedule = create(owner)
        pause(schedule, now)

        assert tick(DUE) == 0

        assert rows() == []
        assert Schedule.objects.get().next_run_at == DUE


class TestLateness:
    def test_a_run_may_be_as_late_as_allowed(self, owner) -> None:
        create(owner, 2)

        tick(DUE + MAX_LATENESS)

        assert rows() == [(DUE, "pending")]
        assert expand_all(DUE + MAX_LATENESS) == 2

    def test_a_later_one_is_missed_recorded_and_not_sent(self, owner) -> None:
        schedule = create(owner, 2)
        late = DUE + MAX_LATENESS + SECOND

        assert tick(late) == 1

        run = ScheduleRun.objects.get()
        assert (run.due_at, run.status, run.finished_at, run.started_at) == (DUE, "missed", late, None)
        assert run.detail == "more than 3600 s late"
        assert expand_all(late) == 0
        assert not Message.objects.exists()
        schedule.refresh_from_db()
        assert (schedule.status, schedule.next_run_at) == ("completed", None)

    def test_a_stretch_of_missed_runs_is_one_row_and_the_next_one_is_now(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=HOURLY")
        late = DUE + 30 * HOUR + 30 * MINUTE  # so 0 … 29 are more than an hour late, the 30th half an hour

        assert tick(late) == 1

        run = ScheduleRun.objects.get()
        assert (run.due_at, run.status) == (DUE, "missed")
        assert run.detail == "more than 3600 s late; 29 more were missed after it"
        schedule.refresh_from_db()
        assert (schedule.occurrences, schedule.next_run_at) == (30, DUE + 30 * HOUR)
        assert tick(late) == 1
        assert rows() == [(DUE, "missed"), (DUE + 30 * HOUR, "pending")]

    def test_a_year_of_minutes_is_jumped_over_in_one_tick(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=MINUTELY")

        assert tick(DUE + 7 * DAY) == 1

        assert rows() == [(DUE, "missed")]
        assert Schedule.objects.get(pk=schedule.pk).next_run_at == DUE + 7 * DAY - HOUR

    def test_missed_runs_count_for_count(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=DAILY;COUNT=4")

        tick(DUE + 2 * DAY + 2 * HOUR)

        schedule.refresh_from_db()
        assert (schedule.occurrences, schedule.next_run_at, schedule.status) == (3, DUE + 3 * DAY, "active")
        tick(DUE + 3 * DAY)
        expand_all(DUE + 3 * DAY)
        assert rows() == [(DUE, "missed"), (DUE + 3 * DAY, "done")]
        assert Schedule.objects.get().status == "completed"

    def test_a_recurrence_that_ended_during_a_downtime_is_completed_with_the_number_of_missed_runs(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=DAILY;COUNT=4")

        tick(DUE + 30 * DAY)

        run = ScheduleRun.objects.get()
        assert (run.due_at, run.status) == (DUE, "missed")
        assert run.detail == "more than 3600 s late; 3 more were missed after it"
        schedule.refresh_from_db()
        assert (schedule.status, schedule.next_run_at, schedule.occurrences) == ("completed", None, 4)

    def test_one_resumed_late_but_not_too_late_starts(self, owner, now) -> None:
        schedule = create(owner)
        pause(schedule, now)

        resume(schedule, DUE + 30 * MINUTE)
        tick(DUE + 30 * MINUTE)

        assert rows() == [(DUE, "pending")]

    def test_one_resumed_too_late_is_missed(self, owner, now) -> None:
        schedule = create(owner)
        pause(schedule, now)

        resume(schedule, DUE + 2 * HOUR)
        tick(DUE + 2 * HOUR)

        assert rows() == [(DUE, "missed")]


class TestOverlap:
    def test_a_run_that_starts_while_the_last_is_expanding_is_skipped(self, owner) -> None:
        schedule = create(owner, 2, recurrence="FREQ=MINUTELY")
        tick(DUE)

        assert tick(DUE + MINUTE) == 1

        assert rows() == [(DUE, "pending"), (DUE + MINUTE, "skipped")]
        skipped = ScheduleRun.objects.get(status="skipped")
        assert (skipped.detail, skipped.finished_at) == (
            "the run before was still being expanded",
            DUE + MINUTE,
        )
        schedule.refresh_from_db()
        assert (schedule.occurrences, schedule.next_run_at) == (2, DUE + 2 * MINUTE)
        assert expand_all(DUE + MINUTE) == 2
        tick(DUE + 2 * MINUTE)
        assert rows()[-1] == (DUE + 2 * MINUTE, "pending")

    def test_another_schedule_is_not_in_the_way(self, owner) -> None:
        create(owner)
        tick(DUE)
        create(owner, run_at=DUE + MINUTE)

        tick(DUE + MINUTE)

        assert rows() == [(DUE, "pending"), (DUE + MINUTE, "pending")]

    def test_when_the_last_run_is_skipped_the_one_before_completes_the_schedule(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=MINUTELY;COUNT=2")
        tick(DUE)
        tick(DUE + MINUTE)

        schedule.refresh_from_db()
        assert (schedule.status, schedule.next_run_at) == ("active", None)
        expand_all(DUE + MINUTE)

        schedule.refresh_from_db()
        assert schedule.status == "completed"


class TestCompletion:
    def test_one_run_completes_it_when_it_is_expanded(self, owner) -> None:
        schedule = create(owner)

        tick()
        assert Schedule.objects.get().status == "active"
        expand_all(DUE + SECOND)

        schedule.refresh_from_db()
        assert (schedule.status, schedule.updated_at) == ("completed", DUE + SECOND)
        event = ClientEvent.objects.get(type="schedule.completed")
        assert (event.owner_id, event.at, event.message_id) == (schedule.owner_id, DUE + SECOND, None)
        assert event.snapshot["data"]["id"] == str(schedule.pk)

    def test_a_series_is_completed_by_its_last_run(self, owner) -> None:
        schedule = create(owner, recurrence="FREQ=DAILY;COUNT=3")
        seen = []

        for day in range(5):
            tick(DUE + day * DAY)
            expand_all(DUE + day * DAY)
            seen.append(Schedule.objects.get(pk=schedule.pk).status)

        assert seen == ["active", "active", "completed", "completed", "completed"]
        assert ClientEvent.objects.filter(type="schedule.completed").count() == 1
        assert rows() == [(DUE + day * DAY, "done") for day in range(3)]
        assert recipients_of_messages() == ["+14155560000"] * 3

    def test_a_paused_one_that_has_run_for_the_last_time_is_completed_too(self, owner) -> None:
        schedule = create(owner)
        tick()
        pause(schedule, DUE)

        expand_all()

        assert Schedule.objects.get().status == "completed"


@pytest.mark.parametrize(
    ("start", "moments"),
    [
        (
            datetime.fromisoformat("2027-03-27T02:30"),
            ["2027-03-27T01:30", "2027-03-28T01:00", "2027-03-29T00:30", "2027-03-30T00:30"],
        ),
        (datetime.fromisoformat("2027-10-30T02:30"), ["2027-10-30T00:30", "2027-10-31T00:30", "2027-11-01T01:30"]),
    ],
    ids=["spring", "autumn"],
)
def test_a_daily_wall_time_over_a_change_of_the_clock_runs_once_a_day(owner, start, moments) -> None:
    """A skipped wall time runs at the end of the gap, a repeated one only the first time."""
    create(owner, run_at=start, time_zone="Europe/Berlin", recurrence=f"FREQ=DAILY;COUNT={len(moments)}")
    moment, end = datetime.fromisoformat(moments[0] + "+00:00") - HOUR, datetime.fromisoformat(moments[-1] + "+00:00")

    while moment <= end + 3 * HOUR:
        tick(moment)
        expand_all(moment)
        moment += 15 * MINUTE

    assert rows() == [(datetime.fromisoformat(text).replace(tzinfo=UTC), "done") for text in moments]
    assert Message.objects.count() == len(moments)


@pytest.mark.django_db(transaction=True)
class TestRaces:
    """The tick concurrent with other changes: in any order, no change is applied partly."""

    def test_of_many_ticks_at_once_one_starts_the_run(self, owner) -> None:
        for number in range(ROUNDS):
            schedule = create(owner, run_at=DUE + number * MINUTE)

            started = at_once([partial(tick, DUE + number * MINUTE)] * 4)

            assert sum(started) == 1
            assert [run.status for run in schedule.runs.all()] == ["pending"]

    def test_two_ticks_share_what_is_due_without_starting_anything_twice(self, owner) -> None:
        made = [create(owner) for _ in range(10)]

        started = at_once([tick] * 3)
        tick()  # rows that one skipped because the other had locked them

        assert sum(started) <= 10
        assert ScheduleRun.objects.count() == 10
        assert {schedule.runs.count() for schedule in made} == {1}

    def test_tick_and_pause(self, owner) -> None:
        for _ in range(ROUNDS):
            schedule = create(owner, recurrence="FREQ=DAILY")

            started, paused = at_once([tick, partial(schedules.pause, schedule_id=schedule.pk, now=DUE)])

            schedule.refresh_from_db()
            assert (schedule.status, paused.status) == ("paused", "paused")
            assert started == schedule.runs.count() == schedule.occurrences
            assert schedule.next_run_at == DUE + started * DAY
            assert tick(DUE + 2 * DAY) == 0

    def test_tick_and_resume(self, owner) -> None:
        for _ in range(ROUNDS):
            schedule = create(owner, recurrence="FREQ=DAILY")
            pause(schedule, DUE - SECOND)

            started, resumed = at_once([tick, partial(schedules.resume, schedule_id=schedule.pk, now=DUE)])

            assert resumed.status == "active"
            assert started + tick() == 1
            schedule.refresh_from_db()
            assert (schedule.status, schedule.occurrences, schedule.next_run_at) == ("active", 1, DUE + DAY)
            assert [run.due_at for run in schedule.runs.all()] == [DUE]

    def test_tick_and_cancel(self, owner) -> None:
        for _ in range(ROUNDS):
            schedule = create(owner, 3, recurrence="FREQ=DAILY")
            cancel = partial(schedules.cancel, schedule_id=schedule.pk, actor=owner, now=DUE, source=Source.API)

            started, (canceled, count) = at_once([tick, cancel])

            schedule.refresh_from_db()
            assert (schedule.status, schedule.next_run_at, canceled.status, count) == ("canceled", None, "canceled", 0)
            assert [run.status for run in schedule.runs.all()] == ["skipped"] * started
            assert (tick(DUE + DAY), expand_all(DUE + DAY)) == (0, 0)
            assert not Message.objects.exists()

    def test_tick_and_reschedule(self, owner) -> None:
        later = DUE + DAY
        for _ in range(ROUNDS):
            schedule = create(owner)
            change = partial(
                schedules.change,
                schedule_id=schedule.pk,
                owner=owner,
                changes={"run_at": later},
                now=DUE - SECOND,
            )

            started, changed = at_once([tick, change])

            schedule.refresh_from_db()
            if started:
                assert isinstance(changed, AlreadyRan)
                assert [run.due_at for run in schedule.runs.all()] == [DUE]
                assert schedule.next_run_at is None
            else:
                assert changed.next_run_at == schedule.next_run_at == later
                assert not schedule.runs.exists()
            schedules.cancel(schedule_id=schedule.pk, actor=owner, now=DUE, source=Source.API)
