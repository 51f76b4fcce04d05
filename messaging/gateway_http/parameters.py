"""Parameters as octets: clients send texts in any charset, which only the other parameters name."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from django.http import HttpRequest, QueryDict

from messaging.request_bodies import read_bounded

FORM: Final = "application/x-www-form-urlencoded"
MAX_BODY_BYTES: Final = 64 * 1024
MAX_PARAMETERS: Final = 200

Parameters = dict[str, bytes]


def take_query(request: HttpRequest) -> Parameters:
    """Return the query's parameters and remove the query from the request: it has a password, which no error page may show.

    Raises `ValueError` for too many parameters.
    """
    query: str = request.META.get("QUERY_STRING", "")
    request.META["QUERY_STRING"] = ""
    request.GET = QueryDict()
    return read_urlencoded(query.encode("utf-8", "surrogateescape"))


def read_body(request: HttpRequest) -> bytes:
    """Raises `RequestDataTooBig`."""
    return read_bounded(request, MAX_BODY_BYTES)


def read_urlencoded(octets: bytes) -> Parameters:
    """Of a parameter that is given more than once the first one counts. Raises `ValueError` for too many."""
    latin = octets.decode("latin-1")
    pairs = parse_qsl(latin, keep_blank_values=True, encoding="latin-1", max_num_fields=MAX_PARAMETERS)
    found: Parameters = {}
    for name, value in pairs:
        found.setdefault(name, value.encode("latin-1"))
    return found


def text_of(parameters: Mapping[str, bytes], name: str) -> str | None:
    """As text; what is not UTF-8 in it is replaced, so that it equals nothing of ours. None if it is not given."""
    value = parameters.get(name)
    return None if value is None else value.decode("utf-8", "replace")
