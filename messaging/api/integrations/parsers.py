"""Parsers of bodies that other systems send. What PostgreSQL could not store is removed where a text is made."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from messaging.api.parsers import StrictJSONParser
from messaging.request_bodies import read_bounded

MAX_FORM_BYTES, MAX_FORM_FIELDS = 64 * 1024, 100


class ForeignJSONParser(StrictJSONParser):
    """As our own JSON, but a half of a surrogate pair is no reason to lose an alert."""

    takes_lone_surrogates = True
    max_values = 600_000  # 10,000 alerts, each with 30 labels and annotations


class BoundedFormParser(BaseParser):
    """A form as an object; of a repeated field the first value."""

    media_type = "application/x-www-form-urlencoded"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        body = read_bounded(stream, MAX_FORM_BYTES)
        try:
            pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
        except ValueError:
            raise ParseError(f"The form has more than {MAX_FORM_FIELDS} fields.") from None
        return dict(reversed(pairs))
