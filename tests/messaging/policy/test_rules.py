"""The shipped rules, row by row, and hours as people write them."""

import tomllib
from importlib.resources import files
from typing import Any

import pytest
from phonenumbers import geocoder, parse

from messaging.policy import rules
from messaging.policy.rules import InvalidRule, in_words, parse_hours, shipped

STATES = {
    "us-tx": ("TX", "Texas"), "us-fl": ("FL", "Florida"), "us-ok": ("OK", "Oklahoma"), "us-md": ("MD", "Maryland"),
    "us-ms": ("MS", "Mississippi"), "us-nj": ("NJ", "New Jersey"), "us-ct": ("CT", "Connecticut"),
    "us-ri": ("RI", "Rhode Island"), "us-wa": ("WA", "Washington State"),
}  # fmt: skip
# Newer than libphonenumber's table of places.
NOT_IN_THE_TABLE = {"+1471"}
ROW = {"id": "x", "name": "X", "categories": ["marketing"], "hours": "08:00-21:00", "source": "A law"}


def test_the_shipped_hours_are_these() -> None:
    assert {each.rule.id: (in_words(each.rule.hours), each.is_enabled) for each in shipped()} == {
        "us": ("08:00-21:00", True),
        "us-tx": ("Mon-Sat 09:00-21:00, Sun 12:00-21:00", True),
        "us-fl": ("08:00-20:00", True),
        "us-ok": ("08:00-20:00", True),
        "us-md": ("08:00-20:00", True),
        "us-ms": ("08:00-20:00", True),
        "us-nj": ("08:00-20:00", True),
        "us-ct": ("09:00-20:00", True),
        "us-ri": ("Mon-Fri 09:00-18:00, Sat-Sun 10:00-17:00", True),
        "us-wa": ("08:00-20:00", True),
        "fr": ("Mon-Sat 08:00-22:00, Sun closed", True),
        "in": ("10:00-21:00", True),
        "default": ("08:00-21:00", False),
    }


@pytest.mark.parametrize("row", shipped(), ids=lambda row: row.rule.id)
def test_every_rule_has_a_source_and_is_for_marketing(row: rules.ShippedRule) -> None:
    assert len(row.rule.source) > 20
    assert row.rule.categories == {"marketing"}
    assert bool(row.rule.countries) + bool(row.rule.prefixes) == (row.rule.id != "default")
    assert row.rule.holidays == ("FR" if row.rule.id == "fr" else "")


@pytest.mark.parametrize("row", [row for row in shipped() if row.rule.id in STATES], ids=lambda row: row.rule.id)
def test_area_codes_belong_to_their_state(row: rules.ShippedRule) -> None:
    for prefix in set(row.rule.prefixes) - NOT_IN_THE_TABLE:
        place = geocoder.description_for_number(parse(f"{prefix}5550100"), "en")
        assert place.rpartition(", ")[2] in STATES[row.rule.id], prefix


def test_no_area_code_is_in_two_states() -> None:
    prefixes = [prefix for row in shipped() for prefix in row.rule.prefixes]

    assert len(prefixes) == len(set(prefixes))
    assert STATES.keys() == {row.rule.id for row in shipped() if row.rule.prefixes}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": "Not an id"}, "An id has"),
        ({"id": "quiet-owner"}, "that of quiet hours"),
        ({"countries": ["USA"]}, "A country has two"),
        ({"prefixes": ["0049"]}, "A prefix has"),
        ({"categories": []}, "at least one category"),
        ({"categories": ["otp"]}, "Only marketing and transactional"),
        ({"hours": "closed"}, "at least one day"),
        ({"hours": "8-21"}, "Write hours"),
        ({"hours": "21:00-08:00"}, "end before"),
        ({"hours": "08:00-24:01"}, "no such time"),
        ({"hours": "08:60-21:00"}, "no such time"),
        ({"sunday": 12}, "Write hours"),
        ({"holidays": "XX"}, "no calendar"),
        ({"holidays": "DE-XX"}, "no calendar"),
        ({"holidays": "France"}, "no calendar"),
        (
            {"since": tomllib.loads("d = 2026-02-01")["d"], "until": tomllib.loads("d = 2026-01-31")["d"]},
            "comes before",
        ),
        ({"enabled": "no"}, "enabled is no bool"),
        ({"source": 47}, "source is no str"),
        ({"countries": "FR"}, "countries is no list"),
        ({"since": "2026-02-01"}, "since is no date"),
        ({"hour": "08:00-21:00"}, "unknown hour"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRule, match=problem):
        rules.parse({"rule": [ROW | changes]})


def test_a_file_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(InvalidRule, match="same id"):
        rules.parse({"rule": [ROW, ROW]})
    with pytest.raises(InvalidRule, match="without source"):
        rules.parse({"rule": [{key: value for key, value in ROW.items() if key != "source"}]})
    with pytest.raises(InvalidRule, match="nothing else"):
        rules.parse({"rule": [ROW], "rules": []})


def test_hours_to_the_end_of_the_day_and_in_two_parts() -> None:
    assert parse_hours("00:00-24:00") == ((0, 1440),)
    assert in_words([((0, 60), (300, 1440))] * 7) == "00:00-01:00 and 05:00-24:00"
    assert files("messaging.policy").joinpath("rules.toml").is_file()
