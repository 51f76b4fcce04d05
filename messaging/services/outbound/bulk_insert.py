"""Bulk insertion of outbound messages that were checked already: those of a schedule, and those of a client's batch."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, Self
from uuid import UUID

import uuid_utils
from django.contrib.auth.models import User
from django.db import connection, models
from django.db.models.base import ModelState
from django.utils import timezone

from messaging import encryption
from messaging.models import Message, MessageEvent, PhoneNumber
from messaging.models.encrypted import EncryptedTextField, keys
from messaging.segments import Encoding
from messaging.services import transitions
from messaging.services.outbound import sender_rules
from messaging.services.reporting.rollups import CounterBatch
from messaging.states import Source

# One row's values, in the order of the columns that differ.
Row = tuple[Any, ...]


class Variant(NamedTuple):
    """The columns in which one message differs from the prototype."""

    to_number: str
    text: str
    encoding: Encoding
    segments: int


class OwnVariant(NamedTuple):
    """As `Variant`, of messages of which some wait for an hour or have another sender."""

    to_number: str
    text: str
    encoding: Encoding
    segments: int
    next_attempt_at: datetime | None
    expires_at: datetime | None
    error_code: str
    error_detail: str
    from_number: str


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows of one table. `varying` names their columns in `rows`; all others have the prototype's value."""

    prototype: models.Model
    varying: tuple[str, ...]
    rows: Iterable[Row]

    @classmethod
    def of(cls, instances: Sequence[models.Model]) -> Self:
        values = [vars(instance) for instance in instances]
        names = [field.attname for field in instances[0]._meta.concrete_fields]  # noqa: SLF001 (public in all but its name)
        varying = tuple(name for name in names if _differ([row[name] for row in values]))
        return cls(instances[0], varying, (tuple([row[name] for name in varying]) for row in values))


def _differ(values: list[Any]) -> bool:
    try:
        return len(set(values)) > 1
    except TypeError:  # parameters, which a set cannot hold
        return any(value != values[0] for value in values)


def batch_size() -> int:
    """How many messages one transaction should store.

    COPY makes large transactions cheap. SQLite has one writer, and API requests wait for it, so its transactions stay short.
    """
    return 5_000 if connection.vendor == "postgresql" else 1_000


def like(prototype: Message, **values: Any) -> Message:
    """Return a copy of an unsaved message with other values. `copy.copy` and the constructor take 10 times as long."""
    message = Message.__new__(Message)
    message.__dict__.update(prototype.__dict__, _state=ModelState(), **values)
    message._state.fields_cache = prototype._state.fields_cache.copy()  # noqa: SLF001 (as Django's own copy does)
    return message


def store(
    prototype: Message,
    variants: Iterable[Variant | OwnVariant],
    *,
    source: Source,
    columns: Sequence[str] = Variant._fields,
    details: Mapping[str, str] | None = None,
    ids: Sequence[str] | None = None,
) -> int:
    """Insert one message per variant, in the caller's transaction, and count them; with its first history row if it needs one.

    `columns` are the fields of all variants, `ids` theirs, if the caller has given them ids, and `details` sentences for the
    first history row, by the recipient's number. `variants` may be a generator that makes no queries: on PostgreSQL it runs
    while the database inserts. Returns the number of messages. Raises `IntegrityError` when a run already has a message to the
    same recipient, so a repeated run sends nothing twice.
    """
    used: dict[str, str] = {}
    keys = iter(ids) if ids is not None else _new_ids()
    _insert(_Table(prototype, ("id", *columns), _with_ids(variants, keys, used)))
    details = details or {}
    is_told = transitions.tells_its_creation(prototype, source=source, actor=None)
    if not is_told or details:
        event = MessageEvent(at=prototype.created_at, to_status=prototype.status, source=source)
        rows = (
            (str(uuid_utils.uuid7()), key, details.get(number, ""))
            for key, number in used.items()
            if not is_told or number in details
        )
        _insert(_Table(event, ("id", "message_id", "detail"), rows))
    tally = CounterBatch()
    if used:
        tally.created(prototype, count=len(used))
    tally.write()
    return len(used)


def _new_ids() -> Iterator[str]:
    while True:
        yield str(uuid_utils.uuid7())


def _with_ids(variants: Iterable[Variant | OwnVariant], ids: Iterator[str], used: dict[str, str]) -> Iterator[Row]:
    """Prepend the next id to each variant, and add it to `used` with the recipient's number."""
    for variant in variants:
        key = next(ids)
        used[key] = variant.to_number
        yield (key, *variant)


def store_messages(messages: Sequence[Message], *, source: Source, actor: User) -> None:
    """Insert messages, and the first history rows of those that need one, in the caller's transaction, and count them."""
    _insert(_Table.of(messages))
    for message in messages:
        message._state.adding, message._state.db = False, connection.alias  # noqa: SLF001 (as `bulk_create` does)
    replaced = [message for message in messages if message.replaced_sender]
    transitions.record_creation(
        messages,
        source=source,
        actor=actor,
        details={message.pk: sender_rules.announced(message) for message in replaced},
    )


def store_numbers(numbers: Iterable[str]) -> None:
    """Insert the numbers that are not known yet. Sorted, so that two batches with the same numbers cannot deadlock."""
    ordered = sorted(set(numbers))
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":  # no arrays
            now = connection.ops.adapt_datetimefield_value(timezone.now())
            cursor.executemany(
                "INSERT INTO messaging_phonenumber (number, status, reason, created_at) VALUES (%s, %s, '', %s)"
                " ON CONFLICT DO NOTHING",
                [(number, PhoneNumber.Status.ACTIVE.value, now) for number in ordered],
            )
            return
        # Known numbers are left out first: a conflict with a row that another transaction updates would wait for it. As a
        # scalar subquery the search always uses the primary key, whatever the statistics say.
        cursor.execute(
            "INSERT INTO messaging_phonenumber (number, status, reason, created_at)"
            " SELECT given, %s, '', now() FROM unnest(%s::text[]) AS given"
            " WHERE (SELECT 1 FROM messaging_phonenumber WHERE number = given) IS NULL ON CONFLICT DO NOTHING",
            [PhoneNumber.Status.ACTIVE, ordered],
        )


def _insert(table: _Table) -> None:
    if connection.vendor == "postgresql":
        _copy(table)
    else:
        _bulk_create(table)


def _bulk_create(table: _Table) -> None:
    model = type(table.prototype)
    shared = {field.attname: getattr(table.prototype, field.attname) for field in model._meta.concrete_fields}  # noqa: SLF001
    model._default_manager.bulk_create(  # noqa: SLF001
        model(**{**shared, **dict(zip(table.varying, row, strict=True))}) for row in table.rows
    )


def _copy(table: _Table) -> None:
    """COPY takes a fifth of the time of INSERT; leaving out model instances halves the rest."""
    meta, quote = type(table.prototype)._meta, connection.ops.quote_name  # noqa: SLF001
    varying = _varying_fields(table)
    shared = [field for field in meta.concrete_fields if field.attname not in table.varying]
    statement = (
        f"COPY {quote(meta.db_table)} ({', '.join(quote(_column(field)) for field in (*varying, *shared))}) FROM STDIN"
    )
    constants = [_converter(field)(getattr(table.prototype, field.attname)) for field in shared]
    converters = [(place, _converter(field)) for place, field in enumerate(varying) if _converter(field) is not _same]
    # COPY bypasses Django's cursor, which would turn the driver's errors into Django's.
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in table.rows:
            values = [*row, *constants]
            for place, convert in converters:
                values[place] = convert(values[place])
            copy.write_row(values)


def _varying_fields(table: _Table) -> "list[models.Field[Any, Any]]":
    fields = {field.attname: field for field in type(table.prototype)._meta.concrete_fields}  # noqa: SLF001
    return [fields[name] for name in table.varying]


def _column(field: "models.Field[Any, Any]") -> str:
    if field.column is None:
        raise TypeError(f"{field.attname} has no column")
    return field.column


def _converter(field: "models.Field[Any, Any]") -> Callable[[Any], Any]:
    """Return a function that converts values of the field for COPY, which bypasses it, to types that the driver writes fast."""
    if isinstance(field, EncryptedTextField):
        return partial(encryption.seal, keys=keys())
    if isinstance(field, models.JSONField):
        return _json
    return _plain if field.choices or isinstance(field, (models.DateTimeField, models.UUIDField)) else _same


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, (StrEnum, UUID)) else value


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _same(value: Any) -> Any:
    return value
