"""EXDATE and RDATE lines and holidays over the API: what is read can be sent back, and the preview tells what is left out."""

import pytest

from scheduling.models import Schedule
from tests.messaging.api.conftest import errors_of
from tests.scheduling.api.test_create import PLAIN
from tests.scheduling.making import DUE, tick

WHOLE = {
    **PLAIN,
    "run_at": "2026-12-21T09:00:00",
    "time_zone": "Europe/Berlin",
    "recurrence": "EXDATE;VALUE=DATE:20261231\r\nEXDATE:20261222T080000Z,20261223T100000\r\nRRULE:FREQ=DAILY\r\n"
    "RDATE;TZID=Europe/Berlin:20261224T1800\r\n 00",
    "holidays": "de-by",
}
CANONICAL = (
    "RRULE:FREQ=DAILY\nEXDATE;VALUE=DATE:20261231\nEXDATE;TZID=Europe/Berlin:20261222T090000,20261223T100000\n"
    "RDATE;TZID=Europe/Berlin:20261224T180000"
)


def test_what_is_read_can_be_sent_back_unchanged(api) -> None:
    body = api.post("schedules/", WHOLE).json()

    again = api("PATCH", f"schedules/{body['id']}/", {name: body[name] for name in ("recurrence", "holidays")})

    assert (body["recurrence"], body["holidays"]) == (CANONICAL, "DE-BY")
    assert again.status_code == 200
    assert again.json() == body


def test_the_preview_lists_what_runs_what_does_not_and_what_is_odd(api) -> None:
    schedule = api.post("schedules/", WHOLE).json()["id"]

    body = api.get(f"schedules/{schedule}/preview/?count=6").json()

    assert [(run["at"], run["added"]) for run in body["runs"]] == [
        ("2026-12-21T09:00:00+01:00", False),
        ("2026-12-23T09:00:00+01:00", False),
        ("2026-12-24T09:00:00+01:00", False),
        ("2026-12-24T18:00:00+01:00", True),
        ("2026-12-27T09:00:00+01:00", False),
        ("2026-12-28T09:00:00+01:00", False),
    ]
    assert body["left_out"] == [
        {"at": "2026-12-22T09:00:00+01:00", "utc": "2026-12-22T08:00:00Z", "reason": "exdate", "name": None},
        {
            "at": "2026-12-25T09:00:00+01:00",
            "utc": "2026-12-25T08:00:00Z",
            "reason": "holiday",
            "name": "Christmas Day",
        },
        {
            "at": "2026-12-26T09:00:00+01:00",
            "utc": "2026-12-26T08:00:00Z",
            "reason": "holiday",
            "name": "Second Day of Christmas",
        },
    ]
    assert body["notes"] == [{"code": "matches_no_run", "detail": "EXDATE 2026-12-23 10:00 matches no run."}]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"holidays": "XX"}, ("holidays", "unknown_calendar")),
        ({"holidays": "DE-XX"}, ("holidays", "unknown_calendar")),
        ({"holidays": ""}, ("holidays", "blank")),
        ({"holidays": 5}, ("holidays", "invalid")),
        ({"holidays": "x" * 41}, ("holidays", "max_length")),
        ({"recurrence": "RDATE:20261220T080000Z"}, ("recurrence", "invalid_recurrence")),
        ({"recurrence": "RDATE;VALUE=PERIOD:20261222T080000Z/PT1H"}, ("recurrence", "invalid_recurrence")),
        ({"recurrence": "EXDATE:20261221T090000"}, ("recurrence", "never_fires")),
        ({"recurrence": "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25"}, ("recurrence", "never_fires")),
    ],
)
def test_invalid_dates_are_400_and_nothing_is_stored(api, change: dict, error: tuple[str, str]) -> None:
    response = api.post("schedules/", WHOLE | change)

    assert (response.status_code, errors_of(response)) == (400, {error})
    assert not Schedule.objects.exists()


def test_after_the_first_run_only_coming_dates_and_holidays_change(api, mine, clock) -> None:
    schedule = mine(recurrence="FREQ=DAILY")
    clock.now = DUE
    tick()
    url = f"schedules/{schedule.pk}/"

    changed = api("PATCH", url, {"recurrence": "FREQ=DAILY\nEXDATE:20261123T100000Z", "holidays": "US"})
    refused = api("PATCH", url, {"recurrence": "FREQ=WEEKLY"})
    past = api("PATCH", url, {"recurrence": "FREQ=DAILY\nEXDATE:20261121T100000Z"})

    assert changed.status_code == 200
    assert changed.json()["recurrence"] == "RRULE:FREQ=DAILY\nEXDATE:20261123T100000Z"
    assert (changed.json()["holidays"], changed.json()["next_run_at"]) == ("US", "2026-11-24T10:00:00Z")
    assert (refused.status_code, refused.json()["code"]) == (409, "schedule_already_ran")
    assert errors_of(past) == {("recurrence", "in_the_past")}
    assert api.get(url).json() == changed.json()
