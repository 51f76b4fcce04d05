"""Accept one message with one statement, which checks what it must and stores everything or nothing.

Most messages are accepted one by one, and each statement costs the client a wait and the process more than the work itself.
The statement stores only what is beyond doubt: nothing is known against the recipient, the sender is the expected one, the key
is new. All else goes the long way through `submit`, which alone decides and explains; so do batches, media and replies.
"""

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import DEFAULT_DB_ALIAS, DataError, connection, connections, models, transaction
from django.db.backends.utils import CursorWrapper
from uuid_utils.compat import uuid7

from messaging.categories import Category
from messaging.models import (
    BudgetCharge,
    BudgetSlot,
    CountJournal,
    IdempotencyRecord,
    Message,
    MessageEvent,
    OutboundQueue,
    PhoneNumber,
    Suppression,
)
from messaging.models.encrypted import EncryptedTextField
from messaging.policy.velocity import Counting
from messaging.services import transitions
from messaging.services.costs import budget_rules
from messaging.services.costs.budget_rules import SlotFee
from messaging.services.errors import DomainError
from messaging.services.outbound import eligibility, idempotency, sender_pools
from messaging.services.outbound.eligibility import Batch
from messaging.services.outbound.idempotency import IdempotencyKey
from messaging.services.outbound.submit import Checks, MessageInput, build, prototype_of, submit
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.representation import serialize_message_for
from messaging.states import Source
from providers.models import SenderNumber


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """`response` is the message as its owner sees it. `message` is None for a repeat, which gets the first response."""

    response: dict[str, Any]
    message: Message | None


def accept(
    *, owner: User, draft: MessageInput, default_queue: str, now: datetime, key: IdempotencyKey | None = None
) -> AcceptedMessage:
    """Store one message, and with a key its response. Raises what `submit` and `idempotency.once` raise."""
    batch = None if draft.media else _expected(owner, draft, default_queue, now)
    if batch is not None:
        [message] = batch.messages
        response = serialize_message_for(owner, message)
        fees = budget_rules.current().slot_fees(message, now)
        is_stored = False
        try:
            is_stored = _store(message, response, guard=_guard(draft, message), key=key, fees=fees)
        finally:
            if not is_stored:
                batch.release()
        if is_stored:
            return AcceptedMessage(response, message)
    accepted = _accept_in_steps(owner=owner, draft=draft, default_queue=default_queue, now=now, key=key)
    stored = accepted.message
    if stored is not None and not _is_given(draft, stored) and not stored.replaced_sender:
        _default_senders.put(owner.pk, stored.from_number)
    return accepted


def _accept_in_steps(
    *, owner: User, draft: MessageInput, default_queue: str, now: datetime, key: IdempotencyKey | None
) -> AcceptedMessage:
    stored: list[Message] = []

    def store() -> dict[str, Any]:
        stored.append(submit(owner=owner, draft=draft, default_queue=default_queue, now=now))
        return serialize_message_for(owner, stored[0])

    if key is None:
        return AcceptedMessage(store(), stored[0])
    response, is_replay = idempotency.once(
        owner=owner, key=key.key, request_fingerprints=key.fingerprints, now=now, operation=store
    )
    return AcceptedMessage(response, None if is_replay else stored[0])


# --- What is expected, and checked by the statement -------------------------------------------------------------------


class _DefaultSenders:
    """The last known default sender of each owner. The statement checks it, so an outdated one only costs the long way."""

    MAX_OWNERS = 10_000

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def get(self, owner_id: int) -> str:
        return self._known.get(owner_id, "")

    def put(self, owner_id: int, number: str) -> None:
        if len(self._known) >= self.MAX_OWNERS:
            self._known = {}
        self._known[owner_id] = number


_default_senders = _DefaultSenders()


def _expected(owner: User, draft: MessageInput, default_queue: str, now: datetime) -> Batch | None:
    """Return the message to store if `_guard` holds, in its batch; None if it is refused in any case."""
    checks = Checks(
        default_queue=default_queue,
        queues={draft.queue or default_queue},
        senders={draft.sender} if draft.sender else (),
        default_sender=_default_senders.get(owner.pk),
    )
    message = build(draft, prototype=prototype_of(owner, now), checks=checks, now=now)
    if isinstance(message, DomainError):
        return None
    batch = Batch([message], now=now, counting=Counting.RESERVE)
    batch.provide(eligibility.recipients, eligibility.NOTHING_KNOWN)
    if batch.admit():
        return None
    if message.replaced_sender:
        batch.release()
        return None
    return batch


def _is_given(draft: MessageInput, message: Message) -> bool:
    """Whether the client or the queue's pool named the sender, so that it is not its owner's default."""
    return bool(draft.sender or sender_pools.current().sender_for(message.queue_id or "", message.to_number))


def _table(model: type[models.Model]) -> str:
    return model._meta.db_table  # noqa: SLF001 (public in all but its name)


_USABLE = "(owner_id = %s OR owner_id IS NULL)"
_QUEUE_EXISTS = f"EXISTS (SELECT 1 FROM {_table(OutboundQueue)} WHERE name = %s)"  # noqa: S608 (here and below: our own names)
_NOTHING_KNOWN = (
    f"NOT EXISTS (SELECT 1 FROM {_table(PhoneNumber)} WHERE number = %s AND status <> '{PhoneNumber.Status.ACTIVE}') "  # noqa: S608
    f"AND NOT EXISTS (SELECT 1 FROM {_table(Suppression)} WHERE number = %s)"
)
_SENDER_USABLE = f"EXISTS (SELECT 1 FROM {_table(SenderNumber)} WHERE {_USABLE} AND number = %s)"  # noqa: S608
_DEFAULT_SENDER_IS = (
    f"COALESCE((SELECT number FROM {_table(SenderNumber)} WHERE {_USABLE} AND is_default "  # noqa: S608
    "ORDER BY owner_id NULLS LAST LIMIT 1), '') = %s"
)
_GUARDS = {
    is_named: f"{_QUEUE_EXISTS} AND {_NOTHING_KNOWN} AND {_SENDER_USABLE if is_named else _DEFAULT_SENDER_IS}"
    for is_named in (True, False)
}

_Guard = tuple[str, list[Any]]


def _guard(draft: MessageInput, message: Message) -> _Guard:
    """The condition under which the expected message may be stored, and its parameters."""
    to, sender = message.to_number, message.from_number
    return _GUARDS[_is_given(draft, message)], [message.queue_id, to, to, message.owner_id, sender]


# --- What is stored ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Insert:
    """One new row. `given` are the columns with a value of their own; the others have their field's default.

    Defaults are written into the statement: each value that is handed over costs the process time.
    `conflict` is what the database does about a row that is there already; it follows the condition, and may add to it.
    """

    model: type[models.Model]
    given: tuple[str, ...]
    conflict: str = ""

    @cached_property
    def fields(self) -> "list[models.Field[Any, Any]]":
        by_name = {field.attname: field for field in self.model._meta.concrete_fields}  # noqa: SLF001 (public but in name)
        return [by_name[name] for name in self.given]

    def sql(self, condition: str) -> str:
        columns = {field.column: "%s" for field in self.fields}
        for field in self.model._meta.concrete_fields:  # noqa: SLF001
            default = None if isinstance(field, models.AutoField) else field.get_default()
            if field.column not in columns and default is not None:
                columns[field.column] = _literal(default)
        names, values = ", ".join(f'"{name}"' for name in columns), ", ".join(columns.values())
        return f"INSERT INTO {_table(self.model)} ({names}) SELECT {values} WHERE {condition} {self.conflict}"

    def prepared(self, values: Iterable[Any]) -> list[Any]:
        """Values in the order of `given`, as the database takes them; texts encrypted.

        PostgreSQL's driver takes most values as they are, and to ask each field takes longer than all else here.
        """
        database = connections[DEFAULT_DB_ALIAS]  # the wrapper itself: each use of `connection` looks it up again
        as_is = _TAKEN_AS_IS if database.vendor == "postgresql" else frozenset[type]()
        return [
            value
            if type(value) in as_is and not isinstance(field, EncryptedTextField)
            else field.get_db_prep_save(value, database)
            for field, value in zip(self.fields, values, strict=True)
        ]


_TAKEN_AS_IS = frozenset({str, int, bool, type(None), UUID, datetime, date})


def _literal(default: Any) -> str:
    """The defaults of our fields are words and numbers. Raises `ValueError` for another one."""
    if isinstance(default, bool | int):
        return str(default).lower()
    if isinstance(default, str) and (not default or default.isalnum()):
        return f"'{default}'"
    raise ValueError(f"{default!r} must be given")


_KEY = _Insert(
    IdempotencyRecord,
    ("owner_id", "key", "fingerprint", "response", "created_at"),
    "ON CONFLICT (owner_id, key) DO NOTHING",
)
_GIVEN = (
    *("id", "direction", "status", "owner_id", "queue_id", "from_number", "to_number", "text", "encoding", "segments"),
    *("reference", "callback_url", "callback_dialect", "is_automatic", "send_at", "valid_for", "expires_at"),
    *("next_attempt_at", "created_at", "updated_at"),
)
_MESSAGE = _Insert(Message, _GIVEN)
_MESSAGE_OF_CATEGORY = _Insert(Message, (*_GIVEN, "category", "priority", "parameters"))
_MESSAGE_OF_TEMPLATE = _Insert(Message, (*_MESSAGE_OF_CATEGORY.given, "template_id", "template_version"))
_MESSAGE_HELD = _Insert(Message, (*_MESSAGE_OF_TEMPLATE.given, "error_code", "error_detail"))
_NUMBER = _Insert(
    PhoneNumber,
    ("number", "created_at"),
    # A known number is left out first: a conflict with a row that another transaction updates would wait for it.
    f"AND (SELECT 1 FROM {_table(PhoneNumber)} WHERE number = %s) IS NULL ON CONFLICT (number) DO NOTHING",  # noqa: S608
)
_COUNTS = _Insert(CountJournal, ("counts",))
_CHARGE = _Insert(BudgetCharge, ("message_id", "budget_id", "period_start", "number", "amount", "currency"))
_EVENT = _Insert(MessageEvent, ("id", "message_id", "at", "to_status", "source", "actor_id"))

_Rows = list[tuple[_Insert, list[Any]]]


def _store(
    message: Message,
    response: dict[str, Any],
    *,
    guard: _Guard,
    key: IdempotencyKey | None,
    fees: Sequence[SlotFee],
) -> bool:
    """Store the message and all that belongs to it. Returns False, and stores nothing, if the guard fails, the key is known or
    a fee has no room in its slot of a budget.

    Of two concurrent requests with one key the second waits for the first, at the unique index of the keys.
    """
    now = message.created_at
    tally = CounterBatch()
    tally.created(message)
    rows: _Rows = []
    if key is not None:
        record = (message.owner_id, key.key, key.fingerprints[0], json.dumps(response), now)
        rows.append((_KEY, _KEY.prepared(record)))
    insert = _insert_of(message)
    rows.append((insert, insert.prepared(getattr(message, name) for name in insert.given)))
    rows.append((_NUMBER, [*_NUMBER.prepared((message.to_number, now)), message.to_number]))
    rows.append((_COUNTS, _COUNTS.prepared((tally.dumps(),))))
    if not transitions.tells_its_creation(message, source=Source.API, actor=message.owner):
        event = (uuid7(), message.pk, now, message.status, Source.API, message.owner_id)
        rows.append((_EVENT, _EVENT.prepared(event)))
    for fee in fees:
        values = (message.pk, fee.budget_id, fee.start, fee.number, fee.amount, fee.currency)
        rows.append((_CHARGE, _CHARGE.prepared(values)))
    taken = [_taking(fee) for fee in fees]
    if connection.vendor == "postgresql":
        return _insert_together(rows, guard, taken)
    return _insert_one_by_one(rows, guard, taken)


def _insert_of(message: Message) -> _Insert:
    if message.error_code:
        return _MESSAGE_HELD
    if message.template_id is not None:
        return _MESSAGE_OF_TEMPLATE
    return _MESSAGE if message.category == Category.TRANSACTIONAL and not message.parameters else _MESSAGE_OF_CATEGORY


DIVISION_BY_ZERO = "22012"  # of SQL's states
# The room is taken before anything is stored, on the same condition.
_TAKE = (
    f"UPDATE {_table(BudgetSlot)} SET used = used + %s "  # noqa: S608
    "WHERE budget_id = %s AND period_start = %s AND number = %s AND used + %s <= granted"
)


def _taking(fee: SlotFee) -> list[Any]:
    """The parameters of `_TAKE`."""
    _, budget_id, start, number, amount, _ = _CHARGE.prepared(
        (fee.budget_id, fee.budget_id, fee.start, fee.number, fee.amount, "")
    )
    return [amount, budget_id, start, number, amount]


def _insert_together(rows: _Rows, guard: _Guard, taken: Sequence[list[Any]]) -> bool:
    """One statement is one round trip, and a transaction of its own without a BEGIN and a COMMIT."""
    condition, parameters = guard
    (_, first), *others = rows
    statement = _together(tuple(insert for insert, _ in rows), condition, len(taken))
    values = [value for _, values in others for value in values]
    if not taken:
        with connection.cursor() as cursor:
            cursor.execute(statement, [*first, *parameters, *values])
            return bool(cursor.fetchone()[0])
    (first_taking, *other_takings) = taken
    takings = [*first_taking, *parameters, *(value for taking in other_takings for value in taking)]
    try:
        with _undone_alone(), connection.cursor() as cursor:
            cursor.execute(statement, [*takings, *first, *values])
            return bool(cursor.fetchone()[0])
    except DataError as error:
        if getattr(error.__cause__, "sqlstate", "") == DIVISION_BY_ZERO:
            return False
        raise


def _undone_alone() -> contextlib.AbstractContextManager[None]:
    """In a transaction of the caller's the failed statement is undone to a savepoint; else it is a transaction of its own."""
    return transaction.atomic() if connection.in_atomic_block else contextlib.nullcontext()


@lru_cache(maxsize=64)
def _together(inserts: Sequence[_Insert], condition: str, takings: int) -> str:
    """The first row is inserted on the condition and without a conflict; the others only if the first one was.

    With takings of budgets these come first, each if the one before it found room. If then nothing is stored, because a later
    one found none or another request has stored the key meanwhile, a division by zero undoes the statement as a whole.
    """
    first, *others = inserts
    parts, result = [], "count(*)"
    for number in range(takings):
        parts.append(f"taken{number} AS ({_TAKE} AND {condition} RETURNING 1)")
        condition = f"EXISTS (SELECT FROM taken{number})"
        result = "count(*) / (count(*) = (SELECT count(*) FROM taken0))::int"
    parts.append(f"new AS ({first.sql(condition)} RETURNING 1)")
    parts += [f"part{number} AS ({insert.sql('EXISTS (SELECT FROM new)')})" for number, insert in enumerate(others)]
    return f"WITH {', '.join(parts)} SELECT {result} FROM new"  # noqa: S608


def _insert_one_by_one(rows: _Rows, guard: _Guard, taken: Sequence[list[Any]]) -> bool:
    """For SQLite, which has no INSERT within WITH. Its statements cost no round trip."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not _charge_slots(cursor, taken):
            return False
        condition, parameters = guard
        for insert, values in rows:
            cursor.execute(insert.sql(condition), [*values, *parameters])
            if cursor.rowcount == 0 and insert is rows[0][0]:
                transaction.set_rollback(bool(taken))
                return False
            condition, parameters = "true", []
    return True


def _charge_slots(cursor: CursorWrapper, taken: Sequence[list[Any]]) -> bool:
    """Returns False, and marks the transaction to be undone, if one slot has no room."""
    for taking in taken:
        cursor.execute(_TAKE, taking)
        if cursor.rowcount == 0:
            transaction.set_rollback(True)
            return False
    return True
