"""What providers send: JSON or form bodies, read defensively. What cannot be read is a `ValueError`, nothing else."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qs

MAX_ID_LENGTH = 128
MAX_CODE_LENGTH = 64
MAX_FORM_FIELDS = 1000


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
    """A callback's fields by name; a form's field that stands there once is its value, not a list."""
    if form:
        return {name: values[0] if len(values) == 1 else values for name, values in read_form(body).items()}
    content = read_json(body)
    if not isinstance(content, dict):
        raise ValueError("not an object")  # noqa: TRY004 (whoever reads a payload catches one class)
    return content


def at_path(content: Any, path: str) -> Any:
    """The value at a dotted path, numbers being places in lists; None when there is none. A key with dots wins."""
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
    """Text or a whole number as text without surrounding blanks; "" for anything else, or what cannot be stored."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip()
    return text if text.isprintable() else ""


def storable_text(value: Any) -> str | None:
    """A text as it can be stored: no NUL, no half of a surrogate pair. None for anything else."""
    if not isinstance(value, str) or "\x00" in value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
