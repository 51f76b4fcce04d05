"""The ordinary receipt: the only one of its request, at the signed address of its attempt. One transaction does all.

It is stored together with what it changes. All other receipts, and those of which this fails, are stored first (`receipts`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef, Subquery

from messaging.models import AttemptPart, DeliveryAttempt, Message, ProviderCallback
from messaging.services.outbound import receipt_effects, receipt_storage
from messaging.services.outbound.receipt_matching import MAYBE_ACCEPTED
from providers.contract.callbacks import StatusReport
from providers.models import ProviderAccount

Outcome = DeliveryAttempt.Outcome
State = ProviderCallback.State
SETTLED = (State.APPLIED, State.IGNORED)


class _StoredMeanwhile(Exception):
    """Undoes the transaction: another request has stored the identical receipt."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An attempt with its locked message. `state`: that of the identical receipt of this attempt, if it is stored already."""

    attempt: DeliveryAttempt
    has_parts: bool
    state: str | None

    @property
    def is_ordinary(self) -> bool:
        """False where the receipt is stored already, or has to be parked."""
        attempt = self.attempt
        is_early = attempt.outcome == Outcome.CALLING and attempt.message.segments > 1
        return attempt.outcome in MAYBE_ACCEPTED and not is_early and self.state is None


def ingest(
    report: StatusReport, *, account: ProviderAccount, body: bytes, attempt_id: UUID, now: datetime
) -> State | None:
    """Store and apply the receipt; return its state, also if it is a repeat.

    None, and nothing is stored, if it is not an ordinary one or another transaction is working on its message.
    """
    digests = receipt_storage.digests(body, attempt_id)
    try:
        with transaction.atomic():
            found = _lock(attempt_id, account, digests)
            if found is None:
                return None
            if found.state in SETTLED:
                return State(found.state)
            if not found.is_ordinary:
                return None
            attempt, message = found.attempt, found.attempt.message
            callback = receipt_storage.of_attempt(
                attempt, report, account=account, body=body, digest=digests[0], now=now
            )
            # Parts are written together with the outcome. An outcome that was read before the lock may be older than the parts.
            may_have_parts = found.has_parts or attempt.outcome != Outcome.ACCEPTED
            before = receipt_effects.apply_to_message(
                callback, attempt, message, now=now, may_have_parts=may_have_parts
            )
            _insert(callback)
    except _StoredMeanwhile:
        return None
    receipt_effects.note_applied(callback, message, before, now=now)
    return State(callback.state)


def _insert(callback: ProviderCallback) -> None:
    """Raises `_StoredMeanwhile`, which undoes what the receipt has changed."""
    if not receipt_storage.insert(callback):
        raise _StoredMeanwhile


def _lock(attempt_id: UUID, account: ProviderAccount, digests: Sequence[str]) -> _Found | None:
    """The account's attempt, with its message locked. None without one, or while another transaction has the lock.

    A receipt that waited for the lock would be lost with this process, and its provider may not repeat it.
    """
    if connection.vendor != "postgresql":
        return _lock_by_orm(attempt_id, account, digests)
    with connection.cursor() as cursor:
        cursor.execute(_SELECT, [list(digests), attempt_id, account.pk])
        row = cursor.fetchone()
    if row is None:
        return None
    attempt = DeliveryAttempt.from_db(connection.alias, _ATTEMPT_NAMES, row[: len(_ATTEMPT)])
    attempt.message = Message.from_db(connection.alias, _MESSAGE_NAMES, row[len(_ATTEMPT) : -2])
    has_parts, state = row[-2:]
    return _Found(attempt, has_parts, state)


def _lock_by_orm(attempt_id: UUID, account: ProviderAccount, digests: Sequence[str]) -> _Found | None:
    """For SQLite, which has no arrays and no UUIDs. There the transaction has locked everything already."""
    parts = AttemptPart.objects.filter(attempt=OuterRef("pk"))
    stored = ProviderCallback.objects.filter(provider=account, digest__in=digests, attempt=OuterRef("pk"))
    attempts = DeliveryAttempt.objects.select_related("message").defer("message__text")
    row: Any = (  # Any: the annotations are not known to the model
        attempts.filter(pk=attempt_id, provider=account)
        .annotate(has_parts=Exists(parts), state=Subquery(stored.values("state")[:1]))
        .first()
    )
    return None if row is None else _Found(row, row.has_parts, row.state)


def _fields_of(model: type[models.Model], *, without: str = "") -> list["models.Field[Any, Any]"]:
    return [field for field in model._meta.concrete_fields if field.name != without]  # noqa: SLF001


def _columns(alias: str, fields: Sequence["models.Field[Any, Any]"]) -> str:
    return ", ".join(f'{alias}."{field.column}"' for field in fields)


# In SQL, because each receipt passes here, and building the statement costs Django more than all the rest.
_ATTEMPT, _MESSAGE = _fields_of(DeliveryAttempt), _fields_of(Message, without="text")
_ATTEMPT_NAMES, _MESSAGE_NAMES = ([field.attname for field in fields] for fields in (_ATTEMPT, _MESSAGE))
_SELECT = f"""
    SELECT {_columns("a", _ATTEMPT)}, {_columns("m", _MESSAGE)},
        EXISTS (SELECT FROM messaging_attemptpart p WHERE p.attempt_id = a.id),
        (SELECT c.state FROM messaging_providercallback c
            WHERE c.provider_id = a.provider_id AND c.digest = ANY(%s) AND c.attempt_id = a.id LIMIT 1)
    FROM messaging_deliveryattempt a JOIN messaging_message m ON m.id = a.message_id
    WHERE a.id = %s AND a.provider_id = %s
    FOR UPDATE OF m SKIP LOCKED
"""  # noqa: S608
