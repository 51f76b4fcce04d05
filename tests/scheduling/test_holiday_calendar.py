"""Public holidays by code, and what becomes of a code that a release of the library no longer has."""

import logging
from datetime import date

import pytest

from scheduling import holiday_calendar
from scheduling.holiday_calendar import UnknownCalendar, check, countries, fault, name_on, regions


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("DE", "DE"),
        ("de", "DE"),
        (" de-by ", "DE-BY"),
        ("US-CA", "US-CA"),
        ("GB-eng", "GB-ENG"),
        ("de-AUGSBURG", "DE-Augsburg"),
    ],
)
def test_a_calendar_is_a_country_or_one_of_its_regions(given: str, code: str) -> None:
    assert check(given) == code
    assert fault(code) == ""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("XX", "There is no holiday calendar XX."),
        ("DEU", "Did you mean DE?"),
        ("DE-BYY", "Did you mean DE-BY?"),
        ("DE-99999999", "Give DE for the whole country."),
        ("", "There is no holiday calendar"),
        ("Germany", "There is no holiday calendar Germany."),
        ("x" * 10_000, f"There is no holiday calendar {'x' * 40}."),
    ],
)
def test_an_unknown_code_is_refused_with_the_nearest_one(code: str, words: str) -> None:
    with pytest.raises(UnknownCalendar) as refusal:
        check(code)

    assert words in str(refusal.value)
    assert fault(code) == str(refusal.value)


@pytest.mark.parametrize(
    ("code", "day", "name"),
    [
        ("DE", date(2026, 12, 25), "Christmas Day"),
        ("DE", date(2026, 1, 6), ""),
        ("DE-BY", date(2026, 1, 6), "Epiphany"),
        ("DE", date(2026, 12, 24), ""),
        ("US", date(2026, 11, 26), "Thanksgiving Day"),
        ("US", date(2026, 7, 3), "Independence Day (observed)"),
        ("US", date(2021, 12, 31), "New Year's Day (observed)"),
        ("DE", date(2101, 12, 25), ""),
        ("DE", date(1, 12, 25), ""),
        ("DE", date(9999, 12, 25), ""),
    ],
)
def test_a_holiday_has_a_name_in_english(code: str, day: date, name: str) -> None:
    assert name_on(code, day) == name


def test_countries_and_regions_have_names() -> None:
    assert (countries()["DE"], countries()["US"], countries()["BA"]) == (
        "Germany",
        "United States",
        "Bosnia And Herzegovina",
    )
    assert len(countries()) > 200
    assert (regions("DE")["BY"], regions("DE")["Augsburg"], regions("US")["CA"]) == ("Bayern", "Augsburg", "California")


@pytest.mark.parametrize(("code", "name"), [("DE-ZZ", "Christmas Day"), ("ZZ", ""), ("ZZ-AA", "")])
def test_a_code_that_is_gone_counts_as_its_country_and_is_logged_once(code: str, name: str, caplog) -> None:
    holiday_calendar._usable.cache_clear()
    holiday_calendar._year.cache_clear()

    with caplog.at_level(logging.ERROR):
        assert [name_on(code, date(2026, 12, 25)) for _ in range(2)] == [name] * 2

    [message] = caplog.messages
    assert message.startswith(f"schedules use an unknown holiday calendar: There is no holiday calendar {code}.")
