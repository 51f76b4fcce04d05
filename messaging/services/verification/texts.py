"""The texts that tell a code, with masks in its place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from django.conf import settings

from messaging.one_time_codes import MASK
from messaging.policy import smart_encoding
from messaging.services.errors import InvalidField
from messaging.services.templates import lookup, rendering

# Android's SMS Retriever finds the app by the hash at the end of the text.
APP_HASH = re.compile(r"[A-Za-z0-9+/]{11}")
DOMAIN = re.compile(r"(?=.{1,100}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
ENGLISH = "en"
# With a brand, and without one; all in GSM-7.
_TEXTS: Mapping[str, tuple[str, str]] = {
    "en": (
        "Your {brand} code is {code}. Do not share it with anyone.",
        "Your code is {code}. Do not share it with anyone.",
    ),
    "de": ("Dein Code für {brand} ist {code}. Gib ihn nicht weiter.", "Dein Code ist {code}. Gib ihn nicht weiter."),
    "es": ("Tu código de {brand} es {code}. No lo compartas.", "Tu código es {code}. No lo compartas."),
    "fr": ("Votre code {brand} est {code}. Ne le partagez pas.", "Votre code est {code}. Ne le partagez pas."),
    "it": ("Il tuo codice {brand} è {code}. Non condividerlo.", "Il tuo codice è {code}. Non condividerlo."),
    "nl": ("Je code voor {brand} is {code}. Deel hem met niemand.", "Je code is {code}. Deel hem met niemand."),
}
# `ó` is not in GSM-7; the plain letter keeps the text in one segment of 160 characters.
_PLAIN = str.maketrans("ó", "o")
LOCALES = tuple(sorted(_TEXTS))


@dataclass(frozen=True, slots=True)
class MaskedText:
    """A text with `MASK` for each digit of its code, which begins at each of `offsets`."""

    text: str = field(repr=False)
    offsets: tuple[int, ...]
    template_id: UUID | None = None
    template_version: int | None = None


def text_of(
    *,
    owner_id: int,
    code_length: int,
    template: str | None = None,
    locale: str = "",
    app_hash: str = "",
    domain: str = "",
) -> MaskedText:
    """Return the text of a new verification. Raises `InvalidField` for a template that does not exist or does not fit.

    `locale` is a language tag; one without a text of its own gets the English one, or the default one of the template. Of
    `app_hash` and `domain` one may be given.
    """
    if template:
        return _of_template(owner_id, template, locale, code_length, app_hash=app_hash, domain=domain)
    with_brand, without_brand = _TEXTS.get(
        (locale or ENGLISH).lower().replace("_", "-").partition("-")[0], _TEXTS[ENGLISH]
    )
    pattern = (with_brand if settings.VERIFY_BRAND else without_brand).translate(_PLAIN)
    before, after = pattern.split("{code}")
    before, mask = before.format(brand=_brand()), MASK * code_length
    return _with_end(MaskedText(f"{before}{mask}{after}", (len(before),)), mask, app_hash=app_hash, domain=domain)


def _brand() -> str:
    """In smart encoding if that is wanted: all else in the built-in texts is in GSM-7."""
    brand: str = settings.VERIFY_BRAND
    return smart_encoding.smart_encoded(brand) if settings.SMART_ENCODING_DEFAULT else brand


def _of_template(
    owner_id: int, reference: str, locale: str, code_length: int, *, app_hash: str, domain: str
) -> MaskedText:
    version = lookup.load(owner_id, {reference})[reference]
    if version is None:
        raise InvalidField("template", "unknown_template", "There is no template of this name.")
    mask = MASK * code_length
    try:
        smart = version.smart_encoding or settings.SMART_ENCODING_DEFAULT
        rendered = rendering.render(version, locale, {"code": mask}, smart_encoding=smart)
    except InvalidField as refusal:
        raise InvalidField("template", refusal.field_code, refusal.detail) from None
    places = rendered.positions.get("code", [])
    if not places:
        raise InvalidField("template", "no_code", "The template does not tell the code: its text has no {code}.")
    offsets = tuple(begin for begin, _ in places)
    masked = MaskedText(rendered.text, offsets, version.template_id, version.number)
    return _with_end(masked, mask, app_hash=app_hash, domain=domain)


def _with_end(masked: MaskedText, mask: str, *, app_hash: str, domain: str) -> MaskedText:
    text, offsets = masked.text, list(masked.offsets)
    if app_hash:
        text = f"{text}\n{app_hash}"
    if domain:
        start = f"{text}\n\n@{domain} #"
        offsets.append(len(start))
        text = f"{start}{mask}"
    return replace(masked, text=text, offsets=tuple(offsets))
