"""Validate and store outbound messages. Callers notify the dispatcher after the commit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging import segments
from messaging.categories import Category, priority_of
from messaging.models import Message, OutboundQueue
from messaging.policy import smart_encoding
from messaging.policy.velocity import Counting
from messaging.segments import SegmentCount
from messaging.services.costs import budgets
from messaging.services.errors import DomainError, EmergencyNotAllowed, InvalidField
from messaging.services.outbound import attachments, bulk_insert, sender_pools
from messaging.services.outbound.attachments import MediaChecks
from messaging.services.outbound.eligibility import Batch
from messaging.services.templates import lookup
from messaging.services.templates.rendering import render
from messaging.states import Direction, Source, Status
from providers.models import SenderNumber

DEFAULT_VALID_FOR = 14_400
SEND_EMERGENCY = "messaging.send_emergency"
LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TemplateUse:
    """The template, by name or id, that makes the text of a message. Its category and parameters are used unless given."""

    reference: str
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    language: str = ""
    has_own_category: bool = False
    has_own_parameters: bool = False


@dataclass(frozen=True, slots=True)
class MessageInput:
    """A message as a client requests it. `to` is E.164, `sender` as senders are stored.

    `valid_for` is in seconds from the time the message is due.

    `is_automatic` marks the reply to a keyword: it may use any sender, and also goes to a recipient who has just opted out.
    `is_reply` marks the reply to a text from a number of one of the accounts, which may be used for that.
    `template` replaces `text`. `smart_encoding` is None for what the template or else `SMART_ENCODING_DEFAULT` says.
    `id` is given, as a UUIDv7 of a moment ago, where the client has been told it already, or where a repeat must not store it
    again. `verification_id` says that the text has masks in place of that verification's code.
    """

    to: str = field(repr=False)
    text: str = field(repr=False)
    valid_for: int
    sender: str | None = None
    queue: str | None = None
    send_at: datetime | None = None
    reference: str = ""
    callback_url: str = ""
    callback_dialect: str = ""
    media: tuple[UUID, ...] = ()
    category: str = Category.TRANSACTIONAL
    parameters: Mapping[str, str] = field(default_factory=dict)
    is_automatic: bool = False
    is_reply: bool = False
    template: TemplateUse | None = None
    smart_encoding: bool | None = None
    id: UUID | None = None
    verification_id: UUID | None = None
    template_id: UUID | None = None
    template_version: int | None = None


def submit(
    *, owner: User, draft: MessageInput, default_queue: str, now: datetime, source: Source = Source.API
) -> Message:
    """Store one message. Raises `InvalidField` or the error of a check of `eligibility`; then nothing is stored."""
    [result] = submit_many(owner=owner, drafts=[draft], default_queue=default_queue, now=now, source=source)
    if isinstance(result, DomainError):
        raise result
    return result


def submit_many(
    *,
    owner: User,
    drafts: Sequence[MessageInput],
    default_queue: str,
    now: datetime,
    source: Source = Source.API,
) -> list[Message | DomainError]:
    """Store the valid drafts; return a message or an error for each, in order. The number of queries is constant.

    Checks that need no lock run before the transaction, which on SQLite excludes all other writers. Dispatch repeats the
    checks, so a change in between is noticed.
    """
    checks = _fetch_checks(owner, drafts, default_queue)
    prototype = prototype_of(owner, now)
    lookup.load(owner.pk, {draft.template.reference for draft in drafts if draft.template})
    built = [build(draft, prototype=prototype, checks=checks, now=now) for draft in drafts]
    batch = Batch((result for result in built if isinstance(result, Message)), now=now, counting=Counting.RESERVE)
    built = _without_refused(built, batch)
    try:
        with transaction.atomic():
            results = _store(built, drafts, owner=owner, source=source, now=now)
    except Exception:
        batch.release()
        raise
    batch.release(stored={result.pk for result in results if isinstance(result, Message)})
    return results


def _store(
    built: Sequence[Message | DomainError],
    drafts: Sequence[MessageInput],
    *,
    owner: User,
    source: Source,
    now: datetime,
) -> list[Message | DomainError]:
    results = _charged(_with_media_checked(built, drafts, owner), now)
    accepted = [result for result in results if isinstance(result, Message)]
    if accepted:
        bulk_insert.store_numbers(message.to_number for message in accepted)
        bulk_insert.store_messages(accepted, source=source, actor=owner)
        attachments.create(
            (result, draft.media)
            for result, draft in zip(results, drafts, strict=True)
            if isinstance(result, Message) and draft.media
        )
    return results


def build_one(*, owner: User, draft: MessageInput, default_queue: str, now: datetime) -> Message:
    """The message that `submit` would store if nothing forbids it. Raises the error of a field."""
    built = build(
        draft, prototype=prototype_of(owner, now), checks=_fetch_checks(owner, [draft], default_queue), now=now
    )
    if isinstance(built, DomainError):
        raise built
    return built


@dataclass(frozen=True, slots=True)
class Checks:
    """Queues and usable senders: what the checks of a draft's fields need."""

    default_queue: str
    queues: Collection[str]
    senders: Collection[str]
    default_sender: str


def _fetch_checks(owner: User, drafts: Sequence[MessageInput], default_queue: str) -> Checks:
    """For a batch of drafts, with two queries."""
    names = {draft.queue or default_queue for draft in drafts}
    usable = SenderNumber.objects.filter(Q(owner=owner) | Q(owner__isnull=True))
    wanted = {draft.sender for draft in drafts if draft.sender}
    found = usable.filter(Q(number__in=wanted) | Q(is_default=True))
    rows = list(found.values_list("number", "owner_id", "is_default"))
    defaults: dict[int | None, str] = {owner_id: number for number, owner_id, is_default in rows if is_default}
    return Checks(
        default_queue=default_queue,
        queues=set(OutboundQueue.objects.filter(name__in=names).values_list("name", flat=True)),
        senders={number for number, _, _ in rows},
        default_sender=defaults.get(owner.pk) or defaults.get(None) or "",
    )


_NEW = Message(direction=Direction.OUTBOUND)


def prototype_of(owner: User, now: datetime) -> Message:
    """The values that all new messages of one request have."""
    prototype = bulk_insert.like(_NEW, created_at=now, updated_at=now)
    prototype.owner = owner
    return prototype


def _without_refused(built: Sequence[Message | DomainError], batch: Batch) -> list[Message | DomainError]:
    """Replace each message that must not be sent with its error; hold those that must wait for an hour."""
    refused = batch.admit()
    return [
        refused[result.pk].as_error() if isinstance(result, Message) and result.pk in refused else result
        for result in built
    ]


def _charged(results: Sequence[Message | DomainError], now: datetime) -> list[Message | DomainError]:
    """Replace each message that a budget of its owner has no room for with its error; the others are charged."""
    refused = budgets.charge([result for result in results if isinstance(result, Message)], now=now)
    return [refused.get(result.pk, result) if isinstance(result, Message) else result for result in results]


def _with_media_checked(
    built: Sequence[Message | DomainError], drafts: Sequence[MessageInput], owner: User
) -> list[Message | DomainError]:
    """Replace each message whose media cannot be sent with its error; the media rows are locked until the transaction ends."""
    media = MediaChecks(owner, [draft.media for draft in drafts])
    return [
        (media.error(draft.media, number=draft.to, sender=result.from_number) or result)
        if isinstance(result, Message)
        else result
        for result, draft in zip(built, drafts, strict=True)
    ]


def _field_error(draft: MessageInput, *, checks: Checks, size: SegmentCount) -> InvalidField | None:
    if (draft.queue or checks.default_queue) not in checks.queues:
        return InvalidField("queue", "unknown_queue", "There is no queue of this name.")
    may_use_any = draft.is_automatic or draft.is_reply
    if draft.sender and draft.sender not in checks.senders and not may_use_any:
        return InvalidField("from", "sender_not_allowed", "This is not one of your senders.")
    if draft.send_at is not None and draft.send_at > LATEST - timedelta(seconds=draft.valid_for):
        return InvalidField("send_at", "too_far_ahead", "It would still be valid after the year 9999.")
    if size.segments > segments.MAX_SEGMENTS:
        return InvalidField(
            "message",
            "too_long",
            f"The text takes {size.segments} segments ({size.encoding}); {segments.MAX_SEGMENTS} is the limit.",
        )
    return None


def _category_error(draft: MessageInput, prototype: Message) -> EmergencyNotAllowed | None:
    if draft.category == Category.EMERGENCY and not may_send_emergency(prototype.owner):
        return EmergencyNotAllowed("Emergency messages need the permission messaging.send_emergency.")
    return None


def may_send_emergency(owner: User | None) -> bool:
    return owner is not None and owner.has_perm(SEND_EMERGENCY)


def _from_template(draft: MessageInput, use: TemplateUse, owner_id: int | None) -> tuple[MessageInput, UUID, int]:
    """Return the draft with the template's text, and the id and number of the version. Raises `InvalidField`."""
    version = None if owner_id is None else lookup.load(owner_id, {use.reference})[use.reference]
    if version is None:
        raise InvalidField("template", "unknown_template", "You have no template of this name or id.")
    rendered = render(version, use.language, use.variables, smart_encoding=False)
    if not rendered.text.strip():
        raise InvalidField("template", "blank", "With these variables the text is blank.")
    has_choice = draft.smart_encoding is not None
    filled = replace(
        draft,
        text=rendered.text,
        template=None,
        category=draft.category if use.has_own_category else version.category,
        parameters=draft.parameters if use.has_own_parameters else version.parameters,
        smart_encoding=draft.smart_encoding if has_choice else version.smart_encoding or None,
    )
    return filled, version.template_id, version.number


def build(draft: MessageInput, *, prototype: Message, checks: Checks, now: datetime) -> Message | DomainError:
    """Return the message, not stored, or the error of a field. Who may be sent to is not checked here: `eligibility`."""
    template_id, template_version = draft.template_id, draft.template_version
    if draft.template is not None:
        try:
            draft, template_id, template_version = _from_template(draft, draft.template, prototype.owner_id)
        except InvalidField as template_error:
            return template_error
    wants_smart = settings.SMART_ENCODING_DEFAULT if draft.smart_encoding is None else draft.smart_encoding
    text = smart_encoding.smart_encoded(draft.text) if wants_smart else draft.text
    size = segments.measure(text)
    error = _field_error(draft, checks=checks, size=size) or _category_error(draft, prototype)
    if error is not None:
        return error
    queue = draft.queue or checks.default_queue
    pooled = "" if draft.sender else sender_pools.current().sender_for(queue, draft.to)
    due = draft.send_at if draft.send_at is not None and draft.send_at > now else None
    return bulk_insert.like(
        prototype,
        id=draft.id or uuid7(),
        status=Status.SCHEDULED if due else Status.QUEUED,
        queue_id=queue,
        from_number=draft.sender or pooled or checks.default_sender,
        to_number=draft.to,
        text=text,
        encoding=size.encoding,
        segments=size.segments,
        reference=draft.reference,
        callback_url=draft.callback_url,
        callback_dialect=draft.callback_dialect,
        media_count=len(draft.media),
        template_id=template_id,
        template_version=template_version,
        is_automatic=draft.is_automatic,
        category=draft.category,
        priority=priority_of(draft.category, is_bulk=False),
        parameters=dict(draft.parameters) or None,
        verification_id=draft.verification_id,
        send_at=draft.send_at,
        valid_for=draft.valid_for,
        expires_at=(due or now) + timedelta(seconds=draft.valid_for),
        next_attempt_at=due,
    )
