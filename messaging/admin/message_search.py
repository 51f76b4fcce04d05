"""Search for messages by a number in any notation, an id, a provider's message id, or a reference."""

import re
import unicodedata
from uuid import UUID

import phonenumbers
from django.db.models import Q, QuerySet

from messaging.models import Message
from messaging.services.reporting.search import any_of, starts_with
from providers.models import SenderNumber
from providers.numbers import Notation, NumberFormat, canonical, is_number

_NUMBER = re.compile(r"^[+\uff0b]?[\d\s().\-/\u00a0\u2010-\u2013\u2212]+$")
MAX_TERM = 128
LINK = "tel:"


def search(queryset: QuerySet[Message], term: str) -> QuerySet[Message]:
    """Return the messages that match. Each condition has its own index, so the cost does not grow with the table."""
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
    """Remove what gets copied along with a number: invisible formatting characters, and the `tel:` of a link."""
    visible = "".join(character for character in term if unicodedata.category(character) != "Cf").strip()
    return (visible[len(LINK) :] if visible[: len(LINK)].lower() == LINK else visible).strip()[:MAX_TERM]


def _numbers(text: str) -> list[Q]:
    """Match numbers that start with these digits, and the full number, also in the national notation of our sender numbers."""
    digits = "".join(str(int(character)) for character in text if character.isdecimal())
    written = text.startswith(("+", "\uff0b")) or digits.startswith("00")
    international = f"+{digits.removeprefix('00') if digits.startswith('00') else digits}"
    found = _to_or_from(international, exact=False)
    whole = canonical(international)
    if whole is not None and whole != international:
        found += _to_or_from(whole, exact=True)
    if not written:
        found += [condition for number in _national(text) for condition in _to_or_from(number, exact=True)]
    return found


def _to_or_from(number: str, *, exact: bool) -> list[Q]:
    lookup = "" if exact else "__startswith"
    return [Q(**{f"to_number{lookup}": number}), Q(**{f"from_number{lookup}": number})]


def _national(text: str) -> list[str]:
    """Read the text as a national number in each country of our sender numbers."""
    own = [number for number in SenderNumber.objects.values_list("number", flat=True)[:100] if is_number(number)]
    regions = (phonenumbers.region_code_for_number(phonenumbers.parse(number, None)) for number in own)
    countries = {region for region in regions if region is not None}
    found = (NumberFormat(Notation.NATIONAL, country).read(text) for country in sorted(countries))
    return [number for number in found if number is not None]
