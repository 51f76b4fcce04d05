"""Newer zone data moves next runs, and no run is repeated because of it."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from messaging.models import ClientEvent, Message
from scheduling import tasks, zone_data
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import schedules, zone_update
from scheduling.services.outlook import look_ahead
from tests.messaging.parallel import at_once
from tests.scheduling.making import MAX_LATENESS, create, expand_all, tick

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=s) for s in (1, 60, 3600, 86_400))
ZONE = "America/Vancouver"
OLD, NEW = "2025b", "2026f"
UTC_7, UTC_8 = {ZONE: "Etc/GMT+7"}, {ZONE: "Etc/GMT+8"}
WALL = datetime.fromisoformat("2026-12-15T09:00")
BEFORE, AFTER = datetime(2026, 12, 15, 17, tzinfo=UTC), datetime(2026, 12, 15, 16, tzinfo=UTC)
NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _old_release(install_release) -> None:
    install_release(OLD, UTC_8)


@pytest.fixture
def upgrade(install_release) -> Callable[[], None]:
    return partial(install_release, NEW, UTC_7)


def recompute(now: datetime = NOW) -> int:
    return zone_update.recompute_waiting(now=now)


def stored(schedule: Schedule) -> tuple[datetime | None, datetime | None, str]:
    schedule.refresh_from_db()
    return schedule.next_run_at, schedule.moved_from, schedule.zone_release


def runs_of(schedule: Schedule) -> list[tuple[datetime, str]]:
    return list(schedule.runs.order_by("due_at").values_list("due_at", "status"))


class TestWhatMoves:
    def test_a_wall_time_keeps_its_clock_and_is_logged(self, owner, upgrade, caplog) -> None:
        schedule = create(owner, run_at=WALL, time_zone=ZONE)
        upgrade()

        with caplog.at_level(logging.WARNING):
            assert recompute() == 1

        assert stored(schedule) == (AFTER, BEFORE, NEW)
        assert (schedule.start_wall, schedule.next_wall) == ("2026-12-15T09:00:00", "2026-12-15T09:00:00")
        assert schedule.updated_at == NOW
        [line] = caplog.messages
        assert line.startswith(f"schedule {schedule.pk} in America/Vancouver moved from 2026-12-15T17:00:00Z ")
        assert line.endswith(" to 2026-12-15T16:00:00Z by tzdata 2026f")

    def test_a_start_with_an_offset_keeps_its_utc_time(self, owner, upgrade, caplog) -> None:
        schedule = create(owner, run_at=BEFORE, time_zone=ZONE, recurrence="FREQ=DAILY")
        upgrade()

        recompute()

        assert stored(schedule) == (BEFORE, None, NEW)
        assert (schedule.start_wall, schedule.next_wall) == ("2026-12-15T10:00:00", "2026-12-15T10:00:00")
        assert [run.utc for run in look_ahead(schedule, count=2, now=BEFORE - DAY).runs] == [BEFORE, BEFORE + DAY]
        assert caplog.messages == []

    def test_dates_move_with_a_start_that_keeps_its_utc_time(self, owner, upgrade) -> None:
        dates = "EXDATE:20261216T170000Z\nEXDATE;VALUE=DATE:20261218\nRDATE:20261216T200000Z"
        schedule = create(owner, run_at=BEFORE, time_zone=ZONE, recurrence=f"FREQ=DAILY\n{dates}")
        upgrade()

        recompute()

        schedule.refresh_from_db()
        assert (schedule.left_out_dates, schedule.added_dates) == (
            "2026-12-16T10:00:00 2026-12-18",
            "2026-12-16T13:00:00",
        )
        assert [run.utc - BEFORE for run in look_ahead(schedule, count=4, now=BEFORE - DAY).runs] == [
            0 * DAY,
            DAY + 3 * HOUR,
            2 * DAY,
            4 * DAY,
        ]

    @pytest.mark.parametrize(
        ("run_at", "rule"), [(WALL, "FREQ=DAILY"), (BEFORE, "FREQ=DAILY;BYHOUR=9")], ids=["wall", "byhour"]
    )
    def test_dates_stay_beside_wall_times_that_stay(self, owner, upgrade, run_at: datetime, rule: str) -> None:
        schedule = create(owner, run_at=run_at, time_zone=ZONE, recurrence=f"{rule}\nEXDATE:20261217T090000")
        upgrade()

        recompute()

        schedule.refresh_from_db()
        assert schedule.left_out_dates == "2026-12-17T09:00:00"

    def test_another_zone_is_left_alone(self, owner, upgrade, caplog) -> None:
        schedule = create(owner, run_at=WALL, time_zone="Europe/Berlin")
        before = Schedule.objects.values().get()
        upgrade()

        recompute()

        schedule.refresh_from_db()
        assert Schedule.objects.values().get() == before | {"zone_release": NEW}
        assert caplog.messages == []

    def test_a_paused_schedule_moves_too_and_one_that_has_ended_does_not(self, owner, upgrade) -> None:
        paused, ended = (create(owner, run_at=WALL, time_zone=ZONE) for _ in range(2))
        schedules.pause(schedule_id=paused.pk, now=NOW)
        tick(BEFORE)
        expand_all(BEFORE)
        upgrade()

        recompute()

        assert stored(paused) == (AFTER, BEFORE, NEW)
        assert stored(ended) == (None, None, OLD)

    def test_rows_of_before_the_column_are_recomputed(self, owner, upgrade) -> None:
        schedule = create(owner, run_at=WALL, time_zone=ZONE)
        Schedule.objects.update(zone_release="")
        upgrade()

        recompute()

        assert stored(schedule) == (AFTER, BEFORE, NEW)

    def test_a_series_whose_last_run_now_lies_behind_its_end_is_completed(self, owner, install_release) -> None:
        install_release(OLD, UTC_7)
        schedule = create(owner, run_at=WALL, time_zone=ZONE, recurrence="FREQ=DAILY;UNTIL=20261215T163000Z")
        install_release(NEW, UTC_8)

        recompute()

        assert stored(schedule) == (None, AFTER, NEW)
        assert schedule.status == "completed"
        assert ClientEvent.objects.get().type == "schedule.completed"


class TestNoRunIsRepeated:
    def test_the_day_that_has_run_does_not_run_again(self, owner, upgrade) -> None:
        schedule = create(owner, run_at=WALL, time_zone=ZONE, recurrence="FREQ=DAILY")
        tick(BEFORE)
        expand_all(BEFORE)
        upgrade()
        moment = BEFORE + SECOND

        while moment < BEFORE + DAY + HOUR:
            recompute(moment)
            tick(moment)
            expand_all(moment)
            moment += 15 * MINUTE

        assert runs_of(schedule) == [(BEFORE, "done"), (AFTER + DAY, "done")]
        assert Message.objects.count() == 2

    def test_an_hour_that_the_new_data_repeats_has_one_run(self, owner, upgrade) -> None:
        schedule = create(owner, run_at=WALL, time_zone=ZONE, recurrence="FREQ=HOURLY")
        tick(BEFORE)
        upgrade()

        recompute(BEFORE + SECOND)

        # 10:00 is at 17:00Z now, where 09:00 has run; 11:00 is the next one.
        assert stored(schedule) == (BEFORE + HOUR, None, NEW)
        assert (schedule.next_wall, schedule.occurrences) == ("2026-12-15T11:00:00", 2)
        assert tick(BEFORE + HOUR) == 1

    def test_clocks_that_are_set_forward_skip_no_wall_time(self, owner, install_release) -> None:
        install_release(OLD, UTC_7)
        schedule = create(owner, run_at=WALL, time_zone=ZONE, recurrence="FREQ=HOURLY")
        tick(AFTER)
        install_release(NEW, UTC_8)

        recompute(AFTER + SECOND)

        assert stored(schedule) == (AFTER + 2 * HOUR, AFTER + HOUR, NEW)
        assert schedule.next_wall == "2026-12-15T10:00:00"

    def test_a_rescheduled_one_has_one_run_for_each_due_time(self, owner, upgrade) -> None:
        schedule = create(owner, run_at=WALL, time_zone=ZONE)
        ScheduleRun.objects.create(schedule=schedule, due_at=AFTER, status="missed")
        upgrade()

        recompute()

        assert stored(schedule)[0] == AFTER + timedelta(microseconds=1)
        assert tick(BEFORE) == 1


class TestIntoThePast:
    def test_an_overdue_run_starts_at_once_and_says_why(self, owner, upgrade) -> None:
        schedule = create(owner, run_at=WALL, time_zone=ZONE)
        upgrade()
        recompute(AFTER + 30 * MINUTE)

        assert tick(AFTER + 30 * MINUTE) == 1

        assert runs_of(schedule) == [(AFTER, "pending")]
        assert schedule.runs.get().detail == "moved from 2026-12-15T17:00:00Z by tzdata 2026f"
        assert stored(schedule) == (None, None, NEW)

    def test_one_that_is_too_late_is_missed(self, owner, upgrade) -> None:
        schedule = create(owner, run_at=WALL, time_zone=ZONE)
        upgrade()
        late = AFTER + MAX_LATENESS + SECOND
        recompute(late)

        tick(late)

        assert runs_of(schedule) == [(AFTER, "missed")]
        detail = "more than 3600 s late; moved from 2026-12-15T17:00:00Z by tzdata 2026f"
        assert schedule.runs.get().detail == detail


class TestUpgrade:
    def test_no_run_starts_by_older_data(self, owner, install_release) -> None:
        install_release(OLD, UTC_7)
        schedule = create(owner, run_at=WALL, time_zone=ZONE)
        install_release(NEW, UTC_8)

        assert tick(AFTER) == 0
        recompute(AFTER)
        assert tick(AFTER) == 0
        assert tick(BEFORE) == 1

        assert runs_of(schedule) == [(BEFORE, "pending")]

    def test_the_tick_recomputes_before_it_starts(self, owner, upgrade, monkeypatch) -> None:
        schedule = create(owner, run_at=WALL, time_zone=ZONE)
        upgrade()
        monkeypatch.setattr(tasks.timezone, "now", lambda: AFTER)
        monkeypatch.setattr(tasks.expand, "delay", lambda: None)

        tasks.tick()

        assert runs_of(schedule) == [(AFTER, "pending")]

    def test_an_older_process_starts_newer_times_and_leaves_the_others_alone(
        self, owner, upgrade, install_release
    ) -> None:
        due, waiting = (create(owner, run_at=WALL + days * DAY, time_zone=ZONE) for days in (0, 1))
        upgrade()
        recompute()
        install_release(OLD, UTC_8)

        assert recompute() == 0
        assert tick(AFTER) == 1

        assert runs_of(due) == [(AFTER, "pending")]
        assert stored(waiting) == (AFTER + DAY, BEFORE + DAY, NEW)

    def test_what_an_older_process_has_computed_meanwhile_is_recomputed(self, owner, upgrade, install_release) -> None:
        schedule = create(owner, run_at=WALL, time_zone=ZONE, recurrence="FREQ=DAILY")
        upgrade()
        recompute()
        install_release(OLD, UTC_8)
        tick(AFTER)
        assert stored(schedule) == (BEFORE + DAY, None, OLD)
        upgrade()

        assert [recompute(AFTER), recompute(AFTER)] == [1, 0]

        assert stored(schedule) == (AFTER + DAY, BEFORE + DAY, NEW)

    def test_an_interrupted_update_continues(self, owner, upgrade, monkeypatch) -> None:
        monkeypatch.setattr(zone_update, "CHUNK", 2)
        made = [create(owner, run_at=WALL + days * DAY, time_zone=ZONE) for days in (2, 0, 1)]
        upgrade()

        assert recompute() == 2
        assert [stored(schedule)[2] for schedule in made] == [OLD, NEW, NEW]
        assert [recompute(), recompute()] == [1, 0]

        assert [stored(schedule)[0] for schedule in made] == [AFTER + days * DAY for days in (2, 0, 1)]

    def test_a_zone_that_is_gone_keeps_no_other_back(self, owner, upgrade, caplog) -> None:
        gone, fine = (create(owner, run_at=WALL, time_zone=ZONE) for _ in range(2))
        Schedule.objects.filter(pk=gone.pk).update(time_zone="US/Pacific-New")
        upgrade()

        assert [recompute(), recompute()] == [2, 0]

        assert stored(gone) == (BEFORE, None, NEW)
        assert stored(fine) == (AFTER, BEFORE, NEW)
        assert any("was not recomputed" in message for message in caplog.messages)

    def test_the_number_of_queries_does_not_grow_with_what_stays(
        self, owner, upgrade, django_assert_num_queries
    ) -> None:
        for _ in range(5):
            create(owner, run_at=WALL, time_zone="Europe/Berlin")
        upgrade()

        with django_assert_num_queries(5):  # exists, savepoint, chunk, update, savepoint
            recompute()
        with django_assert_num_queries(1):
            recompute()


@pytest.mark.django_db(transaction=True)
def test_many_ticks_move_and_start_each_schedule_once(owner, upgrade, caplog) -> None:
    made = [create(owner, run_at=WALL, time_zone=ZONE) for _ in range(10)]
    upgrade()

    def both() -> int:
        recompute(AFTER)
        return tick(AFTER)

    with caplog.at_level(logging.WARNING):
        started = at_once([both] * 3)
        started.append(both())  # rows that one skipped because the other had locked them

    assert sum(started) == 10
    assert [runs_of(schedule) for schedule in made] == [[(AFTER, "pending")]] * 10
    assert len([message for message in caplog.messages if "moved from" in message]) == 10


def test_outdated_data_is_warned_of_each_day(monkeypatch, caplog) -> None:
    monkeypatch.setattr(zone_data, "RELEASE", "2024a")

    tasks.check_zone_data()

    assert caplog.messages == ["tzdata 2024a is older than a year: raise its pin in requirements.txt and upgrade"]
