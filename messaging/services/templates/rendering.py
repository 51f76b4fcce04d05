"""A version of a template with values: the text that is sent, and where each value stands in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from messaging import text_templates
from messaging.models import TemplateVersion
from messaging.policy import smart_encoding as encoding
from messaging.policy.template_content import choose_language
from messaging.services.errors import InvalidField


@dataclass(frozen=True, slots=True)
class RenderedTemplate:
    """`positions` are begin and end (exclusive) of each variable's values, counted in characters of `text`."""

    text: str = field(repr=False)
    language: str
    positions: Mapping[str, list[tuple[int, int]]]


def render(
    version: TemplateVersion, language: str, variables: Mapping[str, str], *, smart_encoding: bool | None = None
) -> RenderedTemplate:
    """Insert the values, in the best language there is; an empty `language` is the default one. Unused values are ignored.

    `smart_encoding` replaces what the version says. Raises `InvalidField` for a value that is missing or too long.
    """
    used = choose_language(language, available=version.texts, default=version.default_language)
    for each in version.variable_list():
        if len(variables.get(each.name, "")) > each.max_length:
            detail = f"The template takes at most {each.max_length} characters for the variable {each.name}."
            raise InvalidField(f"variables.{each.name}", "too_long", detail)
    try:
        text, positions = text_templates.render_with_positions(version.texts[used], variables)
    except text_templates.MissingVariable as error:
        raise InvalidField(f"variables.{error.name}", "missing_variable", str(error)) from None
    wants_smart = version.smart_encoding if smart_encoding is None else smart_encoding
    changed = encoding.smart_encoded(text) if wants_smart else text
    if changed != text:
        positions = {name: [_moved(text, place) for place in places] for name, places in positions.items()}
    return RenderedTemplate(changed, used, positions)


def _moved(text: str, place: tuple[int, int]) -> tuple[int, int]:
    begin, end = (len(encoding.replaced(text[:position])) for position in place)
    return begin, end
