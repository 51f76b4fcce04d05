"""Computing the next run from a schedule's row, beyond the recurrence rule itself."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from scheduling.models import Schedule
from scheduling.services import timing

NOW = datetime(2026, 10, 1, tzinfo=UTC)
# In Berlin 02:30 occurs twice on 25 October 2026: at 00:30 UTC (+02:00) and at 01:30 UTC (+01:00).
SECOND = datetime.fromisoformat("2026-10-25T02:30:00+01:00")


def schedule_of(when: timing.Timing) -> Schedule:
    schedule = Schedule(time_zone=when.time_zone, recurrence=when.recurrence, start_wall=when.start_wall.isoformat())
    timing.set_next(schedule, (when.first_wall, when.first_utc))
    return schedule


def test_an_offset_names_the_second_of_two_equal_wall_times() -> None:
    when = timing.check(run_at=SECOND, time_zone="Europe/Berlin", rule=None, now=NOW)

    assert when.first_utc == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_no_run_lies_before_a_first_one_that_was_named_by_its_offset() -> None:
    when = timing.check(run_at=SECOND, time_zone="Europe/Berlin", rule="FREQ=MINUTELY;INTERVAL=15", now=NOW)
    schedule = schedule_of(when)
    moments = []

    for _ in range(4):
        moments.append(schedule.next_run_at)
        timing.advance(schedule)

    assert moments[0] == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert all(later > earlier for earlier, later in pairwise(moments))
    assert moments[1] - moments[0] <= timedelta(hours=1)
