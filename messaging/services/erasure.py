"""Taking a person's number and texts away because the person has asked for it, with a proof that it was done."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Q, QuerySet
from uuid_utils.compat import uuid7

from messaging.models import (
    ClientEvent,
    Erasure,
    IdempotencyRecord,
    Message,
    PhoneNumber,
    ProviderCallback,
)
from messaging.services import retention, transitions
from messaging.services.errors import NotErasable
from messaging.services.transitions import Move
from messaging.states import CANCELABLE, Source, Status

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Erased:
    erasure: Erasure
    canceled: int


def erase(*, number: str, reason: str, actor: AbstractBaseUser, now: datetime) -> Erased:
    """Cancel what waits, then take texts, files, callbacks and the number itself out of every message, chunk by chunk.

    A pseudonym stands in the number's place, so that counts stay true. Safe to repeat: what a crash has left, the next
    call takes. Suppressions stay: without them the person would be written to again. Raises `NotErasable` while a message
    to the number is in the air, then nothing has been taken.
    """
    if _messages(number).filter(status=Status.SENDING).exists():
        raise NotErasable("A message to this number is being sent at this moment; try again in a minute.")
    pseudonym = f"erased-{uuid7().hex[-8:]}"
    canceled = _in_chunks(lambda: _cancel_chunk(number, actor, reason, now))
    messages = _in_chunks(lambda: _erase_chunk(number, pseudonym, now))
    with transaction.atomic():
        PhoneNumber.objects.filter(pk=number).delete()
        erasure = Erasure.objects.create(
            digest=digest(number), pseudonym=pseudonym, reason=reason[:200], actor=actor, at=now, messages=messages
        )
        LogEntry.objects.create(
            user_id=actor.pk,
            content_type=ContentType.objects.get_for_model(Erasure),
            object_id=str(erasure.pk),
            object_repr=pseudonym,
            action_flag=DELETION,
            change_message=f"A person's number and {messages} messages erased. Reason: {reason[:200]}",
        )
    return Erased(erasure, canceled)


def proofs(number: str) -> QuerySet[Erasure]:
    """The erasures of this number."""
    return Erasure.objects.filter(digest=digest(number))


def digest(number: str) -> str:
    """Keyed, because all numbers of the world are soon tried through."""
    return hmac.new(settings.SECRET_KEY.encode(), b"erasure:" + number.encode(), hashlib.sha256).hexdigest()


def _messages(number: str) -> QuerySet[Message]:
    return Message.objects.filter(Q(to_number=number) | Q(from_number=number, direction="inbound"))


def _in_chunks(step) -> int:
    total = 0
    while done := step():
        total += done
    return total


def _cancel_chunk(number: str, actor: AbstractBaseUser, reason: str, now: datetime) -> int:
    with transaction.atomic():
        waiting = _messages(number).filter(status__in=CANCELABLE).order_by("pk")
        rows = list(waiting.select_for_update(of=("self",))[:CHUNK])
        for row in rows:
            row.next_attempt_at = None
        detail = f"erased: {reason}"
        transitions.apply(
            [Move(row, Status.CANCELED, Source.OPERATOR, detail=detail, actor=actor) for row in rows],
            now=now,
            fields=["next_attempt_at"],
        )
    return len(rows)


def _erase_chunk(number: str, pseudonym: str, now: datetime) -> int:
    with transaction.atomic():
        rows = list(_messages(number).order_by("pk").select_for_update(of=("self",)).only("pk", "owner_id")[:CHUNK])
        ids = [row.pk for row in rows]
        _forget(ids, {row.owner_id for row in rows})
        retention.take_texts(ids, now=now)
        Message.objects.filter(pk__in=ids, to_number=number).update(to_number=pseudonym, updated_at=now)
        Message.objects.filter(pk__in=ids, from_number=number).update(from_number=pseudonym, updated_at=now)
    return len(rows)


def _forget(message_ids: list[UUID], owners: set[int | None]) -> None:
    """Where else a text or the number may stand: answers that are kept for a repeat, and events that are kept for a stream."""
    if not message_ids:
        return
    IdempotencyRecord.objects.filter(owner__in=owners - {None}).delete()
    ClientEvent.objects.filter(message_id__in=message_ids).delete()
    ProviderCallback.objects.filter(attempt__message__in=message_ids).delete()
