"""JSON as the contract wants it: bounded, strict, and a clear 400 for everything else."""

import json
from typing import Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from messaging.request_bodies import read_bounded

MAX_DIGITS = 30
MAX_DEPTH = 32


def _no_constant(name: str) -> NoReturn:
    raise ParseError(f"{name} is not JSON.")


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ParseError("A number in the body is absurdly long.")
    return int(digits)


def _bounded_float(digits: str) -> float:
    value = float(digits)
    if value in {float("inf"), float("-inf")}:
        raise ParseError("A number in the body is absurdly large.")
    return value


def _refuse_depth(data: Any) -> None:
    """Level by level: whoever writes what we have read (a fingerprint, an answer) must not meet Python's recursion limit."""
    level = [data]
    for _ in range(MAX_DEPTH):
        inner = [child for each in level for child in (each.values() if isinstance(each, dict) else each)]
        level = [child for child in inner if isinstance(child, (dict, list))]
        if not level:
            return
    raise ParseError("The body is nested too deeply.")


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: dict | None = None) -> Any:
        body = read_bounded(stream, settings.MAX_BODY_BYTES)
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
        if not isinstance(data, dict):
            raise ParseError("The body must be a JSON object.")
        _refuse_depth(data)
        return data
