"""The parameters of a request, from a form or from JSON with the same names."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from messaging.request_bodies import has_too_many_values, read_bounded
from messaging.twilio_api.errors import BAD_REQUEST, TwilioError

# A text of 1600 characters, percent-encoded, ten addresses of media, and as much again.
MAX_BYTES = 128 * 1024
MAX_FIELDS = 200
MAX_DIGITS = 30
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


class Parameters:
    """Names, each with its values in order."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def text(self, name: str) -> str | None:
        """The last value, None if there is none."""
        values = self._values.get(name)
        return values[-1] if values else None

    def as_json(self) -> Mapping[str, list[str]]:
        return self._values


def parameters_of(request: Request) -> Parameters:
    """The parameters of the body. Raises `TwilioError`."""
    data = request.data
    return data if isinstance(data, Parameters) else Parameters(())


class FormParser(BaseParser):
    media_type = "application/x-www-form-urlencoded"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        try:
            body = read_bounded(stream, MAX_BYTES).decode("utf-8")
            pairs = parse_qsl(body, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
        except ValueError:
            raise TwilioError(BAD_REQUEST, "The form is not valid, or is not UTF-8.") from None
        return Parameters(_checked(pairs))


class JsonParser(BaseParser):
    """One object of texts, numbers, booleans, and lists of them."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        body = read_bounded(stream, MAX_BYTES)
        if has_too_many_values(body, MAX_FIELDS):
            raise TwilioError(BAD_REQUEST, "The JSON has too many values.")
        try:
            data = json.loads(body.decode("utf-8"), parse_int=_number, parse_float=_number, parse_constant=_number)
        except (ValueError, RecursionError):
            raise TwilioError(BAD_REQUEST, "The JSON is not valid.") from None
        if not isinstance(data, dict):
            raise TwilioError(BAD_REQUEST, "The JSON must be an object.")
        return Parameters(_checked(_pairs(data)))


def _number(text: str) -> str:
    if len(text) > MAX_DIGITS:
        raise ValueError
    return text


def _pairs(data: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, given in data.items():
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, bool):
                yield name, str(value).lower()
            elif isinstance(value, str):
                yield name, value
            elif value is not None:
                raise TwilioError(BAD_REQUEST, "The JSON must have texts, numbers, and lists of them as values.")


def _checked(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for name, value in pairs:
        if _NOT_TEXT.search(name) or _NOT_TEXT.search(value):
            raise TwilioError(BAD_REQUEST, "A parameter has NUL characters or halves of surrogate pairs.")
        yield name, value
