"""Reads receipts and incoming messages by configured paths, from the body and the query of a callback."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, StringConstraints

from providers.backends.callback_parts import PartMapping, place_of, read_octets, torn_octets
from providers.backends.payload import (
    EVERY,
    MAX_CODE_LENGTH,
    MAX_ID_LENGTH,
    at_path,
    is_json,
    one_value,
    read_content,
    read_form,
    scalar,
    storable_text,
    values_at,
    word,
)
from providers.backends.text_octets import NOTATIONS, OctetsMapping, charset_name
from providers.contract.callbacks import CallbackRequest, ReportedStatus, StatusReport
from providers.contract.config_types import Part, Path, mapping_without_ambiguity
from providers.contract.messages import InboundMessage, MessagePart
from providers.contract.prices import CarrierPrice, read_price
from providers.errors import MalformedCallback
from providers.numbers import NumberFormat

DEFAULT_STATUS_VALUES = {
    "delivered": ReportedStatus.DELIVERED,
    "failed": ReportedStatus.UNDELIVERED,
    "invalid": ReportedStatus.INVALID,
}
# Statuses that an error code may explain.
NOT_DELIVERED = frozenset({ReportedStatus.UNDELIVERED, ReportedStatus.FAILED, ReportedStatus.UNRECOGNIZED})
# The parameter of our own token in a callback's address.
OUR_PARAMETER = "token"

RawStatus = Annotated[str, StringConstraints(min_length=1, max_length=64)]
# The empty path is the whole body: a list at the top.
ListPath = Path | Literal[""]
Paths = Path | tuple[Path, ...]
Unambiguous = BeforeValidator(mapping_without_ambiguity)

logger = logging.getLogger(__name__)


def _not_unrecognized(value: Any) -> Any:
    if value == ReportedStatus.UNRECOGNIZED:
        raise ValueError("unknown_word is reserved for statuses that this table does not list")
    return value


Meaning = Annotated[ReportedStatus, BeforeValidator(_not_unrecognized)]


class StatusMapping(Part):
    """The paths of receipts: `list` where one request brings several, `reference` where our message's id is repeated.

    `price` is that of the whole message, in the account's currency unless `currency` leads to another one.
    `separator` stands between the values of several receipts that a provider joins in each field.
    """

    list: ListPath | None = None
    separator: Annotated[str, StringConstraints(min_length=1, max_length=1)] | None = None
    message_id: Path | None = "message_id"
    reference: Path | None = None
    status: Path = "status"
    error_code: Path | None = None
    price: Path | None = None
    currency: Path | None = None
    values: Annotated[Mapping[RawStatus, Meaning], Field(min_length=1), Unambiguous] = Field(
        default_factory=lambda: dict(DEFAULT_STATUS_VALUES)
    )
    errors: Annotated[Mapping[RawStatus, Meaning], Unambiguous] = Field(default_factory=dict)

    def paths(self) -> Iterator[str]:
        yield from filter(None, (self.message_id, self.reference, self.status, self.error_code))


class InboundMapping(Part):
    """The paths of incoming messages: `list` where one request brings several.

    Of several paths of the text the first one with a value counts, of several paths of media all do.
    """

    list: ListPath | None = None
    sender: Path = Field(default="from", alias="from")
    to: Path = "to"
    message: Paths = "message"
    octets: OctetsMapping | None = None
    id: Path | None = "id"
    media: Paths | None = "media"
    part: PartMapping | None = None

    def paths(self) -> Iterator[str]:
        yield from filter(None, (self.sender, self.to, *_each(self.message), self.id))


def _each(paths: Paths | None) -> tuple[str, ...]:
    return (paths,) if isinstance(paths, str) else paths or ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One receipt or text: a value is looked for in the body's entry, then in the query."""

    content: Any
    query: Mapping[str, Any]
    is_json: bool = False

    def get(self, path: str | None) -> Any:
        if path is None:
            return None
        value = at_path(self.content, path)
        return at_path(self.query, path) if value is None else value

    def all(self, path: str | None) -> list[Any]:
        if path is None:
            return []
        return list(values_at(self.content, path)) or list(values_at(self.query, path))


def entries(request: CallbackRequest, mapping: StatusMapping | InboundMapping) -> list[Entry]:
    """Every report or text of the request. Raises `MalformedCallback` unless the mapping reads all that is there.

    An empty list has none: some providers test an address with it.
    """
    try:
        query = one_value(read_form(urlsplit(request.url).query.encode(), errors="surrogateescape"))
        query.pop(OUR_PARAMETER, None)
        body = read_content(request.body, request.headers.get("content-type", "")) if request.body.strip() else {}
    except ValueError:
        raise MalformedCallback("the body cannot be read") from None
    if mapping.list is None:
        for path in mapping.paths():
            _refuse_unread(body, path)
        return [Entry(body, query, is_json=is_json(request.body))]
    found = body if mapping.list == "" else at_path(body, mapping.list)
    if isinstance(found, Mapping):
        found = [found]  # XML writes a list of one like an element
    if not isinstance(found, list):
        raise MalformedCallback("there is no list where the configuration expects it")
    return [Entry(each, query, is_json=is_json(request.body)) for each in found]


def _refuse_unread(body: Any, path: str) -> None:
    """Raise for a list with more entries than the one that the path reads: the others would be lost."""
    content = body
    for step in path.split("."):
        if isinstance(content, list) and len(content) > 1 and step != EVERY:
            raise MalformedCallback("the body has more entries than the configuration reads; set `list`")
        content = at_path(content, step)


def read_reports(request: CallbackRequest, mapping: StatusMapping, *, is_named: bool) -> tuple[StatusReport, ...]:
    """The receipts of a request. `is_named`: the address names the attempt, so that a receipt needs no id."""
    found = [each for entry in entries(request, mapping) for each in _separated(entry, mapping)]
    return tuple(report_of(entry, mapping, is_named=is_named and len(found) == 1) for entry in found)


def _separated(entry: Entry, mapping: StatusMapping) -> list[Entry]:
    """The receipts whose values are joined in the fields of one; a value that is not joined is for all of them."""
    if mapping.separator is None:
        return [entry]
    values = {path: word(entry.get(path)).split(mapping.separator) for path in mapping.paths()}
    count = max(map(len, values.values()))
    if not {len(each) for each in values.values()} <= {1, count}:
        raise MalformedCallback("the fields have different numbers of values")
    return [Entry({path: each[index % len(each)] for path, each in values.items()}, {}) for index in range(count)]


def report_of(entry: Entry, mapping: StatusMapping, *, is_named: bool) -> StatusReport:
    message_id = scalar(entry.get(mapping.message_id))
    reference = scalar(entry.get(mapping.reference))
    raw_status = word(entry.get(mapping.status))
    if len(message_id) > MAX_ID_LENGTH or not (message_id or reference or is_named):
        raise MalformedCallback("the receipt names no message")
    if not raw_status:
        raise MalformedCallback("the receipt names no status")
    error_code = word(entry.get(mapping.error_code))
    status = _meaning(raw_status, mapping.values, ReportedStatus.UNRECOGNIZED)
    if status in NOT_DELIVERED:
        status = _meaning(error_code, mapping.errors, status)
    return StatusReport(
        provider_message_id=message_id,
        status=status,
        raw_status=raw_status[:MAX_CODE_LENGTH],
        error_code=error_code[:MAX_CODE_LENGTH],
        reference=reference[:MAX_ID_LENGTH],
        price=price_at(entry.all(mapping.price), entry.get(mapping.currency)),
    )


def price_at(values: Sequence[Any], currency: Any) -> CarrierPrice | None:
    """The price that a path leads to: one value, or one for each part."""
    plain = [value if isinstance(value, int | float) else scalar(value) for value in values]
    return read_price(plain, None if currency is None else scalar(currency) or "?")


def _meaning(given: str, table: Mapping[str, ReportedStatus], otherwise: ReportedStatus) -> ReportedStatus:
    """As the table writes it, else without regard to case: some providers change it between versions."""
    if given in table:
        return table[given]
    return next((meaning for name, meaning in table.items() if name.casefold() == given.casefold()), otherwise)


def read_texts(request: CallbackRequest, mapping: InboundMapping, numbers: NumberFormat) -> tuple[InboundMessage, ...]:
    """The incoming messages of a request."""
    return tuple(_text_of(entry, mapping, numbers) for entry in entries(request, mapping))


def _text_of(entry: Entry, mapping: InboundMapping, numbers: NumberFormat) -> InboundMessage:
    sender, recipient = scalar(entry.get(mapping.sender)), scalar(entry.get(mapping.to))
    if not sender:
        raise MalformedCallback("the text names no sender")
    given_id = entry.get(mapping.id)
    message_id = scalar(given_id)
    if given_id not in (None, "") and (not message_id or len(message_id) > MAX_ID_LENGTH):
        raise MalformedCallback("the text's id is not valid")
    media_urls = _media([value for path in _each(mapping.media) for value in entry.all(path)])
    text, part = _content(entry, mapping, otherwise="" if media_urls else None)
    if text is None:
        raise MalformedCallback("there is no text that can be stored")
    return InboundMessage(
        message_id,
        sender=numbers.read(sender) or sender,
        recipient=numbers.read(recipient) or recipient,
        text=text,
        media_urls=media_urls,
        part=part,
    )


def _content(entry: Entry, mapping: InboundMapping, *, otherwise: str | None) -> tuple[str | None, MessagePart | None]:
    """The text, and its place if it is a part: then half a character at its edge is no fault, and kept for the other half."""
    part = place_of(entry.get, mapping.part)
    found = _octets(entry, mapping.octets)
    if found is not None:
        return read_octets(*found, part)
    text = _text(entry, mapping.message, otherwise=otherwise)
    if text is None and part is not None:
        given = next((value for path in _each(mapping.message) for value in entry.all(path)), None)
        torn = torn_octets(given, is_json=entry.is_json)
        return read_octets(*torn, part) if torn is not None else (None, part)
    return text, part


def _text(entry: Entry, paths: Paths, *, otherwise: str | None) -> str | None:
    """The text at the first path that has one, its pieces in lines; None for what cannot be stored."""
    for path in _each(paths):
        pieces = [storable_text(value) for value in entry.all(path) if value is not None]
        if pieces:
            return None if None in pieces else "\n".join(filter(None, pieces))
    return otherwise


def _octets(entry: Entry, mapping: OctetsMapping | None) -> tuple[bytes, str] | None:
    """The octets of the text and their charset; None where these are not told, or the table does not list the charset."""
    charset = mapping.charsets.get(charset_name(entry.get(mapping.charset))) if mapping else None
    if mapping is None or charset is None:
        return None
    try:
        return NOTATIONS[mapping.notation](entry.get(mapping.path)), charset
    except ValueError:
        raise MalformedCallback("the octets are no octets in their notation") from None


def _media(found: list[Any]) -> tuple[str, ...]:
    """Every address; what is none is left out, because a fault of one picture must not cost the text."""
    values = [value for each in found for value in (each if isinstance(each, list) else [each])]
    return tuple(filter(None, map(storable_text, values)))
