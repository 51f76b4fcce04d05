"""Reads the JSON and form bodies of providers. Accepts any bytes, and raises nothing but `ValueError`."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qs

MAX_ID_LENGTH = 128
MAX_CODE_LENGTH = 64
MAX_FORM_FIELDS = 1000
# What some providers write instead of an id where they refuse a message with a status of 2xx.
NO_ID = frozenset({"none", "null", "nil", "undefined"})


def read_json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_form(body: bytes) -> dict[str, list[str]]:
    return parse_qs(
        body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS, separator="&"
    )


def read_object(body: bytes, *, form: bool) -> Mapping[str, Any]:
    """The fields of a callback by name. A form's field is its value, or the list of its values if it is repeated."""
    if form:
        return {name: values[0] if len(values) == 1 else values for name, values in read_form(body).items()}
    content = read_json(body)
    if not isinstance(content, dict):
        raise ValueError("not an object")  # noqa: TRY004 (callers catch one class)
    return content


def at_path(content: Any, path: str) -> Any:
    """The value at a dotted path, where numbers are list indexes; None without one. A key that contains the dots wins."""
    if isinstance(content, Mapping) and path in content:
        return content[path]
    for step in path.split("."):
        if isinstance(content, Mapping):
            content = content.get(step)
        elif isinstance(content, list) and step.isascii() and step.isdigit() and int(step[:9]) < len(content):
            content = content[int(step[:9])]
        else:
            return None
    return content


def scalar(value: Any) -> str:
    """A text or integer as a stripped text; "" for any other value, and for a text that cannot be stored."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip()
    return text if text.isprintable() else ""


def identifier(value: Any) -> str:
    """The id that a provider gave: at most 128 characters. "" without one, also for the text "None" or "null"."""
    text = scalar(value)
    return "" if len(text) > MAX_ID_LENGTH or text.lower() in NO_ID else text


def storable_text(value: Any) -> str | None:
    """The text, if it can be stored: without NUL and lone surrogates. None for any other value."""
    if not isinstance(value, str) or "\x00" in value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
