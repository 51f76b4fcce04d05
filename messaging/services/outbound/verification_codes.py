"""The codes of verifications, for the texts that tell them: computed when a text is handed over, and stored nowhere."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.conf import settings

from messaging import one_time_codes
from messaging.models import Message, ProviderCallback, Verification
from providers.errors import SendError

Fault = TypeVar("Fault", bound=SendError)


def secrets() -> tuple[str, ...]:
    """The values that may have made a code: `SECRET_KEY`, and the former ones."""
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@dataclass(frozen=True, slots=True)
class CodeSlot:
    """Where a text tells the code of a pending verification, and what the code is computed from. Not after `expires_at`."""

    verification_id: UUID
    nonce: bytes = field(repr=False)
    secret: str = field(repr=False)
    length: int
    offsets: tuple[int, ...]
    expires_at: datetime

    def _code(self) -> str:
        return one_time_codes.code_of(
            self.secret, verification_id=self.verification_id, nonce=self.nonce, length=self.length
        )

    def fill(self, masked: str) -> str:
        """The true text. Raises `ValueError` if the masks are not where they should be."""
        return one_time_codes.fill(masked, offsets=self.offsets, code=self._code())

    def masked(self, content: str) -> str:
        """The content with the code masked wherever it stands."""
        return one_time_codes.without(self._code(), content)

    def without_code(self, error: Fault) -> Fault:
        """The error, in whose words the code is masked: a provider may quote the text that it refuses."""
        error.detail, error.error_code = self.masked(error.detail), self.masked(error.error_code)
        error.args = tuple(self.masked(str(each)) for each in error.args)
        return error


def slot_of(row: Verification) -> CodeSlot | None:
    """None if the key that made the code is not known any more."""
    secret = one_time_codes.secret_of(row.key_id, secrets())
    if secret is None:
        return None
    return CodeSlot(
        verification_id=row.pk,
        nonce=bytes(row.nonce),
        secret=secret,
        length=row.code_length,
        offsets=tuple(row.offsets),
        expires_at=row.expires_at,
    )


def of_messages(messages: Sequence[Message], *, now: datetime) -> dict[UUID, CodeSlot]:
    """By message, the codes that may be told now; one query, or none without such messages."""
    wanted = {message.pk: message.verification_id for message in messages if message.verification_id is not None}
    if not wanted:
        return {}
    pending = Verification.objects.filter(
        pk__in=set(wanted.values()), status=Verification.Status.PENDING, expires_at__gt=now
    )
    slots = {row.pk: slot for row in pending.defer("text") if (slot := slot_of(row)) is not None}
    return {pk: slots[verification_id] for pk, verification_id in wanted.items() if verification_id in slots}


def mask_receipt(callback: ProviderCallback, verification_id: UUID) -> None:
    """Keep only what was understood of the receipt of a text with a code: many carriers quote the beginning of the text."""
    row = Verification.objects.filter(pk=verification_id).defer("text").first()
    slot = slot_of(row) if row is not None else None
    if slot is not None:
        callback.word, callback.error_code = slot.masked(callback.word), slot.masked(callback.error_code)
    understood = {
        "message_id": callback.provider_message_id,
        "status": callback.word,
        "error_code": callback.error_code,
        "left_out": "the rest, which may quote a one-time code",
    }
    callback.body = json.dumps(understood)
