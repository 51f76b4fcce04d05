"""Zones that are unlike others (more than 35): wall times of a schedule and their UTC, as the zones' law says."""

from datetime import UTC, datetime

import pytest

from scheduling.wall_time import to_utc, zone


@pytest.mark.parametrize(
    ("name", "wall", "utc"),
    [
        # quarters of an hour
        ("Asia/Kolkata", "2026-07-01 09:00", "2026-07-01 03:30"),
        ("Asia/Kathmandu", "2026-07-01 09:00", "2026-07-01 03:15"),
        ("Asia/Yangon", "2026-07-01 09:00", "2026-07-01 02:30"),
        ("Asia/Kabul", "2026-07-01 09:00", "2026-07-01 04:30"),
        ("Asia/Tehran", "2026-07-01 09:00", "2026-07-01 05:30"),  # no summer time since 2022
        ("Asia/Colombo", "2026-07-01 09:00", "2026-07-01 03:30"),
        ("Indian/Cocos", "2026-07-01 09:00", "2026-07-01 02:30"),
        ("Pacific/Marquesas", "2026-07-01 09:00", "2026-07-01 18:30"),
        ("Australia/Eucla", "2026-07-01 09:00", "2026-07-01 00:15"),
        ("Australia/Darwin", "2026-01-01 09:00", "2025-12-31 23:30"),
        ("Australia/Adelaide", "2026-01-01 09:00", "2025-12-31 22:30"),
        ("America/St_Johns", "2026-03-08 02:30", "2026-03-08 05:30"),  # a gap: its end
        ("Pacific/Chatham", "2026-09-27 03:00", "2026-09-26 14:00"),  # a gap at 02:45
        ("Pacific/Chatham", "2027-01-01 00:00", "2026-12-31 10:15"),
        # summer times of their own
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03 15:30"),  # a gap of 30 minutes
        ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04 14:45"),  # 30 minutes twice
        ("Antarctica/Troll", "2026-07-01 09:00", "2026-07-01 07:00"),  # two hours
        ("Antarctica/Troll", "2026-03-29 02:30", "2026-03-29 01:00"),
        ("Antarctica/Casey", "2026-07-01 09:00", "2026-07-01 01:00"),
        ("Africa/Casablanca", "2026-01-15 09:00", "2026-01-15 08:00"),
        ("Africa/Casablanca", "2026-03-01 09:00", "2026-03-01 09:00"),  # Ramadan
        ("Africa/El_Aaiun", "2026-03-01 09:00", "2026-03-01 09:00"),
        ("Africa/Cairo", "2026-04-24 00:30", "2026-04-23 22:00"),  # a gap at midnight
        ("Asia/Beirut", "2026-03-29 00:30", "2026-03-28 22:00"),
        ("America/Havana", "2026-03-08 00:30", "2026-03-08 05:00"),
        ("America/Santiago", "2026-09-06 00:30", "2026-09-06 04:00"),
        ("America/Nuuk", "2026-03-28 23:30", "2026-03-29 01:00"),  # a gap on Saturday evening
        ("Europe/Dublin", "2026-01-15 09:00", "2026-01-15 09:00"),  # winter time is the exception there
        ("Atlantic/Azores", "2026-03-29 00:30", "2026-03-29 01:00"),
        # no summer time, or not any more
        ("America/Phoenix", "2026-07-01 09:00", "2026-07-01 16:00"),
        ("America/Mexico_City", "2026-07-01 09:00", "2026-07-01 15:00"),
        ("America/Asuncion", "2026-07-01 09:00", "2026-07-01 12:00"),
        ("Asia/Almaty", "2026-07-01 09:00", "2026-07-01 04:00"),
        ("Europe/Istanbul", "2026-01-15 09:00", "2026-01-15 06:00"),
        # far from UTC, and days that were skipped
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 10:00"),
        ("Pacific/Apia", "2026-01-15 09:00", "2026-01-14 20:00"),  # no summer time since 2021
        ("Pacific/Kiritimati", "2026-07-01 09:00", "2026-06-30 19:00"),
        ("Pacific/Kwajalein", "1993-08-21 12:00", "1993-08-21 12:00"),
        ("Pacific/Pago_Pago", "2026-07-01 09:00", "2026-07-01 20:00"),
        # names: POSIX signs, links, and abbreviations that are zones
        ("Etc/GMT+5", "2026-07-01 09:00", "2026-07-01 14:00"),
        ("Etc/GMT-14", "2026-07-01 09:00", "2026-06-30 19:00"),
        ("Asia/Calcutta", "2026-07-01 09:00", "2026-07-01 03:30"),
        ("US/Pacific", "2026-07-01 09:00", "2026-07-01 16:00"),
        ("EST5EDT", "2026-07-01 09:00", "2026-07-01 13:00"),
    ],
)
def test_a_wall_time_in_an_odd_zone(name: str, wall: str, utc: str) -> None:
    assert to_utc(datetime.fromisoformat(wall), zone(name)) == datetime.fromisoformat(utc).replace(tzinfo=UTC)
