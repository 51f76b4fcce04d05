"""Replies that applications give as TwiML: stored as messages in the transaction that records the delivery of the text."""

import contextlib
import hashlib
import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction

from messaging import twiml
from messaging.database_faults import may_pass
from messaging.e164 import InvalidNumber, normalise
from messaging.models import Message, WebhookDelivery
from messaging.services.errors import DomainError
from messaging.services.inbound import ownership
from messaging.services.inbound.marks import WITHOUT_REPLY
from messaging.services.outbound.submit import DEFAULT_VALID_FOR, MessageInput, submit_many
from messaging.services.twilio import media
from messaging.services.twilio.errors import MediaNotFetched
from messaging.services.twilio.media import Fetch
from messaging.services.webhooks.settle import Result
from messaging.states import Direction, Source
from messaging.twiml import Reply
from providers import senders
from providers.http.public_addresses import AddressRefused, Guard
from providers.models import ProviderAccount, SenderNumber
from providers.numbers import NumberFormat, country_of

logger = logging.getLogger(__name__)

DIALECT = "twilio"
SEND = "messaging.add_message"
OUR_FAILURE = "The answer could not be obeyed: our own failure."
NO_PERMISSION = "The answer is not obeyed: the owner of the endpoint may not send messages."
ADD_MEDIA = "media_store.add_mediaasset"
NO_MEDIA = "A reply is not sent: its media could not be fetched."
# Of the answers to one delivery. With the calls themselves it is less than the delivery's lease.
MAX_MEDIA, FETCH_SECONDS = 10, 15.0
MAX_CALLBACK_URL = 500


@dataclass(frozen=True, slots=True)
class Obeyed:
    """`notes` are sentences for the owner, by delivery: what was left out of its answer, and why."""

    stored: int = 0
    notes: Mapping[UUID, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A text, what its delivery was answered, and the sentences about it so far."""

    delivery_id: UUID
    owner_id: int
    text: Message
    replies: tuple[Reply, ...]
    assets: Mapping[str, UUID]
    notes: list[str]


_Drafted = tuple[_Answered, MessageInput]


def obey(results: Sequence[Result], *, default_queue: str, guard: Guard, now: datetime) -> Obeyed:
    """Store the replies that the answers to inbound texts ask for: once for a delivery, however often it is repeated.

    A reply is an ordinary message of the endpoint's owner: it does not go to a person who has opted out. The caller holds the
    locks of the deliveries in a transaction, and notifies the dispatcher after its commit.
    """
    answered = _not_replied(_read(results))
    asking = [each for each in answered if each.replies]
    owners = get_user_model().objects.in_bulk({each.owner_id for each in asking})
    numbers = _OwnNumbers.of(asking)
    replied: list[UUID] = []
    for owner_id, owner in sorted(owners.items()):
        theirs = [each for each in asking if each.owner_id == owner_id]
        if owner.has_perm(SEND):
            drafts = [drafted for each in theirs for drafted in _drafts(each, numbers, guard)]
            replied += _submit(owner, drafts, default_queue, now)
        else:
            for each in theirs:
                each.notes.append(NO_PERMISSION)
    if replied:
        WebhookDelivery.objects.filter(pk__in=replied).update(is_replied=True)
    return Obeyed(
        len(replied), {each.delivery_id: " ".join(dict.fromkeys(each.notes)) for each in answered if each.notes}
    )


def _submit(owner: User, drafts: Sequence[_Drafted], default_queue: str, now: datetime) -> list[UUID]:
    """Return the deliveries of those that were stored. A reason against one is noted on its delivery, never raised."""
    try:
        with transaction.atomic():
            made = submit_many(
                owner=owner,
                drafts=[draft for _, draft in drafts],
                default_queue=default_queue,
                now=now,
                source=Source.INBOUND,
            )
    except Exception as error:
        if may_pass(error):
            raise
        # A bug must not repeat the calls of these deliveries: the application has the texts.
        logger.error("TwiML replies could not be stored: %s", type(error).__name__)
        for each, _ in drafts:
            each.notes.append(OUR_FAILURE)
        return []
    for (each, _), result in zip(drafts, made, strict=True):
        if isinstance(result, DomainError):
            each.notes.append(f"A reply is not sent: {result.detail}")
    return [each.delivery_id for (each, _), result in zip(drafts, made, strict=True) if isinstance(result, Message)]


def fetch_media(result: Result, *, now: datetime, fetch: Fetch | None = None) -> Mapping[str, UUID]:
    """Store the files that the replies to a text name, and return them by address; those that cannot be had are left out.

    It is called in the thread of the call, before the delivery is settled: a file may take seconds. Raises `MediaUnavailable`
    when nothing can be stored now: the delivery is repeated, and no reply is lost.
    """
    if result.job.dialect != DIALECT or result.job.message_id is None:
        return {}
    urls = list(dict.fromkeys(url for reply in _replies(result, []) for url in reply.media))[:MAX_MEDIA]
    texts = Message.objects.filter(pk=result.job.message_id, direction=Direction.INBOUND)
    if not urls or not texts.exists():
        return {}
    owner = get_user_model().objects.get(pk=result.job.owner_id)
    if not owner.has_perms((SEND, ADD_MEDIA)):
        return {}
    found: dict[str, UUID] = {}
    deadline = time.monotonic() + FETCH_SECONDS
    for url in urls:
        if time.monotonic() < deadline:
            with contextlib.suppress(MediaNotFetched):
                found[url] = media.asset_of(url, owner=owner, now=now, fetch=fetch)
    return found


def _read(results: Sequence[Result]) -> list[_Answered]:
    """The answers to inbound texts; all others mean nothing."""
    mine = {result.job.message_id: result for result in results if result.job.dialect == DIALECT}
    texts = Message.objects.filter(pk__in=[pk for pk in mine if pk is not None], direction=Direction.INBOUND)
    found = texts.select_related("provider").in_bulk()
    read = []
    for result in results:
        job = result.job
        if job.dialect == DIALECT and job.message_id in found:
            notes: list[str] = []
            replies = tuple(_replies(result, notes))[: twiml.MAX_REPLIES]
            text = found[job.message_id]
            if replies and text.error_code in WITHOUT_REPLY:
                replies = ()
                notes.append(text.error_detail)
            read.append(_Answered(job.delivery_id, job.owner_id, text, replies, result.assets, notes))
    return read


def _replies(result: Result, notes: list[str]) -> Iterator[Reply]:
    """The messages of all answers of a delivery, in order: those before a `<Redirect>` are sent too."""
    for answer in result.answers:
        try:
            document = twiml.read(answer.body, content_type=answer.content_type, url=answer.url)
        except twiml.UnreadableAnswer as fault:
            notes.append(str(fault))
        else:
            notes += document.notes
            yield from document.replies


def _not_replied(answered: Sequence[_Answered]) -> list[_Answered]:
    """Leave out the deliveries whose answer was obeyed before: their owner has had them repeated."""
    ids = [each.delivery_id for each in answered if each.replies]
    replied = WebhookDelivery.objects.filter(pk__in=ids, is_replied=True)
    known = set(replied.values_list("pk", flat=True))
    return [each for each in answered if each.delivery_id not in known]


def reply_id(delivery_id: UUID, position: int) -> UUID:
    """The id of a delivery's reply, a UUIDv7: always the same, so that it is stored once; in the order of the replies."""
    node = hashlib.sha256(b"twiml-reply" + delivery_id.bytes).digest()[:8]
    variant = 0x80 | (node[0] & 0x3F)
    head = delivery_id.bytes[:6] + (0x7000 | position).to_bytes(2, "big")
    return UUID(bytes=head + bytes([variant]) + node[1:])


@dataclass(frozen=True, slots=True)
class _OwnNumbers:
    """Those of the numbers that received the texts that are ours: sender numbers, and those of accounts."""

    senders: Collection[str]
    accounts: Collection[str]

    @classmethod
    def of(cls, asking: Sequence[_Answered]) -> "_OwnNumbers":
        if not asking:
            return cls((), ())
        received_at = {ownership.our_number(each.text) for each in asking}
        known = SenderNumber.objects.filter(number__in=received_at).values_list("number", flat=True)
        return cls(set(known), {account.from_number or "" for account in ProviderAccount.objects.all()})


def _drafts(answered: _Answered, numbers: _OwnNumbers, guard: Guard) -> Iterator[_Drafted]:
    for position, reply in enumerate(answered.replies):
        if not answered.assets.keys() >= set(reply.media):
            answered.notes.append(NO_MEDIA)
            continue
        try:
            yield answered, _draft(answered, reply, position, numbers, guard)
        except (InvalidNumber, senders.InvalidSender) as error:
            answered.notes.append(f"A reply is not sent: {error}")


def _draft(answered: _Answered, reply: Reply, position: int, numbers: _OwnNumbers, guard: Guard) -> MessageInput:
    """By default to the sender of the text, from the number that received it. Raises `InvalidNumber` or `InvalidSender`."""
    our_number = ownership.our_number(answered.text)
    is_known = our_number in numbers.senders or our_number in numbers.accounts
    sender = senders.normalise(reply.sender) if reply.sender else (our_number if is_known else None)
    to = _recipient(reply.to, our_number) if reply.to else normalise(answered.text.from_number)
    if to == sender:
        raise InvalidNumber("It would go to the number that it comes from.", code="invalid_number")
    callback_url = _callback_url(reply.status_callback, answered.notes, guard)
    return MessageInput(
        to=to,
        text=reply.text,
        valid_for=DEFAULT_VALID_FOR,
        sender=sender,
        callback_url=callback_url,
        callback_dialect=DIALECT if callback_url else "",
        media=tuple(dict.fromkeys(answered.assets[url] for url in reply.media)),
        is_reply=is_known and sender == our_number and our_number not in numbers.senders,
        id=reply_id(answered.delivery_id, position),
    )


def _recipient(raw: str, our_number: str) -> str:
    """A number without `+` is read as one of the country of the number that received the text."""
    local = NumberFormat(country=country_of(our_number) or None)
    return (None if raw.startswith("+") else local.read(raw)) or normalise(raw)


def _callback_url(url: str, notes: list[str], guard: Guard) -> str:
    """The address, if it may be called; otherwise the message is sent without status callbacks."""
    if not url:
        return ""
    try:
        guard.check_url(url)
    except AddressRefused as error:
        notes.append(f"A `statusCallback` is not called: {error}.")
        return ""
    if len(url) > MAX_CALLBACK_URL:
        notes.append(f"A `statusCallback` is not called: it is longer than {MAX_CALLBACK_URL} characters.")
        return ""
    return url
