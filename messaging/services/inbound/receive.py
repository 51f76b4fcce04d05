"""Accepts inbound texts: stores each once, and applies its keyword in the same transaction.

So a STOP or START takes effect before the acceptance is confirmed: outbound messages are checked against suppressions at
acceptance and again before each call. A worker does the rest, including the automatic reply.
See docs/decisions/0028-keywords-at-acceptance.md.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q

from messaging.models import InboundPart, Message
from messaging.models.encrypted import fault_of
from messaging.models.message import MAX_INBOUND_CHARACTERS
from messaging.services.errors import InvalidField, SenderRateLimited
from messaging.services.inbound import incoming as incoming_texts
from messaging.services.inbound import keyword_effects, marks, ownership, parts, storing
from messaging.services.inbound.incoming import IncomingMessage
from messaging.services.inbound.keyword_effects import FIRST_PART, OVER_THE_LIMIT, REPEATED
from messaging.services.inbound.marks import Mark
from messaging.services.outbound import attachments
from messaging.services.recipients import phone_numbers
from messaging.states import Direction
from providers.contract.messages import InboundMessage, MessagePart
from providers.models import ProviderAccount


@dataclass(frozen=True, slots=True)
class InboundLimits:
    """At most `messages` per sender in any `window`; an equal text within `repeat_window` is a repeat."""

    characters: int
    messages: int
    window: timedelta
    repeat_window: timedelta


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
        message = storing.build(incoming, owner=owner, account=None, now=now)
        if repeat is not None:
            keyword_effects.apply_opt_out(message, now=now, because=REPEATED)
            return Received(repeat, is_repeat=True)
        wait = _wait(incoming.sender, limits, now)
        if wait is None:
            return Received(storing.store(message, incoming, now=now), is_repeat=False)
        keyword_effects.apply_opt_out(message, now=now, because=OVER_THE_LIMIT)
    raise SenderRateLimited(  # after the commit, so that the STOP is not rolled back
        f"The limit is {limits.messages} messages in {limits.window.total_seconds():g} seconds per sender.",
        retry_after=wait,
    )


def ingest(text: InboundMessage, *, account: ProviderAccount, limits: InboundLimits, now: datetime) -> Received | None:
    """Store one authenticated text of a provider, whatever transport delivered it; None for a part that waits for others.

    It is never refused for its length, rate, numbers or media. Raises `MalformedCallback` for a text without a sender; then
    nothing is stored, and the caller keeps the raw callback (`receipts.record`). When this returns, the text waits to be
    processed, and its media wait to be fetched.
    """
    [received] = ingest_all([text], account=account, limits=limits, now=now)
    return received


def ingest_all(
    texts: Iterable[InboundMessage], *, account: ProviderAccount, limits: InboundLimits, now: datetime
) -> list[Received | None]:
    """Store all texts of one callback as `ingest` does, or none of them."""
    read = [(incoming_texts.read(text), text.part) for text in texts]
    with transaction.atomic():
        senders = {incoming.sender for incoming, _ in read}
        for sender in sorted(senders) if len(senders) > 1 else ():  # sorted, so that two callbacks cannot deadlock
            phone_numbers.lock(sender)
        return [
            _receive_part(incoming, place, account, limits, now)
            if place is not None and parts.is_part(place)
            else receive_from_provider(incoming=incoming, account=account, limits=limits, now=now)
            for incoming, place in read
        ]


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
            unstored = storing.build(incoming, owner=repeat.owner, account=account, now=now)
            keyword_effects.apply_opt_out(unstored, now=now, because=REPEATED)
            return Received(repeat, is_repeat=True)
        return Received(_store(incoming, account, limits, received_at=now, now=now), is_repeat=False)


def _receive_part(
    incoming: IncomingMessage, place: MessagePart, account: ProviderAccount, limits: InboundLimits, now: datetime
) -> Received | None:
    """Store a part, and the whole text when it is the last one.

    An opt-out does not wait for the other parts: not if the provider recognised it, and not if it is all of the first part.
    """
    phone_numbers.lock(incoming.sender)
    stored = parts.add(incoming, place, account=account, now=now)
    if stored.is_complete:
        return Received(store_joined(stored.text, account=account, limits=limits, now=now), is_repeat=False)
    is_same_event = stored.is_repeat and incoming.provider_message_id
    if not is_same_event and (place.number == 1 or incoming.provider_keyword):
        opt_out = storing.build(incoming, owner=None, account=account, now=now)
        keyword_effects.apply_opt_out(opt_out, now=now, because=FIRST_PART)
    return Received(stored.part.message, is_repeat=True) if stored.part.message else None


def store_joined(
    text: Sequence[InboundPart], *, account: ProviderAccount, limits: InboundLimits, now: datetime
) -> Message:
    """Store a text from its parts, those that there are. The caller has locked the sender's number in a transaction.

    Raises `CannotBeOpened`.
    """
    incoming = parts.joined(text)
    if _known(incoming, account) is not None:  # the parts share one id, and the first ones were stored without these
        incoming = replace(incoming, provider_message_id="")
    received_at = max(part.received_at for part in text)
    message = _store(incoming, account, limits, received_at=received_at, now=now)
    parts.close(text, message)
    return message


def _store(
    incoming: IncomingMessage, account: ProviderAccount, limits: InboundLimits, *, received_at: datetime, now: datetime
) -> Message:
    owner = ownership.owner_of(recipient=incoming.recipient, sender=incoming.sender, account=account, now=now)
    found = list(_marks(incoming, limits, now))
    message = storing.build(incoming, owner=owner, account=account, now=now, found=found)
    message.received_at = received_at
    return storing.store(message, incoming, now=now)


def _marks(incoming: IncomingMessage, limits: InboundLimits, now: datetime) -> Iterable[Mark]:
    """The most important first."""
    if incoming_texts.is_unreadable(incoming.sender):
        yield marks.UNREADABLE_SENDER
    if incoming.recipient and not ownership.names_a_number(incoming.recipient):
        yield marks.UNREADABLE_RECIPIENT
    if len(incoming.text) > MAX_INBOUND_CHARACTERS:
        yield marks.CUT
    if len(incoming.text) > limits.characters:
        yield marks.TOO_LONG
    elif _wait(incoming.sender, limits, now) is not None:
        yield marks.RATE_LIMITED
    if incoming.missing_parts:
        yield marks.parts_missing(incoming.missing_parts, incoming.part_count)
    if incoming.media_left_out:
        yield marks.media_left_out(incoming.media_left_out)


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
    return {address or asset for asset, address in media if address or asset} == wanted


def _wait(sender: str, limits: InboundLimits, now: datetime) -> int | None:
    """Whole seconds until this sender's next text is within the rate limit; None if this one is."""
    recent = Message.objects.filter(
        direction=Direction.INBOUND, from_number=sender, received_at__gt=now - limits.window
    ).order_by("-received_at")
    times = [time for time in recent.values_list("received_at", flat=True)[: limits.messages] if time is not None]
    if len(times) < limits.messages:
        return None
    # A text that was received after `now` may be among them: its transaction had the lock before ours.
    wait = min(times[-1] + limits.window - now, limits.window)
    return max(1, math.ceil(wait.total_seconds()))
