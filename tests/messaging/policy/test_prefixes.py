"""Which numbers get no text: the shipped list against libphonenumber's, and the longest prefix of an installation's own."""

import tomllib
from importlib.resources import files

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType

from messaging.policy import prefixes
from messaging.policy.prefixes import InvalidPrefixes, PrefixEntry, PrefixTable, calling_code, kind_of, parse, shipped
from providers.numbers import canonical
from providers.simulator import magic_numbers

OWNER, OTHER = 1, 2
TYPES = [value for name, value in vars(PhoneNumberType).items() if isinstance(value, int) and not name.startswith("_")]
COSTLY = {PhoneNumberType.PREMIUM_RATE: "premium rate", PhoneNumberType.SHARED_COST: "shared cost"}


def examples():
    """A number of each type in each region that libphonenumber has one of."""
    for region in phonenumbers.SUPPORTED_REGIONS:
        for kind in TYPES:
            if (found := phonenumbers.example_number_for_type(region, kind)) is not None:
                yield phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


def document() -> dict:
    return tomllib.loads(files(prefixes.__package__).joinpath("prefixes.toml").read_text())


def table(*entries: PrefixEntry) -> PrefixTable:
    return PrefixTable(entries)


def block(prefix: str = "", **values) -> PrefixEntry:
    return PrefixEntry(False, prefix=prefix, **values)


def allow(prefix: str = "", **values) -> PrefixEntry:
    return PrefixEntry(True, prefix=prefix, **values)


def test_the_types_are_those_of_libphonenumber_for_every_example() -> None:
    wrong = []
    for number in examples():
        expected = COSTLY.get(phonenumbers.number_type(phonenumbers.parse(number)), "")
        if kind_of(number) != expected:
            wrong.append((number, kind_of(number), expected))
    assert wrong == []


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_the_types_are_those_of_libphonenumber_for_any_number(number: str) -> None:
    try:
        expected = COSTLY.get(phonenumbers.number_type(phonenumbers.parse(number)), "")
    except phonenumbers.NumberParseException:
        expected = ""
    assert kind_of(number) == expected


def test_no_ordinary_mobile_or_fixed_line_of_any_country_is_blocked() -> None:
    ordinary = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
    tried = 0
    for number in examples():
        if phonenumbers.number_type(phonenumbers.parse(number)) in ordinary:
            tried += 1
            assert table().blocked(number, OWNER) == "", number
    assert tried > 400


@pytest.mark.parametrize("number", ["+15005550006", "+14155550101", "+447700900123", "+12025550143", "+491751234567"])
def test_numbers_of_the_sandbox_and_of_documentation_stay_allowed(number: str) -> None:
    assert table().blocked(number, OWNER) == ""


def test_the_magic_numbers_of_the_sandbox_stay_allowed() -> None:
    numbers = [each for each in vars(magic_numbers).values() if isinstance(each, str) and each.startswith("+")]
    for value in vars(magic_numbers).values():
        if isinstance(value, dict):
            numbers += [key for key in value if isinstance(key, str) and key.startswith("+")]
    for number in numbers:
        assert table().blocked(number, OWNER) == ""


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("+870773111632", "+870 is blocked: Inmarsat satellite network"),
        ("+881612345678", "+881 is blocked: satellite network"),
        ("+8823451234567", "+882 is blocked: international network"),
        ("+883510012345", "+883 is blocked: international network"),
        ("+878101234567890", "+878 is blocked: Universal Personal Telecommunications"),
        ("+888123456789", "+888 is blocked: international service"),
        ("+979123456789", "+979 is blocked: international premium rate service"),
        ("+80812345678", "+808 is blocked: international shared cost service"),
        ("+19002345678", "numbers of this type are blocked: premium rate"),
        ("+449012345678", "numbers of this type are blocked: premium rate"),
        ("+33891123456", "numbers of this type are blocked: premium rate"),
    ],
)
def test_satellite_and_premium_numbers_are_blocked(number: str, reason: str) -> None:
    assert table().blocked(number, None) == reason
    assert canonical(number) in {number, None}  # as messages have it


SATELLITE, PREMIUM, BERLIN, DALLAS, TORONTO = (
    "+881612345678",
    "+19002345678",
    "+4930123456",
    "+12145550123",
    "+14165550123",
)


@pytest.mark.parametrize(
    ("entries", "number", "is_blocked"),
    [
        ([allow("+881")], SATELLITE, False),  # of two for the same prefix the installation's own decides
        ([allow("+88")], SATELLITE, True),
        ([allow("+8816")], SATELLITE, False),
        ([allow("+881"), block("+8816")], SATELLITE, True),
        ([allow("+881", owner_id=OWNER)], SATELLITE, False),
        ([allow("+881", owner_id=OTHER)], SATELLITE, True),
        ([block("+881"), allow("+881", owner_id=OWNER)], SATELLITE, False),
        ([block("+8816"), allow("+881", owner_id=OWNER)], SATELLITE, True),
        ([block("+49")], BERLIN, True),
        ([block(country="DE")], BERLIN, True),
        ([block(country="DE"), allow("+4930")], BERLIN, False),
        ([block(country="US")], DALLAS, True),
        ([block(country="US")], TORONTO, False),  # the same calling code
        ([block("+1"), allow(country="CA")], TORONTO, False),
        ([block("+1"), allow(country="CA")], DALLAS, True),
        ([block(country="US"), allow("+1")], DALLAS, True),
        ([block("+1214", owner_id=OTHER)], DALLAS, False),
        # To allow a country is not meant for what costs extra there.
        ([allow("+1")], PREMIUM, True),
        ([allow(country="US")], PREMIUM, True),
        ([allow("+1900")], PREMIUM, False),
        ([allow("+979")], "+979123456789", False),
    ],
)
def test_the_longest_prefix_decides(entries: list[PrefixEntry], number: str, is_blocked: bool) -> None:
    for order in (entries, entries[::-1]):
        assert bool(table(*order).blocked(number, OWNER)) is is_blocked


@pytest.mark.parametrize(
    ("number", "code"), [("+14155550101", "+1"), ("+4930123456", "+49"), ("+35312345678", "+353"), ("+2101234567", "")]
)
def test_calling_codes(number: str, code: str) -> None:
    assert calling_code(number) == code


def test_the_file_is_dated_and_each_row_has_a_source() -> None:
    assert shipped().as_of.year >= 2026
    assert all(row["source"] and row["name"] for row in (*document()["prefix"], *document()["type"]))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.pop("as_of"),
        lambda found: found["prefix"][0].pop("source"),
        lambda found: found["prefix"][0].update(prefix="870"),
        lambda found: found["prefix"].append(dict(found["prefix"][0])),
        lambda found: found["type"][0].update(type="MOBILE"),
        lambda found: found.update(rule=[]),
    ],
)
def test_a_file_that_is_not_as_it_has_to_be_is_refused(change) -> None:
    found = document()
    change(found)
    with pytest.raises(InvalidPrefixes):
        parse(found)
