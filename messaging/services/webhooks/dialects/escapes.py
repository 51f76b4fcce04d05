"""Escapes in the addresses of Kannel's clients: `%d` and its kin, filled with percent-encoded values.

Some values are known when a text is accepted, the others when there is something to report: `fill_known` fills the former and
leaves the others, `fill` finishes the address. Nothing is ever filled into scheme, host and port.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus

_PARTS: Final = re.compile(r"((?:https?://)?[^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
# `%#group#parameter#` is one of the parameters in meta-data.
_ESCAPE: Final = re.compile(r"%(?:#([^#]*)#([^#]*)#|(.))", re.DOTALL)
_UNWRITABLE: Final = re.compile(r"[^!-~]")


def origin_has_escape(template: str) -> bool:
    """Whether a percent sign stands in scheme, host or port."""
    return "%" in _split(template)[0]


def fill(template: str, values: Mapping[str, str]) -> str:
    """The address to call. `%%` is a percent sign, and an unknown escape stays as it is, as in Kannel."""

    def value(found: re.Match[str]) -> str:
        letter = found[3]
        if letter == "%":
            return "%"
        return quote_plus(values[letter]) if letter in values else found[0]

    origin, rest = _split(template)
    return origin + _ESCAPE.sub(value, rest)


def fill_known(template: str, values: Mapping[str, str], parameters: Mapping[tuple[str, str], str]) -> str:
    """The template with these values, which `fill` will not touch again. `parameters` are those of meta-data.

    What an address cannot have, such as a blank, is percent-encoded.
    """

    def value(found: re.Match[str]) -> str:
        group, name, letter = found.groups()
        if letter is None:
            return _protected(parameters.get((group, name), ""))
        return _protected(values[letter]) if letter in values else found[0]

    origin, rest = _split(template)
    return origin + _UNWRITABLE.sub(lambda found: _protected(found[0]), _ESCAPE.sub(value, rest))


def _protected(value: str) -> str:
    return quote_plus(value).replace("%", "%%")


def _split(template: str) -> tuple[str, str]:
    found = _PARTS.fullmatch(template)
    return (found[1], found[2]) if found else (template, "")
