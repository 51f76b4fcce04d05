"""Pages of lists: their parameters, and the body with its relative addresses.

The keys are exactly Twilio's: SDKs look for the one key that they do not know, and take it for the rows.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict

from messaging.services.twilio.queries import EARLIEST, LATEST, Period, RowPosition
from messaging.twilio_api.errors import BAD_REQUEST, TwilioError

DEFAULT_SIZE, MAX_SIZE = 50, 1_000
MAX_PAGE = 10_000_000
# The id of a row, and in the lists that are ordered by time its microseconds.
_TOKEN = re.compile(r"P(?P<way>[AB])(?P<hex>[0-9a-f]{32})(?:T(?P<time>[0-9]{1,18}))?")
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = re.compile(r"[0-9]{1,8}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# A `+` that was not escaped in an address arrives as a blank.
_LOST_PLUS = re.compile(r"\s+([0-9]{2}:?[0-9]{2})\Z")
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`after` and `before` are the row next to the page; both are None for the first page. `at` is the time of that row."""

    number: int
    size: int
    after: UUID | None = None
    before: UUID | None = None
    at: datetime | None = None


def page_request(query: QueryDict) -> PageRequest:
    size = _whole(query.get("PageSize"), "PageSize", default=DEFAULT_SIZE, most=None)
    if size < 1:
        raise TwilioError(BAD_REQUEST, "'PageSize' must be at least 1.")
    number = _whole(query.get("Page"), "Page", default=0, most=MAX_PAGE)
    token = query.get("PageToken", "")
    if not token:
        if number:
            raise TwilioError(BAD_REQUEST, "Page 0 needs no 'PageToken'; others are read by their 'next_page_uri'.")
        return PageRequest(0, min(size, MAX_SIZE))
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise TwilioError(BAD_REQUEST, "This is not a 'PageToken' of ours.")
    key, at = UUID(hex=found["hex"]), None
    if found["time"]:
        at = EARLIEST + min(int(found["time"]) * _MICROSECOND, LATEST - EARLIEST)
    if found["way"] == "A":
        return PageRequest(number, min(size, MAX_SIZE), after=key, at=at)
    return PageRequest(number, min(size, MAX_SIZE), before=key, at=at)


def positions(request: PageRequest, *, by_time: bool) -> tuple[RowPosition | None, RowPosition | None]:
    """The positions of `after` and `before`. Raises `TwilioError` for the token of a list in another order."""
    if by_time and request.at is None and (request.after or request.before):
        raise TwilioError(BAD_REQUEST, "This 'PageToken' is not one of a list with 'DateSent'.")
    at = request.at or EARLIEST
    return (
        None if request.after is None else RowPosition(request.after, at),
        None if request.before is None else RowPosition(request.before, at),
    )


def page_body(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    path: str,
    filters: Mapping[str, str],
    request: PageRequest,
    next_key: UUID | None = None,
    previous_key: UUID | None = None,
    times: Mapping[UUID, datetime] = MappingProxyType({}),
) -> dict[str, Any]:
    """`times` has the times of the two rows, where the list is ordered by them."""
    number, size = request.number, request.size

    def uri(page: int, token: str = "") -> str:
        paging = {"PageSize": size, "Page": page} | ({"PageToken": token} if token else {})
        return f"{path}?{urlencode({**filters, **paging})}"

    return {
        "first_page_uri": uri(0),
        "next_page_uri": uri(number + 1, _token("A", next_key, times.get(next_key))) if next_key else None,
        "previous_page_uri": uri(max(0, number - 1), _token("B", previous_key, times.get(previous_key)))
        if previous_key
        else None,
        "page": number,
        "page_size": size,
        "start": number * size,
        "end": number * size + max(0, len(rows) - 1),
        "uri": uri(number, _own_token(request)),
        name: list(rows),
    }


def _own_token(request: PageRequest) -> str:
    if request.after is not None:
        return _token("A", request.after, request.at)
    return "" if request.before is None else _token("B", request.before, request.at)


def _token(way: str, key: UUID, at: datetime | None) -> str:
    return f"P{way}{key.hex}" + ("" if at is None else f"T{(at - EARLIEST) // _MICROSECOND}")


def _whole(text: str | None, name: str, *, default: int, most: int | None) -> int:
    if not text:
        return default
    if not _NUMBER.fullmatch(text) or (most is not None and int(text) > most):
        raise TwilioError(BAD_REQUEST, f"'{name}' must be a whole number.")
    return int(text)


def period(query: QueryDict, name: str) -> Period | None:
    """The period of `name`, `name<` and `name>`; None without any.

    `name` alone is a whole day in UTC, also where SDKs write its midnight. The others are up to, and from, a date's midnight or
    a time, which is included.
    """
    start, end, is_given = EARLIEST, LATEST, False
    for suffix in ("", "<", ">"):
        text = query.get(name + suffix, "").strip()
        if not text:
            continue
        is_given = True
        at = min(max(_named_time(text, name), EARLIEST), LATEST)
        if not suffix:
            at = at.replace(hour=0, minute=0, second=0)
        if suffix != "<":
            start = max(start, at)
        if suffix != ">":
            # Times are shown in whole seconds: one that reads the same as the given time is within.
            end = min(end, at + (_SECOND if suffix else _DAY))
    return Period(start, end) if is_given else None


def _named_time(text: str, name: str) -> datetime:
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        text = _LOST_PLUS.sub(r"+\1", text) if text[:1].isdigit() and "T" in text else _LOST_PLUS.sub(r" +\1", text)
        given = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        if given.tzinfo is None:
            given = given.replace(tzinfo=UTC)
        return given.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError, TypeError, IndexError):
        raise TwilioError(BAD_REQUEST, f"'{name}' must be a date, or a time in ISO 8601 or RFC 2822.") from None
