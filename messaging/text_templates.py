"""Message texts with variables such as `Hi {name}`. `{{` and `}}` are literal braces."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)
MAX_VARIABLES = 50
MAX_VALUE = 500

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]{0,39})\}|[{}]", re.ASCII)
_BEYOND = 10**MAX_VALUE
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


class InvalidTemplate(ValueError):
    """`position` is the index of the invalid brace, counted from 0. The text counts from 1."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"The brace at character {position + 1} is not part of a variable such as {{name}}."
            " Double it for a literal brace."
        )
        self.position = position


class MissingVariable(ValueError):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no value for the variable {name}.")
        self.name = name


class InvalidValues(ValueError):
    """`name` is the variable, or empty if the error concerns the whole mapping; `code` is stable."""

    def __init__(self, detail: str, *, code: str, name: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.name = name


class Template:
    """A compiled text. Instances are immutable and can be shared between threads."""

    __slots__ = ("_format", "_names", "_pick", "variables")

    def __init__(self, text: str) -> None:
        """Raises `InvalidTemplate`."""
        self._format, self._names = _compiled(text)
        self._pick = itemgetter(*self._names) if self._names else None
        self.variables = frozenset(self._names)

    def render(self, values: Mapping[str, object]) -> str:
        """Insert the values literally; unused values are ignored. Raises `MissingVariable` for the first missing name."""
        if self._pick is None:
            return self._format % ()
        try:
            return str(self._format % self._pick(values))
        except KeyError:
            raise MissingVariable(next(name for name in self._names if name not in values)) from None


def _compiled(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a format for the `%` operator, the fastest way to insert values in Python, and the names in order."""
    pieces: list[str] = []
    names: list[str] = []
    end = 0
    for token in _TOKEN.finditer(text):
        pieces.append(text[end : token.start()].replace("%", "%%"))
        end = token.end()
        if token[1]:
            names.append(token[1])
            pieces.append("%s")
        elif len(token[0]) == 1:
            raise InvalidTemplate(token.start())
        else:
            pieces.append(token[0][0])
    pieces.append(text[end:].replace("%", "%%"))
    return "".join(pieces), tuple(names)


def render_with_positions(text: str, values: Mapping[str, str]) -> tuple[str, dict[str, list[tuple[int, int]]]]:
    """Return the text, and for each variable where its values begin and end. Raises `InvalidTemplate` and `MissingVariable`."""
    pieces: list[str] = []
    positions: dict[str, list[tuple[int, int]]] = {}
    end = length = 0
    for token in _TOKEN.finditer(text):
        literal = text[end : token.start()]
        end = token.end()
        name = token[1]
        if name is None and len(token[0]) == 1:
            raise InvalidTemplate(token.start())
        if name is not None and name not in values:
            raise MissingVariable(name)
        inserted = token[0][0] if name is None else values[name]
        begin = length + len(literal)
        length = begin + len(inserted)
        pieces += (literal, inserted)
        if name is not None:
            positions.setdefault(name, []).append((begin, length))
    return "".join([*pieces, text[end:]]), positions


@lru_cache(maxsize=256)
def compile_template(text: str) -> Template:
    """Raises `InvalidTemplate`."""
    return Template(text)


def variables(text: str) -> frozenset[str]:
    """Return the variable names in the text. Raises `InvalidTemplate`."""
    return compile_template(text).variables


def render(text: str, values: Mapping[str, object]) -> str:
    """Raises `InvalidTemplate` and `MissingVariable`."""
    return compile_template(text).render(values)


def check_values(values: object) -> dict[str, str]:
    """Return the values as stored: at most 50 strings of at most 500 characters, with numbers converted to text.

    Raises `InvalidValues` for anything else, including true, null, lists, NUL and lone surrogates.
    """
    if not isinstance(values, Mapping):
        raise InvalidValues("Variables are an object of names and values.", code="invalid_variables")
    if len(values) > MAX_VARIABLES:
        raise InvalidValues(f"There are at most {MAX_VARIABLES} variables.", code="too_many_variables")
    return {_checked_name(name): _checked_value(name, value) for name, value in values.items()}


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not IDENTIFIER.fullmatch(name):
        raise InvalidValues(
            "A variable's name has at most 40 letters, digits and underscores, and does not begin with a digit.",
            code="invalid_variable_name",
        )
    return name


def _checked_value(name: str, value: object) -> str:
    text = _written(name, value)
    if len(text) > MAX_VALUE:
        raise InvalidValues(f"A value has at most {MAX_VALUE} characters.", code="too_long", name=name)
    if _NOT_TEXT.search(text):
        raise InvalidValues("A value contains characters that are not text.", code="invalid_characters", name=name)
    return text


def _written(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(max(-_BEYOND, min(value, _BEYOND)))  # Python refuses to format integers with thousands of digits
    if isinstance(value, float) and math.isfinite(value):
        return str(value)
    raise InvalidValues("A value is a text or a number.", code="invalid_value", name=name)
