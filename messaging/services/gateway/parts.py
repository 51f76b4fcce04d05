"""Long texts that clients submit in parts. Each part is stored before it is answered; the last one submits the message.

Clients with a window of one wait for the answer to a part before they send the next, so a part cannot wait for the others. The
part that arrives first has the id of the message to be; the others have ids of their own, by which the message is found.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from uuid_utils.compat import uuid7

from messaging.models import GatewayCredential, GatewayPart, GatewayReceipt, Message
from messaging.models.encrypted import fault_of
from messaging.services.errors import DomainError, InvalidField
from messaging.services.gateway import texts
from messaging.services.gateway.submissions import (
    ClientSubmission,
    Submitted,
    SubmittedPart,
    give_up_at,
    receipt,
    store_receipts,
)
from messaging.services.outbound.submit import submit_many
from messaging.services.privacy import fingerprints, retention
from messaging.services.webhooks import gateway_receipts
from providers.smpp.constants import MessageState

logger = logging.getLogger(__name__)

# How long a text waits for its parts, from the first that arrives; repeats of a part that waits are recognised for as long.
WAIT = timedelta(minutes=5)
# After that a part of a text that is complete is no repeat: some clients use the same reference for every text.
REPEATED_WITHIN = timedelta(minutes=1)
# How long clients may ask for a message by the id of a part.
KEPT_FOR = timedelta(days=7)
CHUNK = 500
PURPOSE = "gateway_part"


def store(
    *, owner: User, submissions: Sequence[ClientSubmission], default_queue: str, now: datetime
) -> list[Submitted | DomainError]:
    """Store parts in one transaction, and submit the texts that are complete; return a result for each part, in order.

    A refused text is the result of its last part; the receipts of the other parts say that it was rejected.
    """
    with transaction.atomic():
        # Parts of one text may arrive at two processes at once.
        credential_ids = {submission.credential_id for submission in submissions}
        list(GatewayCredential.objects.filter(pk__in=credential_ids).order_by("pk").select_for_update())
        return [_store(owner, submission, default_queue, now) for submission in submissions]


def _store(owner: User, submission: ClientSubmission, default_queue: str, now: datetime) -> Submitted | DomainError:
    part = submission.part
    if part is None:
        raise TypeError("the submission is a whole text")
    row = _new_row(submission, part, now)
    recent = list(_of_one_reference(row).filter(received_at__gte=now - WAIT))
    digests = fingerprints.hmac_digest(PURPOSE, part.octets)
    known = next(
        (each for each in recent if each.number == row.number and each.digest in digests and _may_repeat(each, now)),
        None,
    )
    if known is not None:
        return Submitted(known.pk)
    row.digest = digests[0]
    others = _open_group_without(row, recent, now)
    row.group = others[0].group if others else row.pk
    row.due_at = others[0].due_at if others else now + WAIT
    if len(others) + 1 < row.count:
        GatewayPart.objects.bulk_create([row])
        _ask_for_receipt(submission, row.pk, now)
        return Submitted(row.pk)
    return _submit(owner, submission, [*others, row], default_queue, now)


def _new_row(submission: ClientSubmission, part: SubmittedPart, now: datetime) -> GatewayPart:
    return GatewayPart(
        id=uuid7(),
        credential_id=submission.credential_id,
        from_number=submission.draft.sender or "",
        to_number=submission.draft.to,
        reference=part.reference,
        count=part.count,
        number=part.number,
        octets=part.octets.hex(),
        data_coding=part.data_coding,
        received_at=now,
    )


def _of_one_reference(row: GatewayPart) -> QuerySet[GatewayPart]:
    return GatewayPart.objects.filter(
        credential=row.credential_id,
        to_number=row.to_number,
        from_number=row.from_number,
        reference=row.reference,
        count=row.count,
    ).order_by("-received_at", "-pk")


def _may_repeat(part: GatewayPart, now: datetime) -> bool:
    return part.due_at is not None or part.received_at > now - REPEATED_WITHIN


def _open_group_without(row: GatewayPart, recent: Sequence[GatewayPart], now: datetime) -> list[GatewayPart]:
    """The parts so far of the newest text that waits for this part, first the one that arrived first."""
    groups: dict[UUID, list[GatewayPart]] = {}
    for each in recent:
        if each.due_at is not None and each.due_at > now:
            groups.setdefault(each.group, []).append(each)
    waiting = [parts for parts in groups.values() if all(each.number != row.number for each in parts)]
    return sorted(waiting[0], key=lambda each: each.pk) if waiting else []


def _ask_for_receipt(submission: ClientSubmission, told_id: UUID, now: datetime) -> None:
    if submission.wanted:
        row = receipt(submission, told_id, message=None, now=now)
        row.give_up_at = give_up_at(now + WAIT, now)
        store_receipts([row])


def _submit(
    owner: User, last: ClientSubmission, rows: Sequence[GatewayPart], default_queue: str, now: datetime
) -> Submitted | DomainError:
    """Store the message and blank its parts, or refuse the whole text."""
    try:
        draft = replace(last.draft, text=_joined(rows), id=rows[0].group)
    except InvalidField as error:
        result: Message | DomainError = error
    else:
        [result] = submit_many(owner=owner, drafts=[draft], default_queue=default_queue, now=now)
    if isinstance(result, DomainError):
        _reject(rows[:-1], now)
        return result
    _settle(last, rows, result, now)
    return Submitted(rows[-1].pk, result)


def _joined(rows: Sequence[GatewayPart]) -> str:
    """The text of all parts. Octets are joined before they are read, so that a character may be cut by a part's end."""
    if any(fault_of(row, "octets") for row in rows):
        raise InvalidField("message", "unreadable", "A stored part cannot be decrypted.")
    ordered = sorted(rows, key=lambda row: row.number)
    runs = [list(run) for _, run in groupby(ordered, key=lambda row: row.data_coding)]
    return "".join(texts.read(b"".join(bytes.fromhex(row.octets) for row in run), run[0].data_coding) for run in runs)


def _reject(others: Sequence[GatewayPart], now: datetime) -> None:
    ids = [row.pk for row in others]
    gateway_receipts.end_without_message(ids, MessageState.REJECTED, now=now)
    GatewayPart.objects.filter(pk__in=ids).delete()


def _settle(last: ClientSubmission, rows: Sequence[GatewayPart], message: Message, now: datetime) -> None:
    """The parts stay without their octets; their receipts now wait for the message."""
    for row in rows:
        row.octets, row.due_at = "", None
    GatewayPart.objects.filter(pk__in=[row.pk for row in rows[:-1]]).update(octets="", due_at=None)
    GatewayPart.objects.bulk_create([rows[-1]])
    receipts = GatewayReceipt.objects.filter(pk__in=[row.pk for row in rows[:-1]])
    receipts.update(message=message, give_up_at=give_up_at(message.expires_at, now))
    if last.wanted:
        store_receipts([receipt(last, rows[-1].pk, message=message, now=now)])


def give_up(*, now: datetime) -> int:
    """Delete the texts whose parts have not all arrived in time; their receipts say that they expired. Return the parts."""
    overdue = GatewayPart.objects.filter(due_at__lte=now).order_by("due_at")
    if not overdue.exists():
        return 0
    with transaction.atomic():
        ids = [row.pk for row in overdue.select_for_update(skip_locked=True).only("pk")[:CHUNK]]
        gateway_receipts.end_without_message(ids, MessageState.EXPIRED, now=now)
        GatewayPart.objects.filter(pk__in=ids).delete()
    logger.warning("%d parts of texts deleted: the other parts have not arrived within %s", len(ids), WAIT)
    return len(ids)


def purge(*, now: datetime) -> None:
    """Give up what is overdue, and forget the ids of the parts of old messages."""
    while give_up(now=now) == CHUNK:
        pass
    kept_for = min(KEPT_FOR, retention.loose_callback_retention())
    GatewayPart.objects.filter(received_at__lt=now - kept_for, due_at__isnull=True).delete()
