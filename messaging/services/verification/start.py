"""Begin a verification, or send the code of the pending one again."""

import math
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from messaging import one_time_codes
from messaging.categories import Category
from messaging.models import Message, Verification
from messaging.models.verification import MAX_SENDS
from messaging.policy.pumping import prefix_of
from messaging.services.errors import InvalidField, ResendTooSoon, TooManySends, VerificationRateLimited
from messaging.services.limits import rules, velocity
from messaging.services.outbound.submit import MessageInput, submit
from messaging.services.verification import counts, limits, texts
from messaging.states import Source

DEFAULT_LENGTH = 6
SHORTEST_TTL, LONGEST_TTL, DEFAULT_TTL = 60, 900, 600
BETWEEN_SENDS = timedelta(seconds=30)
TRIES = 3  # at an insert that another request was faster with

Status = Verification.Status


@dataclass(frozen=True, slots=True)
class VerificationInput:
    """A verification as a client requests it. `to` is E.164; `ttl` is in seconds.

    `client_address` is the IP address of the end user, as the client knows it; it is counted, and not stored.
    """

    to: str = field(repr=False)
    code_length: int = DEFAULT_LENGTH
    ttl: int = DEFAULT_TTL
    sender: str | None = None
    template: str | None = None
    locale: str = ""
    app_hash: str = ""
    domain: str = ""
    client_address: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Started:
    """The verification, and the message that tells its code. Callers notify the message's queue after the commit."""

    verification: Verification
    message: Message


def start(*, owner: User, draft: VerificationInput, default_queue: str, now: datetime) -> Started:
    """Send a code to the number. While one is pending there, the same code is sent again, whatever else the draft says.

    Raises `ResendTooSoon`, `TooManySends` and `VerificationRateLimited`, and what `submit` raises; then nothing is stored. Of
    two requests at once one sends, and the other is too soon.
    """
    with transaction.atomic():
        row = _pending(owner, draft.to, now)
        if row is None:
            row = _insert(owner, draft, now)
        else:
            _may_send_again(row, now)
        is_new = row.sends == 0
        message = _send(row, owner=owner, default_queue=default_queue, now=now)
        try:
            limits.count(to=row.to_number, client_address=draft.client_address, owner_id=owner.pk, now=now)
        except VerificationRateLimited:  # what Redis has counted is not rolled back
            velocity.release([message], rules=rules.current())
            raise
        if is_new:
            counts.count_started(row)
    return Started(row, message)


def _pending(owner: User, to: str, now: datetime) -> Verification | None:
    """The pending verification of this number, locked. One whose time is over, or whose key is gone, ends here."""
    row = Verification.objects.select_for_update().filter(owner=owner, to_number=to, status=Status.PENDING).first()
    if row is None:
        return None
    known = {one_time_codes.key_id(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)}
    if row.expires_at > now and row.key_id in known:
        return row
    row.status, row.ended_at, row.updated_at = Status.EXPIRED, now, now
    row.save(update_fields=["status", "ended_at", "updated_at"])
    return None


def _insert(owner: User, draft: VerificationInput, now: datetime) -> Verification:
    """The new row, or the one that another request has just inserted; that was sent a moment ago."""
    masked = texts.text_of(
        owner_id=owner.pk,
        code_length=draft.code_length,
        template=draft.template,
        locale=draft.locale,
        app_hash=draft.app_hash,
        domain=draft.domain,
    )
    for _ in range(TRIES):
        row = Verification(
            id=uuid7(),
            owner=owner,
            to_number=draft.to,
            nonce=secrets.token_bytes(one_time_codes.NONCE_BYTES),
            key_id=one_time_codes.key_id(settings.SECRET_KEY),
            code_length=draft.code_length,
            text=masked.text,
            offsets=list(masked.offsets),
            sender=draft.sender or "",
            template_id=masked.template_id,
            template_version=masked.template_version,
            prefix=prefix_of(draft.to),
            created_at=now,
            last_sent_at=now,
            expires_at=now + timedelta(seconds=draft.ttl),
            updated_at=now,
        )
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            faster = _pending(owner, draft.to, now)
            if faster is not None:
                _may_send_again(faster, now)
                return faster
        else:
            return row
    raise ResendTooSoon("Another request for this number is being served.", retry_after=1)


def _may_send_again(row: Verification, now: datetime) -> None:
    if row.sends >= MAX_SENDS:
        raise TooManySends(
            f"The code was sent {MAX_SENDS} times. A new one can be sent when this one has expired.",
            retry_after=_seconds(row.expires_at - now),
        )
    wait = row.last_sent_at + BETWEEN_SENDS - now
    if wait > timedelta(0):
        raise ResendTooSoon(
            f"The code was sent less than {BETWEEN_SENDS.seconds} seconds ago.", retry_after=_seconds(wait)
        )


def _seconds(wait: timedelta) -> int:
    return max(1, math.ceil(wait.total_seconds()))


def _send(row: Verification, *, owner: User, default_queue: str, now: datetime) -> Message:
    """Store the message, with masks for the code. It is valid no longer than the code."""
    draft = MessageInput(
        to=row.to_number,
        text=row.text,
        valid_for=max(1, int((row.expires_at - now).total_seconds())),
        sender=row.sender or None,
        category=Category.OTP,
        smart_encoding=False,  # `texts` has done it: the masks must stay where they are
        verification_id=row.pk,
        template_id=row.template_id,
        template_version=row.template_version,
    )
    try:
        message = submit(owner=owner, draft=draft, default_queue=default_queue, now=now, source=Source.API)
    except InvalidField as refusal:
        field_name = {"from": "sender", "message": "template"}.get(refusal.field, refusal.field)
        raise InvalidField(field_name, refusal.field_code, refusal.detail) from None
    row.sends += 1
    row.last_sent_at = row.updated_at = now
    row.message_ids = [*row.message_ids, str(message.pk)]
    row.save(update_fields=["sends", "last_sent_at", "updated_at", "message_ids"])
    return message
