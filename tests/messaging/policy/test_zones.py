"""The country and the time zones of a number."""

import pytest

from messaging.policy.zones import is_zone, location_of, merged, zone


@pytest.mark.parametrize(
    ("number", "country", "zones"),
    [
        ("+12105550123", "US", ("America/Chicago",)),
        ("+19155550123", "US", ("America/Denver",)),
        ("+12505550123", "CA", ("America/Vancouver",)),
        ("+33612345678", "FR", ("Europe/Paris",)),
        # Old and local names: those of IANA, and identical zones once.
        ("+919876543210", "IN", ("Asia/Kolkata",)),
        ("+447400123456", "GB", ("Europe/London",)),
        # Links to another part of the world keep their names: Christmas Island is not called Bangkok.
        (
            "+61412345678",
            "AU",
            (
                *("Australia/Adelaide", "Australia/Brisbane", "Australia/Eucla", "Australia/Lord_Howe"),
                *("Australia/Perth", "Australia/Sydney", "Indian/Christmas", "Indian/Cocos"),
            ),
        ),
        # Of a number that is not assigned, the main country of its code.
        ("+447700900123", "GB", ()),
        ("+88213123456", "001", ()),
        ("+99912345678", "", ()),
        ("not a number", "", ()),
    ],
)
def test_the_country_and_the_zones_of_a_number(number: str, country: str, zones: tuple[str, ...]) -> None:
    found = location_of(number)

    assert (found.country, found.zones) == (country, zones)


def test_a_toll_free_number_may_be_anywhere_in_north_america() -> None:
    zones = location_of("+18005550123").zones

    assert {"America/New_York", "Pacific/Honolulu", "Pacific/Guam", "America/St_Johns"} <= set(zones)
    assert len(zones) < 42


def test_zones_that_are_none_are_left_out() -> None:
    assert merged(("Etc/Unknown", "Europe/Jersey", "Europe/London", "../etc/passwd")) == ("Europe/London",)
    assert (is_zone("Europe/Berlin"), is_zone("../etc/passwd"), is_zone("Mars/Base")) == (True, False, False)
    with pytest.raises(ValueError, match="is no time zone"):
        zone("../etc/passwd")
