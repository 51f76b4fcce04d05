"""What a version of a message template contains, whether it may be saved, and how large its texts become."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from messaging import segments, text_templates
from messaging.policy import smart_encoding
from messaging.segments import Encoding, SegmentCount

MAX_LANGUAGES = 30
MAX_TEXT = segments.MAX_OUTBOUND_CHARACTERS
DEFAULT_MAX_LENGTH = 50
# Language, script, region and variants of BCP 47; extensions and private use say nothing about a text.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]{4})?(-([a-z]{2}|\d{3}))?(-([a-z0-9]{5,8}|\d[a-z0-9]{3}))*", re.IGNORECASE)
MAX_LANGUAGE = 35
_SCRIPT, _REGION = 4, 2


@dataclass(frozen=True, slots=True)
class TemplateVariable:
    """`sample` is what the previews show; a value has at most `max_length` characters."""

    name: str
    sample: str
    max_length: int = DEFAULT_MAX_LENGTH


@dataclass(frozen=True, slots=True)
class Problem:
    """`field` is a path such as `texts.de`; `code` is stable."""

    field: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class TextSize:
    """Of one language: with the samples, and with the longest values. `not_gsm7` are the characters that make it UCS-2."""

    at_samples: SegmentCount
    at_most: SegmentCount
    not_gsm7: str


def language_tag(text: str) -> str | None:
    """Return a BCP 47 tag as it is usually written (`pt-BR`, `zh-Hant`); None if it is not one."""
    if len(text) > MAX_LANGUAGE or not _LANGUAGE.fullmatch(text):
        return None
    first, *others = text.lower().split("-")
    written = [
        part.title() if len(part) == _SCRIPT and part.isalpha() else part.upper() if len(part) == _REGION else part
        for part in others
    ]
    return "-".join([first, *written])


def choose_language(wanted: str, *, available: Mapping[str, str], default: str) -> str:
    """Return the wanted language if there is a text in it, else its base language, else the default."""
    tag = language_tag(wanted) or ""
    while tag:
        if tag in available:
            return tag
        tag = tag.rpartition("-")[0]
    return default


def problems(
    *, texts: Mapping[str, str], default_language: str, variables: Sequence[TemplateVariable]
) -> list[Problem]:
    """Return why this must not be saved; empty if it may. Languages are tags as `language_tag` returns them."""
    if default_language not in texts:
        return [Problem("default_language", "no_text", f"There is no text in {default_language}.")]
    declared = {variable.name: variable for variable in variables}
    found = [*_duplicates(variables), *_samples(variables)]
    used: dict[str, frozenset[str]] = {}
    for language, text in texts.items():
        try:
            used[language] = text_templates.variables(text)
        except text_templates.InvalidTemplate as error:
            found.append(Problem(f"texts.{language}", "invalid_placeholder", str(error)))
    for language, names in used.items():
        found += [
            Problem(f"texts.{language}", "unknown_variable", f"The variable {name} has no sample.")
            for name in sorted(names - declared.keys())
        ]
        expected = used.get(default_language, names)
        found += [
            Problem(
                f"texts.{language}", "different_variables", f"The text in {default_language} has {name}, this one not."
            )
            for name in sorted(expected - names)
        ]
        found += [
            Problem(f"texts.{language}", "different_variables", f"The text in {default_language} does not have {name}.")
            for name in sorted(names - expected)
        ]
    if found:
        return found
    unused = declared.keys() - used[default_language]
    found += [Problem(f"variables.{name}", "unused_variable", "No text uses this variable.") for name in sorted(unused)]
    for language, text in texts.items():
        size = measured(text, variables, smart=False).at_samples
        if size.segments > segments.MAX_SEGMENTS:
            detail = f"With the samples it takes {size.segments} segments; {segments.MAX_SEGMENTS} is the limit."
            found.append(Problem(f"texts.{language}", "too_long", detail))
    return found


def warnings(*, texts: Mapping[str, str], variables: Sequence[TemplateVariable], smart: bool) -> list[Problem]:
    """Return what may be meant, and costs or breaks something. Only for content without `problems`."""
    found: list[Problem] = []
    for language, text in texts.items():
        size = measured(text, variables, smart=smart)
        if size.at_most.encoding is Encoding.UCS2 and size.at_samples.encoding is Encoding.UCS2:
            characters = " ".join(size.not_gsm7)
            detail = f"UCS-2 because of {characters}: a segment holds 70 characters instead of 160."
            found.append(Problem(f"texts.{language}", "ucs2", detail))
        if size.at_most.segments > segments.MAX_SEGMENTS:
            detail = (
                f"With the longest values it takes {size.at_most.segments} segments; such a message is refused, as "
                f"{segments.MAX_SEGMENTS} is the limit."
            )
            found.append(Problem(f"texts.{language}", "may_be_too_long", detail))
    return found


def measured(text: str, variables: Sequence[TemplateVariable], *, smart: bool) -> TextSize:
    """Measure a valid text. The longest values consist of characters as the sample has them, so they keep its encoding."""
    sampled = _encoded(text_templates.render(text, {each.name: each.sample for each in variables}), smart=smart)
    longest = _encoded(text_templates.render(text, {each.name: _longest(each) for each in variables}), smart=smart)
    alphabet = segments.GSM_BASIC | segments.GSM_EXTENSION
    strange = "".join(dict.fromkeys(character for character in sampled if character not in alphabet))
    return TextSize(segments.measure(sampled), segments.measure(longest), strange)


def _encoded(text: str, *, smart: bool) -> str:
    return smart_encoding.smart_encoded(text) if smart else text


def _longest(variable: TemplateVariable) -> str:
    return (variable.sample * (variable.max_length // len(variable.sample) + 1))[: variable.max_length]


def _duplicates(variables: Sequence[TemplateVariable]) -> list[Problem]:
    names = [variable.name for variable in variables]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [Problem(f"variables.{name}", "duplicate", "This variable is listed twice.") for name in twice]


def _samples(variables: Sequence[TemplateVariable]) -> list[Problem]:
    found = []
    for each in variables:
        if not each.sample:
            found.append(Problem(f"variables.{each.name}", "no_sample", "Give a sample."))
        elif len(each.sample) > each.max_length:
            detail = f"The sample is longer than {each.max_length} characters."
            found.append(Problem(f"variables.{each.name}", "sample_too_long", detail))
    return found
