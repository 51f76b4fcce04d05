"""The built-in texts."""

import pytest

from messaging import segments
from messaging.services.errors import InvalidField
from messaging.services.verification.texts import LOCALES, text_of


@pytest.mark.parametrize("brand", ["", "Acme & Söhne"])
@pytest.mark.parametrize("locale", LOCALES)
def test_every_text_is_one_segment_of_gsm_7_with_one_place_for_the_code(settings, locale: str, brand: str) -> None:
    settings.VERIFY_BRAND = brand

    made = text_of(code_length=10, locale=locale, domain="accounts.example.com")

    size = segments.measure(made.text)
    assert (size.encoding, size.segments) == ("gsm7", 1)
    assert [made.text[offset : offset + 10] for offset in made.offsets] == ["*" * 10] * 2
    assert made.text.count("*") == 20
    assert brand in made.text


@pytest.mark.parametrize(("locale", "start"), [("de-AT", "Dein"), ("FR_ca", "Votre"), ("pl", "Your"), ("en", "Your")])
def test_a_language_tag_finds_its_language_or_english(locale: str, start: str) -> None:
    assert text_of(code_length=6, locale=locale).text.startswith(start)


@pytest.mark.parametrize("brand", ["100% {code}", "***", "{brand}"])
def test_a_strange_brand_moves_no_place(settings, brand: str) -> None:
    settings.VERIFY_BRAND = brand

    made = text_of(code_length=4)

    [offset] = made.offsets
    assert made.text == f"Your {brand} code is ****. Do not share it with anyone."
    assert made.text[:offset] == f"Your {brand} code is "


def test_what_browsers_and_apps_read_is_at_the_end() -> None:
    assert text_of(code_length=6, domain="a.example").text.endswith("\n@a.example #******")
    assert text_of(code_length=6, app_hash="FA+9qCX9VSu").text.endswith("\nFA+9qCX9VSu")


def test_a_template_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidField) as caught:
        text_of(code_length=6, template="welcome")

    assert (caught.value.field, caught.value.field_code) == ("template", "unknown_template")
