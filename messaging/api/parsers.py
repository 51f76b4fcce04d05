"""Strict JSON parsing with limits on size, depth and number of values. Everything else is answered with 400."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.parsers import BaseParser

from messaging.request_bodies import has_too_many_values, read_bounded

MAX_DIGITS = 30
MAX_DEPTH = 32
# UTF-8 cannot encode surrogates, so they can only come as escapes. Without such an escape the search is skipped.
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _no_constant(name: str) -> NoReturn:
    raise ParseError(f"{name} is not JSON.")


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ParseError(f"A number in the body has more than {MAX_DIGITS} digits.")
    return int(digits)


def _bounded_float(digits: str) -> float:
    value = float(digits)
    if value in {float("inf"), float("-inf")}:
        raise ParseError("A number in the body is too large.")
    return value


def _refuse_depth(data: Any) -> None:
    """Limit the depth: code that serializes the data again (fingerprints, responses) must not hit Python's recursion limit.

    Walks level by level, without recursion.
    """
    level = [data]
    for _ in range(MAX_DEPTH):
        inner = [child for each in level for child in (each.values() if isinstance(each, dict) else each)]
        level = [child for child in inner if isinstance(child, (dict, list))]
        if not level:
            return
    raise ParseError("The body is nested too deeply.")


def _refuse_lone_surrogates(data: Any) -> None:
    """Refuse lone surrogates: they can be neither stored nor encoded in a response."""
    path = _lone_surrogate(data)
    if path is not None:
        detail = ErrorDetail("Half of a surrogate pair is not a character.", "surrogate_characters_not_allowed")
        raise ValidationError({".".join(path): [detail]})


def _lone_surrogate(data: Any) -> tuple[str, ...] | None:
    """Return the path to the first one, or None. For one in a key the path leads to the object with that key."""
    if isinstance(data, str):
        return () if _SURROGATE.search(data) else None
    children: Iterable[tuple[Any, Any]] = ()
    if isinstance(data, dict):
        if any(_SURROGATE.search(key) for key in data):
            return ()
        children = data.items()
    elif isinstance(data, list):
        children = enumerate(data)
    for step, child in children:
        path = _lone_surrogate(child)
        if path is not None:
            return (str(step), *path)
    return None


class StrictJSONParser(BaseParser):
    media_type = "application/json"
    takes_lists = False
    takes_lone_surrogates = False
    max_values = 100_000

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        body = read_bounded(stream, settings.MAX_BODY_BYTES)
        if has_too_many_values(body, self.max_values):
            raise ParseError(f"The body has more than {self.max_values:,} values.")
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            raise ParseError("The body is not UTF-8.") from None
        try:
            data = json.loads(text, parse_constant=_no_constant, parse_int=_bounded_int, parse_float=_bounded_float)
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None
        except ValueError:
            raise ParseError("The body is not valid JSON.") from None
        if not isinstance(data, (dict, list) if self.takes_lists else dict):
            raise ParseError(f"The body must be a JSON object{' or list' if self.takes_lists else ''}.")
        _refuse_depth(data)
        if not self.takes_lone_surrogates and _SURROGATE_ESCAPE.search(text):
            _refuse_lone_surrogates(data)
        return data
