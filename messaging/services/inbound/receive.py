"""Accepts inbound texts: stores each once, and applies its keyword in the same transaction.

So a STOP or START takes effect before the acceptance is confirmed: outbound messages are checked against suppressions at
acceptance and again before each call. A worker does the rest, including the automatic reply.
See docs/decisions/0028-keywords-at-acceptance.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q

from messaging import e164, segments
from messaging.models import Attachment, Message
from messaging.models.attachment import MAX_ATTACHMENTS
from messaging.models.encrypted import fault_of
from messaging.models.message import MAX_INBOUND_CHARACTERS
from messaging.services import transitions
from messaging.services.errors import InvalidField, SenderRateLimited
from messaging.services.inbound import keyword_effects
from messaging.services.outbound import attachments
from messaging.services.recipients import phone_numbers
from messaging.states import Direction, Source, Status
from providers.contract.messages import InboundMessage, ProviderKeyword
from providers.errors import MalformedCallback
from providers.models import ProviderAccount, SenderNumber

REPLY_WINDOW = timedelta(days=30)
TOO_LONG, RATE_LIMITED = "too_long", SenderRateLimited.code
MARKS = {
    TOO_LONG: "The text is longer than the limit; it got no automatic reply.",
    RATE_LIMITED: "The sender exceeded the rate limit; this text got no automatic reply.",
}
# Appended to the reason of a suppression whose text is not stored.
OVER_THE_LIMIT, REPEATED = " (over the rate limit)", " (a repeat)"
MAX_MEDIA_URL_LENGTH = 2000
MIN_NUMBER_DIGITS = 8  # fewer digits are a short code
MAX_PARTY_LENGTH = 16


@dataclass(frozen=True, slots=True)
class InboundLimits:
    """At most `messages` per sender in any `window`; an equal text within `repeat_window` is a repeat."""

    characters: int
    messages: int
    window: timedelta
    repeat_window: timedelta


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """One inbound text. A provider's callback has media as URLs (`addresses`), a client's request as `assets`."""

    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    assets: tuple[UUID, ...] = ()
    addresses: tuple[str, ...] = field(default=(), repr=False)
    provider_message_id: str = ""
    provider_keyword: ProviderKeyword | None = None


@dataclass(frozen=True, slots=True)
class Received:
    message: Message
    is_repeat: bool


def receive(*, incoming: IncomingMessage, owner: User, limits: InboundLimits, now: datetime) -> Received:
    """Store a text that a client posted, or return the stored one if this is a repeat.

    Raises `SenderRateLimited`, or `InvalidField` for assets that the owner may not use; then nothing is stored. A STOP over
    the rate limit still takes effect.
    """
    with transaction.atomic():
        if not attachments.lock_visible(owner, incoming.assets).issuperset(incoming.assets):
            raise InvalidField("media", "unknown_asset", "There is no such media asset.")
        phone_numbers.lock(incoming.sender)
        repeat = _repeat(incoming, Q(provider=None, owner=owner), limits, now)
        message = _message(incoming, owner, None, mark="", now=now)
        if repeat is not None:
            keyword_effects.apply_opt_out(message, now=now, because=REPEATED)
            return Received(repeat, is_repeat=True)
        wait = _wait(incoming.sender, limits, now)
        if wait is None:
            return Received(_store(message, incoming, now), is_repeat=False)
        keyword_effects.apply_opt_out(message, now=now, because=OVER_THE_LIMIT)
    raise SenderRateLimited(  # after the commit, so that the STOP is not rolled back
        f"The limit is {limits.messages} messages in {limits.window.total_seconds():g} seconds per sender.",
        retry_after=wait,
    )


def ingest(text: InboundMessage, *, account: ProviderAccount, limits: InboundLimits, now: datetime) -> Received:
    """Store one authenticated text of a provider, whatever transport delivered it. Never refused for length or rate.

    Raises `MalformedCallback` for a text that no row can hold; then nothing is stored, and the caller keeps the raw
    callback (`receipts.record`). When this returns, the text waits to be processed, and its media wait to be fetched.
    """
    return receive_from_provider(incoming=_incoming(text), account=account, limits=limits, now=now)


def _incoming(text: InboundMessage) -> IncomingMessage:
    if len(text.text) > MAX_INBOUND_CHARACTERS:
        raise MalformedCallback(f"the text is longer than {MAX_INBOUND_CHARACTERS} characters")
    if len(text.media_urls) > MAX_ATTACHMENTS or any(len(url) > MAX_MEDIA_URL_LENGTH for url in text.media_urls):
        raise MalformedCallback("the text has too many media, or the URL of one is too long")
    return IncomingMessage(
        sender=_party(text.sender),
        recipient=_party(text.recipient),
        text=text.text,
        addresses=tuple(dict.fromkeys(text.media_urls)),
        provider_message_id=text.provider_message_id,
        provider_keyword=text.keyword,
    )


def _party(given: str) -> str:
    """E.164 for a phone number, with or without its plus; a short code or an alphanumeric sender stays as it is."""
    digits = given.removeprefix("+")
    is_international = given.startswith("+") or (
        digits.isascii() and digits.isdigit() and len(digits) >= MIN_NUMBER_DIGITS
    )
    if is_international:
        try:
            return e164.normalise(f"+{digits}")
        except e164.InvalidNumber:
            pass
    if len(given) > MAX_PARTY_LENGTH:
        raise MalformedCallback("the text's sender or recipient is not a number, short code or name")
    return given


def receive_from_provider(
    *, incoming: IncomingMessage, account: ProviderAccount, limits: InboundLimits, now: datetime
) -> Received:
    """Store a provider's text. It is marked if it exceeds a limit, but never refused: its sender would not learn of it."""
    try:
        return _receive_from_provider(incoming, account, limits, now)
    except IntegrityError:
        # The same id came concurrently under another sender, so another number was locked: one of the two is stored now.
        known = _known(incoming, account)
        if known is None:
            raise
        return Received(known, is_repeat=True)


def _receive_from_provider(
    incoming: IncomingMessage, account: ProviderAccount, limits: InboundLimits, now: datetime
) -> Received:
    with transaction.atomic():
        phone_numbers.lock(incoming.sender)
        known = _known(incoming, account)
        if known is not None:
            return Received(known, is_repeat=True)
        repeat = _repeat(incoming, Q(provider=account), limits, now)
        if repeat is not None:
            unstored = _message(incoming, repeat.owner, account, mark="", now=now)
            keyword_effects.apply_opt_out(unstored, now=now, because=REPEATED)
            return Received(repeat, is_repeat=True)
        mark = ""
        if len(incoming.text) > limits.characters:
            mark = TOO_LONG
        elif _wait(incoming.sender, limits, now) is not None:
            mark = RATE_LIMITED
        owner = _owner_of(incoming.recipient, incoming.sender, now)
        message = _message(incoming, owner, account, mark=mark, now=now)
        return Received(_store(message, incoming, now), is_repeat=False)


def _known(incoming: IncomingMessage, account: ProviderAccount) -> Message | None:
    """The stored message with the provider's id, if the provider gives one."""
    if not incoming.provider_message_id:
        return None
    return Message.objects.filter(
        direction=Direction.INBOUND, provider=account, provider_message_id=incoming.provider_message_id
    ).first()


def _repeat(incoming: IncomingMessage, same_channel: Q, limits: InboundLimits, now: datetime) -> Message | None:
    """An equal text within the repeat window, of the same client or provider account only."""
    if incoming.provider_message_id:
        return None
    recent = Message.objects.filter(
        same_channel,
        direction=Direction.INBOUND,
        from_number=incoming.sender,
        received_at__gte=now - limits.repeat_window,
        to_number=incoming.recipient,
    )
    return next((message for message in recent.order_by("received_at", "pk") if _is_same(message, incoming)), None)


def _is_same(message: Message, incoming: IncomingMessage) -> bool:
    if fault_of(message, "text") or message.text != incoming.text:
        return False
    media = message.attachments.values_list("asset_id", "source_url") if message.media_count else []
    wanted = {*incoming.assets, *incoming.addresses}
    return {address or asset for asset, address in media} == wanted


def _wait(sender: str, limits: InboundLimits, now: datetime) -> int | None:
    """Whole seconds until this sender's next text is within the rate limit; None if this one is."""
    recent = Message.objects.filter(
        direction=Direction.INBOUND, from_number=sender, received_at__gt=now - limits.window
    ).order_by("-received_at")
    times = [time for time in recent.values_list("received_at", flat=True)[: limits.messages] if time is not None]
    if len(times) < limits.messages:
        return None
    return max(1, math.ceil((times[-1] + limits.window - now).total_seconds()))


def _owner_of(recipient: str, sender: str, now: datetime) -> User | None:
    """The owner of our number or, for a shared number, the owner of the last message sent from it to this sender."""
    number = SenderNumber.objects.filter(number=recipient).select_related("owner").first()
    if number is not None and number.owner is not None:
        return number.owner
    last = Message.objects.filter(
        direction=Direction.OUTBOUND,
        to_number=sender,
        from_number__in=[recipient, ""],  # empty: the provider chose the number
        created_at__gte=now - REPLY_WINDOW,
        is_automatic=False,
    ).order_by("-pk")
    message = last.select_related("owner").first()
    return message.owner if message is not None else None


def _message(
    incoming: IncomingMessage,
    owner: User | None,
    account: ProviderAccount | None,
    *,
    mark: str,
    now: datetime,
) -> Message:
    size = segments.measure(incoming.text)
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
        media_count=len(incoming.assets) + len(incoming.addresses),
        is_automatic=incoming.provider_keyword is not None,
        provider_keyword=incoming.provider_keyword or "",
        error_code=mark,
        error_detail=MARKS.get(mark, ""),
        created_at=now,
        received_at=now,
        updated_at=now,
    )


def _store(message: Message, incoming: IncomingMessage, now: datetime) -> Message:
    effect = keyword_effects.apply_at_acceptance(message, now=now)
    message.keyword_read_at, message.pending_reply = now, effect.reply_to
    Message.objects.bulk_create([message])
    is_posted = message.provider is None
    transitions.record_creation(
        [message],
        source=Source.API if is_posted else Source.PROVIDER,
        actor=message.owner if is_posted else None,
        detail=effect.note,
    )
    _attach(message, incoming.assets, incoming.addresses, now)
    return message


def _attach(message: Message, assets: Sequence[UUID], addresses: Sequence[str], now: datetime) -> None:
    files = [Attachment(message=message, position=position, asset_id=asset) for position, asset in enumerate(assets)]
    files += [
        Attachment(message=message, position=position, source_url=address, next_attempt_at=now)
        for position, address in enumerate(addresses, start=len(assets))
    ]
    Attachment.objects.bulk_create(files)
