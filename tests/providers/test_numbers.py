"""Numbers in providers' notations: read and written, never guessed."""

from random import Random

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from providers.numbers import Notation, NumberFormat, canonical, is_number, plain

E164, DIGITS, DOUBLE_ZERO, NATIONAL = Notation.E164, Notation.DIGITS, Notation.DOUBLE_ZERO, Notation.NATIONAL
COUNTRY_CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


@pytest.mark.parametrize("notation", list(Notation))
@pytest.mark.parametrize("raw", ["+447911123456", "00447911123456", "+44 (0)7911 123456", "\u202a+447911123456\u202c"])
def test_a_plus_or_two_zeros_are_read_in_every_notation(notation: Notation, raw: str) -> None:
    assert NumberFormat(notation, "DE").read(raw) == "+447911123456"


@pytest.mark.parametrize(
    ("notation", "country", "raw", "number"),
    [
        (E164, None, "447911123456", None),
        (E164, None, "07911123456", None),
        (E164, "GB", "07911123456", "+447911123456"),
        (E164, "GB", "447911123456", "+447911123456"),
        (DOUBLE_ZERO, None, "447911123456", None),
        (DOUBLE_ZERO, None, "07911123456", None),
        (DOUBLE_ZERO, "GB", "07911 123456", "+447911123456"),
        (DIGITS, None, "447911123456", "+447911123456"),
        (DIGITS, None, "44-7911-123456", "+447911123456"),
        (DIGITS, None, "07911123456", None),
        (DIGITS, "GB", "07911123456", "+447911123456"),
        (DIGITS, "US", "447911123456", "+447911123456"),
        (NATIONAL, "GB", "07911123456", "+447911123456"),
        (NATIONAL, "GB", "7911123456", "+447911123456"),
        (NATIONAL, "US", "(415) 555-0101", "+14155550101"),
        (NATIONAL, "US", "14155550101", "+14155550101"),
        (NATIONAL, "IT", "0236618300", "+390236618300"),
        (NATIONAL, "IT", "3931234567", "+393931234567"),
        (NATIONAL, "NO", "91234567", "+4791234567"),
        (NATIONAL, "FK", "51234", "+50051234"),
        (NATIONAL, "AR", "011 15-2345-6789", "+5491123456789"),
        (NATIONAL, "MX", "55 1234 5678", "+525512345678"),
    ],
)
def test_a_number_is_read_by_notation_and_country(
    notation: Notation, country: str | None, raw: str, number: str | None
) -> None:
    assert NumberFormat(notation, country).read(raw) == number


@pytest.mark.parametrize(
    ("raw", "stranger"),
    [("9195550101", "+919195550101"), ("6465593995", "+646465593995"), ("6465593995", "+6465593995")],
)
@pytest.mark.parametrize(
    ("notation", "country"), [(E164, None), (E164, "US"), (DOUBLE_ZERO, None), (DOUBLE_ZERO, "US"), (NATIONAL, "US")]
)
def test_an_american_number_without_its_country_is_never_a_number_of_another_country(
    notation: Notation, country: str | None, raw: str, stranger: str
) -> None:
    found = NumberFormat(notation, country).read(raw)

    assert found == (f"+1{raw}" if country else None)
    assert found != stranger


def test_with_digits_the_first_ones_are_the_country_as_the_account_says() -> None:
    assert NumberFormat(DIGITS, "US").read("6465593995") == "+6465593995"
    assert NumberFormat(DIGITS, "US").read("19195550101") == "+19195550101"


def test_national_digits_that_could_be_two_numbers_are_neither() -> None:
    german = NumberFormat(NATIONAL, "DE")

    assert german.read("4915112345678") is None
    assert german.read("04915112345678") == "+494915112345678"
    assert german.read("004915112345678") == "+4915112345678"


@pytest.mark.parametrize("notation", list(Notation))
@pytest.mark.parametrize("country", ["AT", "DE", "FI", "FR", "GB", "IT", "NO", "NZ", "SE", "US"])
def test_short_codes_and_names_are_no_numbers(subtests: pytest.Subtests, notation: Notation, country: str) -> None:
    numbers = NumberFormat(notation, country)
    for party in (
        "123",
        "2080",
        "26112",
        "80888",
        "72227",
        "262966",
        "INFO",
        "ACME 24",
        "+ACME",
        "49 ACME",
        "",
        "+",
        "00",
    ):
        with subtests.test(party=party):
            assert numbers.read(party) is None
            assert numbers.write(party) == party


@pytest.mark.parametrize(
    "raw", ["+441111", "0044111", "+15550101", "0015550101", "+" + "1" * 70, "447911\n123456", "\x00"]
)
def test_what_no_number_can_be_is_not_read(raw: str) -> None:
    assert NumberFormat(DIGITS, "US").read(raw) is None


@pytest.mark.parametrize(
    ("notation", "country", "number", "written"),
    [
        (E164, None, "+447911123456", "+447911123456"),
        (DIGITS, None, "+447911123456", "447911123456"),
        (DOUBLE_ZERO, None, "+447911123456", "00447911123456"),
        (NATIONAL, "GB", "+447911123456", "07911123456"),
        (NATIONAL, "GB", "+4915112345678", "004915112345678"),
        (NATIONAL, "US", "+14155550101", "4155550101"),
        (NATIONAL, "US", "+447911123456", "00447911123456"),
        (NATIONAL, "IT", "+390236618300", "0236618300"),
        (NATIONAL, "AR", "+5491123456789", "01115" + "23456789"),
        (NATIONAL, "MX", "+525512345678", "5512345678"),
        (NATIONAL, "NO", "+4726112", "004726112"),  # nationally it would be a short code
    ],
)
def test_a_number_is_written_in_the_account_s_notation(
    notation: Notation, country: str | None, number: str, written: str
) -> None:
    assert NumberFormat(notation, country).write(number) == written


def test_what_is_written_is_read_as_the_same_number(subtests: pytest.Subtests) -> None:
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        with subtests.test(code=code):
            formats = [NumberFormat(notation) for notation in (E164, DIGITS, DOUBLE_ZERO)]
            formats += [NumberFormat(NATIONAL, region) for region in regions if region != "001"]
            for number in numbers_of(code):
                for each in formats:
                    assert each.read(each.write(number)) == number, (each, number)


def numbers_of(code: int) -> list[str]:
    """Possible numbers of every length, few of them assigned."""
    chance = Random(code)
    raws = (f"+{code}{chance.randrange(10 ** (length - 1), 10**length)}" for length in range(4, 13) for _ in range(4))
    return [number for raw in raws if (number := canonical(raw))]


def test_every_region_s_mobile_numbers_have_a_canonical_form(subtests: pytest.Subtests) -> None:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        if example is None:
            continue
        with subtests.test(region=region):
            number = phonenumbers.format_number(example, PhoneNumberFormat.E164)

            assert canonical(number) == number
            assert is_number(number)


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("+5215512345678", "+525512345678"),
        ("+52 1 55 1234 5678", "+525512345678"),
        ("+52 01 55 1234 5678", "+525512345678"),
        ("+52 044 55 1234 5678", "+525512345678"),
        ("+525512345678", "+525512345678"),
        ("+541123456789", "+5491123456789"),
        ("+5491123456789", "+5491123456789"),
        ("+54 11 15 2345-6789", "+5491123456789"),
        ("+54 9 2966 12-3456", "+5492966123456"),
        ("+54 800 555 1234", "+548005551234"),
        ("+4401711234567", "+441711234567"),
        ("+44 (0)171 1234567", "+441711234567"),
        ("+4901711234567", "+491711234567"),
        ("+390236618300", "+390236618300"),
        ("+39236618300", "+39236618300"),
    ],
)
def test_a_number_has_one_canonical_form(raw: str, number: str) -> None:
    assert canonical(raw) == number


@pytest.mark.parametrize("raw", ["5215512345678", "541123456789", "4401711234567"])
def test_both_forms_of_a_number_are_read_as_one(raw: str) -> None:
    assert NumberFormat(DIGITS).read(raw) == canonical(f"+{raw}") != f"+{raw}"


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=30))
def test_ascii_is_read_as_any_other_text(raw: str) -> None:
    """A shorter way serves ASCII; the mark, which is removed, makes it another text."""
    assert plain(raw) == plain(f"\u200b{raw}")


@given(st.from_regex(r"\+[0-9]{1,3}[ ()./-]{0,2}[0-9]{2,6}[ ()./-]{0,2}[0-9]{2,8}", fullmatch=True))
def test_a_canonical_number_in_any_punctuation_is_itself(raw: str) -> None:
    digits = "+" + "".join(character for character in raw if character.isdigit())

    assert canonical(raw) == canonical(digits)
