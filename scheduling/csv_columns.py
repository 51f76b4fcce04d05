"""The columns of a list: which one has the numbers, and which variable each of the others is.

Names are compared without regard to case, accents, spaces and punctuation, so `Phone 1 - Value` of Google's contacts,
`Mobile Phone` of Outlook's and `Téléphone portable` are known.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from messaging.text_templates import IDENTIFIER, MAX_VARIABLES

MAX_COLUMNS = 1_000
MAX_NAME = 40

# The names of the column with the numbers, the surest first. Of two columns of one rank the first is taken.
_KNOWN: Final = (
    re.compile(r"to"),
    re.compile(
        r"(mobile|cell|cellular)(phone)?(number|no)?|msisdn|sms(number)?|handy(nummer)?|mobil(telefon)?(nummer)?"
        r"|(telephone)?portable|(telefono)?(movil|celular|cellulare)|mobiel(nummer)?"
    ),
    re.compile(r"(primary)?(tele)?phone(number|no)?|phone1value|tel|telefon(nummer|o)?|telefoon(nummer)?|rufnummer"),
    re.compile(r"(home|business|work|other|company)?(tele)?phone(number|no)?\d?|phone\d+value"),
    re.compile(r"recipient(number)?|number|nummer|numero"),
)
# Beside a column of such a name, one that is only called a number has those of customers or houses.
_LIKE_PHONE: Final = re.compile(
    r"phone|telef|^tel|mobile|mobil$|movil|^cel|handy|msisdn|sms|portable|rufnummer|whatsapp"
)


class BadHeader(ValueError):
    """`code` is `missing_to`, `no_header`, `duplicate_column` or `too_many_columns`. The text never quotes the file."""

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code


class Columns(NamedTuple):
    """`to` is the position of the numbers; `variables` maps positions to names. `ignored` are headers as they are written.

    `is_sure` is False if another column could have the numbers as well.
    """

    to: int
    variables: dict[int, str]
    ignored: tuple[str, ...]
    width: int
    is_sure: bool = True


class ChosenColumns(NamedTuple):
    """What a person has chosen, by position: the column of the numbers (None: it is found), and the columns of variables."""

    to: int | None = None
    variables: Mapping[str, int] = MappingProxyType({})


FOUND: Final = ChosenColumns()


def choose(
    header: Sequence[str],
    *,
    to_column: str = "",
    used: Collection[str] = (),
    chosen: ChosenColumns = FOUND,
) -> Columns:
    """Choose by the header. `to_column` names the column of the numbers; `used` are the variables that the text needs.

    Raises `BadHeader`.
    """
    if len(header) > MAX_COLUMNS:
        raise BadHeader(f"There are more than {MAX_COLUMNS:,} columns.", code="too_many_columns")
    names = [name.strip() for name in header]
    candidates = [chosen.to] if chosen.to is not None else _positions_of_numbers(names, to_column)
    to = candidates[0]
    by_hand = {position: name for name, position in chosen.variables.items() if name in used}
    if max(to, *by_hand, 0) >= len(names):
        raise BadHeader("The file has no such column.", code="missing_to")
    found: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        if position != to and position not in by_hand and (variable := variable_name(name)):
            found.setdefault(variable, []).append(position)
    variables: dict[int, str] = dict(by_hand)
    found = {name: positions for name, positions in found.items() if name not in by_hand.values()}
    # First the ones that the text uses: there is room for so many only.
    for variable in sorted(found, key=lambda each: each not in used):
        only = _only_one(variable, found[variable], names, used)
        if only is not None and len(variables) < MAX_VARIABLES:
            variables[only] = variable
    ignored = (name for position, name in enumerate(names) if name and position != to and position not in variables)
    return Columns(to, dict(sorted(variables.items())), tuple(ignored), len(names), is_sure=len(candidates) == 1)


def variable_name(header: str) -> str:
    """The variable that a column is: `First Name` is `First_Name`, `Größe` is `Grosse`; empty if nothing is left."""
    if IDENTIFIER.fullmatch(header):
        return header
    plain = unicodedata.normalize("NFKD", header.replace("\u00df", "ss"))
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    name = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")
    if not name:
        return ""
    return (f"_{name}" if name[0].isdigit() else name)[:MAX_NAME].rstrip("_")


def _positions_of_numbers(names: Sequence[str], to_column: str) -> list[int]:
    """The columns that could have the numbers, the chosen one first. Raises `BadHeader` for none."""
    keys = [_key(name) for name in names]
    if to_column.strip():
        wanted = to_column.strip().casefold()
        found = [position for position, name in enumerate(names) if name.casefold() == wanted]
        if not found:
            raise BadHeader("There is no column with the name that to_column gives.", code="missing_to")
        exact = [position for position in found if names[position] == to_column.strip()]
        if len(found) > 1 and len(exact) != 1:
            raise BadHeader("There are two columns with the name that to_column gives.", code="duplicate_column")
        return exact or found
    known = _KNOWN[:-1] if any(map(_LIKE_PHONE.search, keys)) else _KNOWN
    for form in known:
        found = [position for position, key in enumerate(keys) if form.fullmatch(key)]
        if len(found) > 1 and form is _KNOWN[0]:
            raise BadHeader("There are two columns named to.", code="duplicate_column")
        if found:
            return found
    if any(name.startswith("+") or name.isdecimal() for name in names):
        raise BadHeader("The first row must name the columns, one of them to.", code="no_header")
    raise BadHeader(
        "There is no column named to, phone or mobile; name the column with the numbers so, or give its name as to_column.",
        code="missing_to",
    )


def _only_one(variable: str, positions: Sequence[int], names: Sequence[str], used: Collection[str]) -> int | None:
    """The column of a variable: of several, the one that is written just so. None if that is not clear, and not needed."""
    if len(positions) == 1:
        return positions[0]
    exact = [position for position in positions if names[position] == variable]
    if len(exact) == 1:
        return exact[0]
    if variable in used:
        raise BadHeader(f"There are two columns for {{{variable}}}, which the text uses.", code="duplicate_column")
    return None


def _key(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(character for character in plain if character.isalnum())
