"""The release of the zone data, and the warning about an old one."""

from datetime import date

import pytest
import tzdata

from scheduling import zone_data


def test_the_release_is_the_one_that_is_installed() -> None:
    assert zone_data.RELEASE.startswith(tzdata.IANA_VERSION)


@pytest.mark.parametrize(
    ("release", "today", "is_old"),
    [
        ("2026f", date(2026, 1, 2), False),
        ("2026f", date(2026, 11, 30), False),
        ("2026f", date(2027, 6, 30), False),
        ("2026f", date(2027, 7, 1), True),
        ("2025b", date(2026, 11, 30), True),
        ("2021b.post0", date(2022, 7, 1), True),
    ],
)
def test_a_release_counts_from_the_middle_of_its_year(monkeypatch, release: str, today: date, is_old: bool) -> None:
    monkeypatch.setattr(zone_data, "RELEASE", release)

    assert (zone_data.warning(today) is not None) == is_old
