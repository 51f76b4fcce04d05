"""Erase a person's number and texts on request, and record a proof of the erasure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Q, QuerySet
from uuid_utils.compat import uuid7

from messaging.models import (
    ClientEvent,
    DeliveryAttempt,
    Erasure,
    GatewayPart,
    GatewayReceipt,
    InboundPart,
    Message,
    MessageEvent,
    PhoneNumber,
    ProviderCallback,
    Suppression,
    Verification,
)
from messaging.services import transitions
from messaging.services.errors import NotErasable
from messaging.services.privacy import fingerprints, redaction, retention
from messaging.services.recipients import opt_out_cases
from messaging.services.transitions import Transition
from messaging.states import CANCELABLE, UNSENT, Source, Status

CHUNK = 500
PURPOSE = "erasure"


@dataclass(frozen=True, slots=True)
class Erased:
    """`left` messages were being sent, or queued again, and are unchanged: another call erases them."""

    erasure: Erasure
    canceled: int
    left: int


def refuse_in_flight(number: str) -> None:
    """Raise `NotErasable` while a message to the number is being sent. Call it before anything is erased."""
    if messages_of(number).filter(status=Status.SENDING).exists():
        raise NotErasable("A message to this number is being sent; try again in a minute.")


def erase(*, number: str, reason: str, actor: User, now: datetime) -> Erased:
    """Cancel waiting messages, then remove texts, files, callbacks and the number from all others, in chunks.

    A pseudonym replaces the number, so that counts stay right. Safe to repeat: the next call completes what a crash left.
    Suppressions stay without their notes, so that the person is not contacted again; what an open opt-out case asks for is
    suppressed. A message that has not ended is never erased: it would be
    sent without its text, or to a pseudonym.
    """
    pseudonym = f"erased-{uuid7().hex[-8:]}"
    canceled = _in_chunks(lambda: _cancel_chunk(number, actor, reason, now))
    # Calls that began meanwhile are not retried.
    messages_of(number).filter(status=Status.SENDING).update(cancel_requested=True)
    opt_out_cases.erase(number=number, pseudonym=pseudonym, actor=actor, now=now)
    Suppression.objects.filter(number=number).exclude(note="").update(note="")
    InboundPart.objects.filter(Q(from_number=number) | Q(to_number=number, message=None)).delete()
    submitted = GatewayPart.objects.filter(to_number=number)
    GatewayReceipt.objects.filter(message=None).filter(
        Q(pk__in=submitted.values("pk")) | Q(destination__in=[number, number.removeprefix("+")])
    ).delete()
    submitted.delete()
    Verification.objects.filter(to_number=number).delete()
    messages = _in_chunks(lambda: _erase_chunk(number, pseudonym, now))
    redaction.redact_references(number, pseudonym)
    with transaction.atomic():
        PhoneNumber.objects.filter(pk=number).delete()
        erasure = Erasure.objects.create(
            digest=fingerprints.hmac_digest(PURPOSE, number.encode())[0],
            pseudonym=pseudonym,
            reason=reason[:200],
            actor=actor,
            at=now,
            messages=messages,
        )
        LogEntry.objects.create(
            user_id=actor.pk,
            content_type=ContentType.objects.get_for_model(Erasure),
            object_id=str(erasure.pk),
            object_repr=pseudonym,
            action_flag=DELETION,
            change_message=f"A person's number and {messages} messages erased. Reason: {reason[:200]}",
        )
    return Erased(erasure, canceled, left=messages_of(number).count())


def proofs(number: str) -> QuerySet[Erasure]:
    """The erasures of this number, including those recorded under a former `SECRET_KEY`."""
    return Erasure.objects.filter(digest__in=fingerprints.hmac_digest(PURPOSE, number.encode()))


def messages_of(number: str) -> QuerySet[Message]:
    return Message.objects.filter(Q(to_number=number) | Q(from_number=number, direction="inbound"))


def _in_chunks(step: Callable[[], int]) -> int:
    total = 0
    while done := step():
        total += done
    return total


def _cancel_chunk(number: str, actor: User, reason: str, now: datetime) -> int:
    with transaction.atomic():
        waiting = messages_of(number).filter(status__in=CANCELABLE).order_by("pk")
        rows = list(waiting.select_for_update(of=("self",))[:CHUNK])
        for row in rows:
            row.next_attempt_at = None
        detail = f"erased: {reason}"
        transitions.apply(
            [Transition(row, Status.CANCELED, Source.OPERATOR, detail=detail, actor=actor) for row in rows],
            now=now,
            fields=["next_attempt_at"],
        )
    return len(rows)


def _erase_chunk(number: str, pseudonym: str, now: datetime) -> int:
    with transaction.atomic():
        ended = messages_of(number).exclude(status__in=UNSENT).order_by("pk")
        ids = list(ended.select_for_update(of=("self",)).values_list("pk", flat=True)[:CHUNK])
        _delete_related(ids)
        retention.erase_texts(ids, now=now)
        _empty_details(ids, number)
        Message.objects.filter(pk__in=ids, to_number=number).update(to_number=pseudonym, updated_at=now)
        Message.objects.filter(pk__in=ids, from_number=number).update(from_number=pseudonym, updated_at=now)
    return len(ids)


def _empty_details(message_ids: list[UUID], number: str) -> None:
    """Remove sentences of carriers that name the number, such as "4155550101 is not reachable"."""
    digits = number.removeprefix("+")
    Message.objects.filter(pk__in=message_ids, error_detail__contains=digits).update(error_detail="")
    MessageEvent.objects.filter(message__in=message_ids, detail__contains=digits).update(detail="")
    DeliveryAttempt.objects.filter(message__in=message_ids, error_detail__contains=digits).update(error_detail="")


def _delete_related(message_ids: list[UUID]) -> None:
    if not message_ids:
        return
    InboundPart.objects.filter(message__in=message_ids).delete()
    ClientEvent.objects.filter(message_id__in=message_ids).delete()
    GatewayReceipt.objects.filter(message__in=message_ids).delete()
    ProviderCallback.objects.filter(attempt__message__in=message_ids).delete()
