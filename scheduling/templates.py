"""Message texts with variables: `Hi {name}`. `{{` and `}}` are literal braces."""

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
    """`position` is the index of the brace that is at fault; the text is for people, who count from 1."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"The brace at character {position + 1} is neither part of a variable such as {{name}}"
            " nor doubled to stand for itself."
        )
        self.position = position


class MissingVariable(ValueError):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no value for the variable {name}.")
        self.name = name


class InvalidValues(ValueError):
    """`name` is the variable, or empty when the fault is not one variable's; `code` says which fault."""

    def __init__(self, detail: str, *, code: str, name: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.name = name


class Template:
    """A text read once and rendered often; safe to share between threads."""

    __slots__ = ("_format", "_names", "_pick", "variables")

    def __init__(self, text: str) -> None:
        """Raises `InvalidTemplate`."""
        self._format, self._names = _compiled(text)
        self._pick = itemgetter(*self._names) if self._names else None
        self.variables = frozenset(self._names)

    def render(self, values: Mapping[str, object]) -> str:
        """Values that the text does not name are ignored; braces and percent signs in values are only text.

        Raises `MissingVariable` for the first name in the text that has no value.
        """
        if self._pick is None:
            return self._format % ()
        try:
            return self._format % self._pick(values)
        except KeyError:
            raise MissingVariable(next(name for name in self._names if name not in values)) from None


def _compiled(text: str) -> tuple[str, tuple[str, ...]]:
    """A format for `%`, the fastest that Python has, and the names for its places."""
    pieces, names, end = [], [], 0
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


@lru_cache(maxsize=256)
def compile_template(text: str) -> Template:
    """Raises `InvalidTemplate`."""
    return Template(text)


def variables(text: str) -> frozenset[str]:
    """The names in the text. Raises `InvalidTemplate`."""
    return compile_template(text).variables


def render(text: str, values: Mapping[str, object]) -> str:
    """Raises `InvalidTemplate` and `MissingVariable`."""
    return compile_template(text).render(values)


def check_values(values: Mapping[str, object]) -> dict[str, str]:
    """Values as they are stored: at most 50, strings of at most 500 characters, numbers written out.

    Raises `InvalidValues` for anything else, also for true, null, lists, NUL and half of a surrogate pair.
    """
    if not isinstance(values, Mapping):
        raise InvalidValues("Variables are an object of names and values.", code="invalid_variables")
    if len(values) > MAX_VARIABLES:
        raise InvalidValues(f"There are at most {MAX_VARIABLES} variables.", code="too_many_variables")
    return {_checked_name(name): _checked_value(name, value) for name, value in values.items()}


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not IDENTIFIER.fullmatch(name):
        raise InvalidValues(
            "A variable's name has letters, digits and underscores, at most 40, and no digit in front.",
            code="invalid_variable_name",
        )
    return name


def _checked_value(name: str, value: object) -> str:
    text = _written(name, value)
    if len(text) > MAX_VALUE:
        raise InvalidValues(f"A value has at most {MAX_VALUE} characters.", code="too_long", name=name)
    if _NOT_TEXT.search(text):
        raise InvalidValues("A value has characters that are not text.", code="invalid_characters", name=name)
    return text


def _written(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(max(-_BEYOND, min(value, _BEYOND)))  # Python refuses to write out integers of thousands of digits
    if isinstance(value, float) and math.isfinite(value):
        return str(value)
    raise InvalidValues("A value is a text or a number.", code="invalid_value", name=name)
