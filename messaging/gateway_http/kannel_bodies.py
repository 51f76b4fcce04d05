"""The ways to call Kannel's `sendsms`, brought to one: a query or form, a text with headers, an XML document."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest

from messaging.gateway_http.parameters import FORM, Parameters, read_body, read_urlencoded, take_query

# The names of the parameters that headers and documents have too.
NAMES: Final = (
    *("username", "password", "from", "to", "udh", "smsc", "account", "binfo", "coding", "pid", "mwi", "mclass"),
    *("alt-dcs", "compress", "validity", "deferred", "dlr-mask", "dlr-url", "rpi", "priority", "meta-data"),
)
SYNONYMS: Final[Mapping[str, str]] = {
    "user": "username",
    "pass": "password",
    "dlrurl": "dlr-url",
    "dlrmask": "dlr-mask",
}
PATHS: Final[Mapping[str, str]] = {
    "from/user": "username",
    "from/username": "username",
    "from/pass": "password",
    "from/password": "password",
    "from/account": "account",
    "from/binfo": "binfo",
    "oa/number": "from",
    "udh": "udh",
    "smsc": "smsc",
    "pid": "pid",
    "rpi": "rpi",
    "dcs/mclass": "mclass",
    "dcs/mwi": "mwi",
    "dcs/coding": "coding",
    "dcs/compress": "compress",
    "dcs/alt-dcs": "alt-dcs",
    "statusrequest/dlr-mask": "dlr-mask",
    "statusrequest/dlr-url": "dlr-url",
    "vp/delay": "validity",
    "timing/delay": "deferred",
    "priority": "priority",
    "meta-data": "meta-data",
}
TEXT, OCTETS, XML = "text/plain", "application/octet-stream", "text/xml"
EIGHT_BIT: Final = b"1"
_ESCAPED: Final = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


class KannelRefusal(Exception):
    """The answer, in Kannel's words where it has some."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


def read(request: HttpRequest) -> Parameters:
    """Return the parameters under the names of the query. Raises `KannelRefusal`."""
    try:
        parameters = take_query(request)
        if request.method == "POST":
            parameters = _of_body(request, parameters)
    except RequestDataTooBig:
        raise KannelRefusal(413, "Body too long, rejected") from None
    except ValueError:
        raise KannelRefusal(400, "Too many parameters, rejected") from None
    for name, usual in SYNONYMS.items():
        if name in parameters:
            parameters.setdefault(usual, parameters[name])
    return parameters


def _of_body(request: HttpRequest, query: Parameters) -> Parameters:
    kind = (request.content_type or "").lower()
    if kind in {FORM, ""}:  # Kannel takes no form; it keeps the password out of the address
        return {**read_urlencoded(read_body(request)), **query}
    if kind == XML:
        return _of_document(read_body(request))
    if kind not in {TEXT, OCTETS}:
        raise KannelRefusal(400, "Invalid content-type")
    parameters = _of_headers(request)
    parameters["text"] = read_body(request)
    charset = (request.content_params or {}).get("charset", "")
    if kind == OCTETS:
        parameters.setdefault("coding", EIGHT_BIT)
    elif not charset:
        charset = _utf8_or_latin1(parameters["text"])
    return {**parameters, "charset": charset.encode()} if charset else parameters


def _of_headers(request: HttpRequest) -> Parameters:
    found = {name: request.headers.get(f"X-Kannel-{name}") for name in NAMES}
    return {name: value.strip().encode("latin-1", "replace") for name, value in found.items() if value is not None}


def _utf8_or_latin1(text: bytes) -> str:
    """Kannel reads Latin-1, which no client that sends UTF-8 wants."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return "ISO-8859-1"
    return "UTF-8"


def _of_document(body: bytes) -> Parameters:
    """Empty for what is no document of this kind: then there is no password either."""
    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return {}
    submit = root.find("submit") if root.tag == "message" else None
    if submit is None:
        return {}
    found = {name: _text(submit.find(path)) for path, name in PATHS.items() if submit.find(path) is not None}
    if numbers := [number for each in submit.findall("da/number") if (number := _text(each))]:
        found["to"] = " ".join(numbers)
    parameters = {name: value.encode() for name, value in found.items()}
    return {**parameters, "text": _content(submit.find("ud")), "charset": b"UTF-8"}


def _text(element: Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _content(element: Element | None) -> bytes:
    """Percent escapes and plus signs are decoded, as Kannel does, unless a percent sign is none of an escape."""
    text = (element.text or "") if element is not None else ""
    return unquote_to_bytes(text.replace("+", " ")) if _ESCAPED.fullmatch(text) else text.encode()
