"""What a person types to find a message: a number as they have it, an id, a provider's id, a reference."""

import re
import unicodedata
from uuid import UUID

import phonenumbers
from django.db.models import Q, QuerySet

from messaging import e164
from messaging.services.reporting.search import any_of, starts_with
from messaging.states import Direction
from providers.models import SenderNumber

_NUMBER = re.compile(r"^[+\uff0b]?[\d\s().\-/\u00a0\u2010-\u2013\u2212]+$")
MAX_TERM = 128
LINK = "tel:"


def search(queryset: QuerySet, term: str) -> QuerySet:
    """Messages that it fits. Every condition has an index of its own, so the cost does not grow with the table."""
    text = _plain(term)
    if not text:
        return queryset
    try:
        return queryset.filter(pk=UUID(text))
    except ValueError:
        pass
    conditions = [starts_with("reference", text), starts_with("provider_message_id", text)]
    if _NUMBER.match(text) and any(character.isdecimal() for character in text):
        conditions += _numbers(text)
    return any_of(queryset, conditions)


def _plain(term: str) -> str:
    """Without what comes along when a number is copied: invisible marks of direction, and the `tel:` of a link."""
    visible = "".join(character for character in term if unicodedata.category(character) != "Cf").strip()
    return (visible[len(LINK) :] if visible[: len(LINK)].lower() == LINK else visible).strip()[:MAX_TERM]


def _numbers(text: str) -> list[Q]:
    """Whatever begins like this; and the whole number as it is stored, read at home in the countries that we send from too."""
    digits = "".join(str(int(character)) for character in text if character.isdecimal())
    written = text.startswith(("+", "\uff0b")) or digits.startswith("00")
    international = f"+{digits.removeprefix('00') if digits.startswith('00') else digits}"
    found = _to_or_from(international, exact=False)
    whole = _exact(international)
    if whole is not None and whole != international:
        found += _to_or_from(whole, exact=True)
    if not written:
        found += [condition for number in _national(text) for condition in _to_or_from(number, exact=True)]
    return found


def _to_or_from(number: str, *, exact: bool) -> list[Q]:
    lookup = "" if exact else "__startswith"
    return [Q(**{f"to_number{lookup}": number}), Q(**{f"from_number{lookup}": number}, direction=Direction.INBOUND)]


def _exact(text: str) -> str | None:
    try:
        return e164.normalise(text)
    except e164.InvalidNumber:
        return None


def _national(text: str) -> list[str]:
    """As somebody writes it at home, read in each country of our sender numbers."""
    own = {str(number) for number in SenderNumber.objects.values_list("number", flat=True)[:100]}
    countries = {phonenumbers.region_code_for_number(phonenumbers.parse(number, None)) for number in own} - {None}
    found = []
    for country in sorted(countries):
        try:
            number = phonenumbers.parse(text, country)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(number):
            found.append(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return found
