"""Builds and stores the rows of one inbound text, in the transaction that accepts it."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from messaging import segments
from messaging.file_errors import DETAILS, FileError
from messaging.models import Attachment, Message, ProviderCallback
from messaging.models.attachment import MAX_ATTACHMENTS
from messaging.models.message import MAX_INBOUND_CHARACTERS
from messaging.services import transitions
from messaging.services.inbound import keyword_effects, marks
from messaging.services.inbound.incoming import IncomingMessage
from messaging.services.inbound.keyword_effects import Effect
from messaging.services.privacy import fingerprints
from messaging.states import Direction, Source, Status
from providers.models import ProviderAccount


def build(
    incoming: IncomingMessage,
    *,
    owner: User | None,
    account: ProviderAccount | None,
    now: datetime,
    found: Sequence[marks.Mark] = (),
) -> Message:
    """The message, with the whole text: `store` recognises a keyword in it before it cuts the text."""
    size = segments.measure(incoming.text[:MAX_INBOUND_CHARACTERS])
    error_code, error_detail = marks.as_error(found)
    return Message(
        direction=Direction.INBOUND,
        status=Status.RECEIVED,
        owner=owner,
        from_number=incoming.sender,
        to_number=incoming.recipient,
        text=incoming.text,
        encoding=size.encoding,
        segments=size.segments,
        provider=account,
        provider_message_id=incoming.provider_message_id,
        media_count=len(incoming.assets) + len(incoming.addresses) + _lost_rows(incoming),
        is_automatic=incoming.provider_keyword is not None,
        provider_keyword=incoming.provider_keyword or "",
        error_code=error_code,
        error_detail=error_detail,
        created_at=now,
        received_at=now,
        updated_at=now,
    )


def store(message: Message, incoming: IncomingMessage, *, now: datetime) -> Message:
    """Store the message with its keyword applied. The caller has locked the sender's number."""
    effect = _effect(message, incoming, now)
    message.keyword_read_at, message.pending_reply = now, effect.reply_to
    message.text = incoming.text[:MAX_INBOUND_CHARACTERS]
    Message.objects.bulk_create([message])
    is_posted = message.provider is None
    transitions.record_creation(
        [message],
        source=Source.API if is_posted else Source.PROVIDER,
        actor=message.owner if is_posted else None,
        detail=effect.note,
    )
    if message.provider is not None:
        _keep_unabridged(message, message.provider, incoming, now)
    _attach(message, incoming, now)
    if effect.asks_for_no_more:
        keyword_effects.open_case(message, text=incoming.text, is_stored=True, now=now)
    return message


def _effect(message: Message, incoming: IncomingMessage, now: datetime) -> Effect:
    """A keyword is the whole text, so a text with missing parts has none; an opt-out in its first part was applied before."""
    if incoming.missing_parts:
        note = f"{incoming.part_count - incoming.missing_parts} of {incoming.part_count} parts arrived"
        is_classified = incoming.provider_keyword is not None
        return Effect(note, asks_for_no_more=not is_classified and keyword_effects.asks_for_no_more(message))
    return keyword_effects.apply_at_acceptance(message, now=now)


def _keep_unabridged(message: Message, account: ProviderAccount, incoming: IncomingMessage, now: datetime) -> None:
    """Keep what is too long for the message as a callback of the message, where staff can read it."""
    whole = dict(incoming.unabridged)
    if len(incoming.text) > MAX_INBOUND_CHARACTERS:
        whole["text"] = incoming.text
    if whole:
        ProviderCallback.objects.create(
            provider=account,
            kind=ProviderCallback.Kind.INBOUND,
            state=ProviderCallback.State.APPLIED,
            received_at=now,
            body=json.dumps(whole, ensure_ascii=False),
            digest=fingerprints.hmac_digest("unabridged", message.pk.bytes)[0],
            message=message,
            note="What is too long for the message, as it came.",
        )


def _attach(message: Message, incoming: IncomingMessage, now: datetime) -> None:
    """The files, and one row behind them for each that is not kept."""
    kept: list[dict[str, Any]] = [{"asset_id": asset} for asset in incoming.assets]
    kept += [{"source_url": address, "next_attempt_at": now} for address in incoming.addresses]
    lost = [{"error_code": FileError.NOT_KEPT, "error": DETAILS[FileError.NOT_KEPT]}] * _lost_rows(incoming)
    Attachment.objects.bulk_create(
        Attachment(message=message, position=position, **columns) for position, columns in enumerate([*kept, *lost])
    )


def _lost_rows(incoming: IncomingMessage) -> int:
    """How many files that are not kept get a row of their own; the mark `media_left_out` counts all of them."""
    return min(incoming.media_left_out, MAX_ATTACHMENTS)
