"""Store what clients submit by SMPP: whole texts, together with the receipts that they ask for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from messaging.models import GatewayReceipt, Message
from messaging.models.gateway import MAX_ADDRESS
from messaging.services import statements
from messaging.services.errors import DomainError
from messaging.services.outbound.accept import accept
from messaging.services.outbound.submit import MessageInput, submit_many
from providers.smpp.pdu import SmppAddress


@dataclass(frozen=True, slots=True)
class SubmittedPart:
    """One part of a long text. `octets` come without their header; `reference` names the text among those of its sender."""

    reference: str
    count: int
    number: int
    octets: bytes = field(repr=False)
    data_coding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSubmission:
    """A text as a client has submitted it, or a part of one; then `draft` has no text.

    `wanted` is the low two bits of `registered_delivery`: 0 no receipt, 1 always, 2 of a failure, 3 of a success.
    """

    credential_id: int
    draft: MessageInput
    source: SmppAddress
    destination: SmppAddress
    wanted: int = 0
    part: SubmittedPart | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """`id` is what the client is told. `message` is None for a part that waits for others, and for a repeated one."""

    id: UUID
    message: Message | None = None


def store(
    *, owner: User, submissions: Sequence[ClientSubmission], default_queue: str, now: datetime
) -> list[Submitted | DomainError]:
    """Store whole texts in one transaction; return a result for each, in order. The number of queries is constant."""
    if len(submissions) == 1:
        return [_store_one(owner, submissions[0], default_queue, now)]
    with transaction.atomic():
        drafts = [submission.draft for submission in submissions]
        results = submit_many(owner=owner, drafts=drafts, default_queue=default_queue, now=now)
        receipts = [
            receipt(submission, result.pk, message=result, now=now)
            for submission, result in zip(submissions, results, strict=True)
            if isinstance(result, Message) and submission.wanted
        ]
        store_receipts(receipts)
    return [Submitted(result.pk, result) if isinstance(result, Message) else result for result in results]


def _store_one(owner: User, submission: ClientSubmission, default_queue: str, now: datetime) -> Submitted | DomainError:
    try:
        if not submission.wanted:
            return _accept(owner, submission.draft, default_queue, now)
        with transaction.atomic():
            stored = _accept(owner, submission.draft, default_queue, now)
            store_receipts([receipt(submission, stored.id, message=stored.message, now=now)])
    except DomainError as error:
        return error
    return stored


def _accept(owner: User, draft: MessageInput, default_queue: str, now: datetime) -> Submitted:
    message = accept(owner=owner, draft=draft, default_queue=default_queue, now=now).message
    if message is None:
        raise TypeError("without an idempotency key there is no repeat")
    return Submitted(message.pk, message)


def store_receipts(receipts: Sequence[GatewayReceipt]) -> None:
    if receipts:
        fields = GatewayReceipt._meta.concrete_fields  # noqa: SLF001 (public in all but its name)
        rows = [tuple(getattr(each, field.attname) for field in fields) for each in receipts]
        statements.execute([statements.insert(GatewayReceipt, tuple(field.name for field in fields), rows)])


def receipt(submission: ClientSubmission, told_id: UUID, *, message: Message | None, now: datetime) -> GatewayReceipt:
    """A receipt that waits for the end of its message; not stored."""
    source, destination = submission.source, submission.destination
    return GatewayReceipt(
        id=told_id,
        credential_id=submission.credential_id,
        message=message,
        wanted=submission.wanted,
        source=_printable(source.text),
        source_ton=source.ton,
        source_npi=source.npi,
        destination=_printable(destination.text),
        destination_ton=destination.ton,
        destination_npi=destination.npi,
        submitted_at=now,
        give_up_at=give_up_at(message.expires_at if message is not None else None, now),
    )


def give_up_at(expires_at: datetime | None, now: datetime) -> datetime:
    """When a message's end is reported as unknown: it can no longer be sent, and no carrier's receipt is expected any more."""
    return (expires_at or now) + timedelta(hours=settings.RECEIPT_TIMEOUT_HOURS or 72)


def _printable(address: str) -> str:
    """An address that a PDU of ours can hold; empty for any other, such as a name with an accent."""
    return address if address.isascii() and address.isprintable() and len(address) < MAX_ADDRESS else ""
