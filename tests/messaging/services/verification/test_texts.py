"""The built-in texts."""

import pytest

from messaging import segments
from messaging.models import TemplateVersion
from messaging.policy.template_content import TemplateVariable
from messaging.services.errors import InvalidField
from messaging.services.templates import lookup, saving
from messaging.services.verification.texts import LOCALES, text_of
from tests.factories import NOW, UserFactory


@pytest.mark.parametrize("brand", ["", "Acme & Söhne"])
@pytest.mark.parametrize("locale", LOCALES)
def test_every_text_is_one_segment_of_gsm_7_with_one_place_for_the_code(settings, locale: str, brand: str) -> None:
    settings.VERIFY_BRAND = brand

    made = text_of(owner_id=1, code_length=10, locale=locale, domain="accounts.example.com")

    size = segments.measure(made.text)
    assert (size.encoding, size.segments) == ("gsm7", 1)
    assert [made.text[offset : offset + 10] for offset in made.offsets] == ["*" * 10] * 2
    assert made.text.count("*") == 20
    assert brand in made.text


@pytest.mark.parametrize(("locale", "start"), [("de-AT", "Dein"), ("FR_ca", "Votre"), ("pl", "Your"), ("en", "Your")])
def test_a_language_tag_finds_its_language_or_english(locale: str, start: str) -> None:
    assert text_of(owner_id=1, code_length=6, locale=locale).text.startswith(start)


@pytest.mark.parametrize("brand", ["100% {code}", "***", "{brand}"])
def test_a_strange_brand_moves_no_place(settings, brand: str) -> None:
    settings.VERIFY_BRAND = brand

    made = text_of(owner_id=1, code_length=4)

    [offset] = made.offsets
    assert made.text == f"Your {brand} code is ****. Do not share it with anyone."
    assert made.text[:offset] == f"Your {brand} code is "


def test_what_browsers_and_apps_read_is_at_the_end() -> None:
    assert text_of(owner_id=1, code_length=6, domain="a.example").text.endswith("\n@a.example #******")
    assert text_of(owner_id=1, code_length=6, app_hash="FA+9qCX9VSu").text.endswith("\nFA+9qCX9VSu")


def template(owner, texts: dict[str, str], name: str = "login", **content) -> TemplateVersion:
    variables = [TemplateVariable(name="code", sample="123456", max_length=10)]
    made = saving.create(
        owner=owner,
        name=name,
        content=saving.TemplateInput(texts=texts, default_language="de", variables=variables, **content),
        actor=owner,
        now=NOW,
    )
    lookup.forget()
    return made


@pytest.mark.django_db
class TestTemplates:
    def test_its_text_has_the_masks_in_its_language(self) -> None:
        owner = UserFactory()
        version = template(owner, {"de": "Code „{code}“. {code}", "en": "Your code: {code}"}, smart_encoding=True)

        german = text_of(owner_id=owner.pk, code_length=4, template="login")
        english = text_of(owner_id=owner.pk, code_length=4, template="login", locale="en-GB", domain="a.example")

        assert (german.text, german.offsets) == ('Code "****". ****', (6, 13))
        assert (german.template_id, german.template_version) == (version.template_id, 1)
        assert english.text == "Your code: ****\n\n@a.example #****"
        assert english.offsets == (11, 29)

    def test_another_owners_template_is_refused_as_one_that_does_not_exist(self) -> None:
        template(UserFactory(), {"de": "Code {code}"})

        with pytest.raises(InvalidField) as caught:
            text_of(owner_id=UserFactory().pk, code_length=6, template="login")

        assert (caught.value.field, caught.value.field_code) == ("template", "unknown_template")
