"""Arguments of Jasmin's interface: from a query, a form or JSON, checked in Jasmin's order and words."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest

from messaging.gateway_http.parameters import (
    FORM,
    MAX_PARAMETERS,
    Parameters,
    read_body,
    read_urlencoded,
    take_query,
    text_of,
)
from messaging.request_bodies import has_too_many_values

# The names of the arguments, in the order in which they are checked, and what each may be.
Fields = Mapping[str, re.Pattern[bytes]]

JSON: Final = "application/json"
CUSTOM_TLVS: Final = "custom_tlvs"
HIDDEN: Final = "***"
MAX_SHOWN: Final = 500
ANYTHING: Final = re.compile(rb".*", re.DOTALL)
_LOGIN: Final[Fields] = {
    "username": re.compile(rb".{1,16}"),
    "password": re.compile(rb".{1,16}"),
}
_TEXT: Final[Fields] = {
    "to": re.compile(rb"\+?[0-9]+"),
    "from": ANYTHING,
    "coding": re.compile(rb"[0-9]|10|13|14"),
    **_LOGIN,
    "priority": re.compile(rb"[0-3]"),
    "validity-period": re.compile(rb"[0-9]+"),
    "tags": re.compile(rb"[-a-zA-Z0-9,]*"),
    "content": ANYTHING,
    "hex-content": ANYTHING,
}
_TIME: Final = re.compile(rb"[0-9]{15}[-+R]")
SEND: Final[Fields] = {
    **_TEXT,
    "sdt": _TIME,
    "schedule_delivery_time": _TIME,  # in Jasmin's documentation of older versions
    "dlr": re.compile(rb"yes|no"),
    "dlr-url": re.compile(rb"https?://.*", re.DOTALL),
    "dlr-level": re.compile(rb"[1-3]"),
    "dlr-method": re.compile(rb"get|post", re.IGNORECASE),
    CUSTOM_TLVS: ANYTHING,
}
RATE, BALANCE = _TEXT, _LOGIN
REQUIRED: Final = ("to", "username", "password")


class JasminRefusal(Exception):
    """The answer, in Jasmin's words where it has some."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


def invalid(name: str, value: str) -> JasminRefusal:
    """Jasmin shows passwords too; this does not."""
    shown = HIDDEN if name == "password" else value[:MAX_SHOWN]
    return JasminRefusal(400, f"Argument [{name}] has an invalid value: [{shown}].")


def read(request: HttpRequest, fields: Fields) -> Parameters:
    """Return the arguments, each as its field has to be. Raises `JasminRefusal`."""
    try:
        arguments = take_query(request)
        if request.method == "POST":
            arguments |= _of_body(request)
    except RequestDataTooBig:
        raise JasminRefusal(413, "The body is too long.") from None
    except ValueError:
        raise JasminRefusal(400, "There are too many arguments.") from None
    _check(arguments, fields)
    return arguments


def _of_body(request: HttpRequest) -> Parameters:
    if request.content_type == JSON:
        return _of_json(read_body(request))
    return read_urlencoded(read_body(request)) if request.content_type in {FORM, ""} else {}


def _of_json(body: bytes) -> Parameters:
    if has_too_many_values(body, MAX_PARAMETERS):
        raise JasminRefusal(400, "There are too many arguments.")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise JasminRefusal(400, "The body is not valid JSON.") from None
    if not isinstance(data, dict):
        raise JasminRefusal(400, "The body is not a JSON object.")
    return {name: _octets(name, value) for name, value in data.items()}


def _octets(name: str, value: Any) -> bytes:
    """A value as in a form. `custom_tlvs` is a list, which has no meaning here."""
    if name == CUSTOM_TLVS:
        return b""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise invalid(name.encode("utf-8", "replace").decode(), "")
    try:
        return str(value).encode()
    except ValueError:  # half of a surrogate pair, or a number of thousands of digits
        raise invalid(name.encode("utf-8", "replace").decode(), "") from None


def _check(arguments: Parameters, fields: Fields) -> None:
    """Jasmin checks whether the first argument is known, then all fields in their order, then the other arguments."""
    first, *others = [*arguments, ""]
    if first and first not in fields:
        raise _unknown(first)
    if not arguments and "to" not in fields:
        raise JasminRefusal(400, "Mandatory arguments not found, please refer to the HTTPAPI specifications.")
    for name, pattern in fields.items():
        if name in arguments and not pattern.fullmatch(arguments[name]):
            raise invalid(name, text_of(arguments, name) or "")
        if name not in arguments and name in REQUIRED:
            raise JasminRefusal(400, f"Mandatory argument [{name}] is not found.")
    for name in others:
        if name and name not in fields:
            raise _unknown(name)


def _unknown(name: str) -> JasminRefusal:
    shown = name.encode("utf-8", "replace").decode()[:MAX_SHOWN]
    return JasminRefusal(400, f"Argument [{shown}] is unknown.")
