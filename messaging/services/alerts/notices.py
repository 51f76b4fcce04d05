"""Take a notice: once, as texts to its recipients, or held for a digest while there are too many.

The row of the channel is locked, so that of two equal notices at once the second sees what the first has stored, and sends
if the first was rolled back. What a notice leaves is stored in the transaction that stores its messages.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from uuid_utils.compat import uuid7

from messaging.models import AlertChannel, AlertNotice, AlertReceiver, Message
from messaging.models.alert import DEFAULT_PER_MINUTE, DEFAULT_SEGMENTS
from messaging.services.errors import DomainError, InvalidField
from messaging.services.outbound.submit import MessageInput, submit_many
from messaging.services.privacy import fingerprints

# A notice is known for so long after it was last repeated. Alertmanager's repeat_interval is hours or days.
KEPT_FOR = timedelta(days=30)
TOUCH_AFTER = timedelta(days=1)
VALID_FOR = 3_600
MINUTE = timedelta(minutes=1)
MAX_RECIPIENTS = 50
_CHANNEL, _NOTICE = "alert_channel", "alert_notice"


@dataclass(frozen=True, slots=True)
class AlertTarget:
    """Whom a notice is for: a receiver, or the recipients that the request names."""

    owner: User
    recipients: tuple[str, ...] = field(repr=False)
    receiver: AlertReceiver | None = None

    @classmethod
    def of(cls, receiver: AlertReceiver) -> "AlertTarget":
        return cls(receiver.owner, tuple(receiver.recipients), receiver)

    @property
    def max_segments(self) -> int:
        return self.receiver.max_segments if self.receiver else DEFAULT_SEGMENTS

    @property
    def max_per_minute(self) -> int:
        return self.receiver.max_per_minute if self.receiver else DEFAULT_PER_MINUTE

    @property
    def template(self) -> str:
        return self.receiver.template if self.receiver else ""


@dataclass(frozen=True, slots=True)
class Notice:
    """`identities` are what a repeat of it has, for `kept_for`; a notice without them is no repeat of another."""

    text: str = field(repr=False)
    counts: Mapping[str, int] = field(repr=False)
    identities: tuple[str, ...] = ()
    kept_for: timedelta = KEPT_FOR


@dataclass(frozen=True, slots=True)
class NoticeResult:
    messages: Sequence[Message] = ()
    refused: int = 0
    is_repeat: bool = False
    is_held: bool = False


def receive(*, target: AlertTarget, notice: Notice, default_queue: str, now: datetime) -> NoticeResult:
    """Raises the error of the first recipient when none may be sent to, and `InvalidField`; then nothing is stored."""
    with transaction.atomic():
        channel = _locked(target, now)
        recent = still_recent(channel.recent, now)
        is_held = channel.digest_due_at is not None or len(recent) >= target.max_per_minute
        counts = notice.counts if is_held else {}
        if not store_once(channel, notice.identities, now=now, kept_for=notice.kept_for, held=counts):
            return NoticeResult(is_repeat=True)
        result = NoticeResult(is_held=True) if is_held else send(target, notice.text, default_queue, now)
        if is_held:
            slot = channel.digest_due_at or _next_slot(recent, target.max_per_minute, now)
            channel.digest_due_at = min(slot, now + MINUTE)
        else:
            recent.append(now.timestamp())
        channel.recent, channel.used_at = recent, now
        channel.save(update_fields=["recent", "digest_due_at", "used_at"])
    return result


def send(
    target: AlertTarget, text: str, default_queue: str, now: datetime, *, valid_for: int = VALID_FOR
) -> NoticeResult:
    """Store a message to each recipient. Raises the first error unless one recipient at least may be sent to."""
    receiver = target.receiver
    drafts = [
        MessageInput(
            to=number,
            text=text,
            valid_for=valid_for,
            sender=(receiver.sender or None) if receiver else None,
            queue=receiver.queue_id if receiver else None,
        )
        for number in target.recipients
    ]
    results = submit_many(owner=target.owner, drafts=drafts, default_queue=default_queue, now=now)
    errors = [result for result in results if isinstance(result, DomainError)]
    messages = [result for result in results if isinstance(result, Message)]
    fault = next((error for error in errors if isinstance(error, InvalidField) or not messages), None)
    if fault is not None:
        raise fault
    return NoticeResult(messages, refused=len(errors))


def channel_of(target: AlertTarget, now: datetime) -> AlertChannel:
    """The channel, not locked; created when it is missing."""
    channel = _existing(target).first()
    if channel is None:
        _create(target, now)
        channel = _existing(target).get()
    return channel


def store_once(
    channel: AlertChannel,
    identities: Iterable[str],
    *,
    now: datetime,
    kept_for: timedelta,
    held: Mapping[str, int] | None = None,
) -> bool:
    """Store the notice in the caller's transaction; False if the channel has had it. An equal one at the same time is awaited.

    `held` are its alerts by name if it is held for a digest.
    """
    digests = [fingerprints.hmac_digest(_NOTICE, identity.encode("utf-8", "surrogatepass")) for identity in identities]
    known = channel.notices.filter(digest__in=[each for candidates in digests for each in candidates])
    forget_at = now + kept_for
    forgotten = list(known.values_list("forget_at", flat=True)) if digests else []
    if forgotten and max(forgotten) <= now and not known.filter(is_held=True).exists():
        known.delete()  # `purge` has not come to it yet
    elif forgotten:
        if min(forgotten) < forget_at - TOUCH_AFTER:
            known.update(forget_at=forget_at)
            AlertChannel.objects.filter(pk=channel.pk).update(used_at=now)
        return False
    rows = [
        AlertNotice(channel=channel, digest=digest, received_at=now, forget_at=forget_at)
        for digest in sorted(candidates[0] for candidates in digests)
    ]
    if held:
        rows = rows or [AlertNotice(channel=channel, digest=uuid7().hex, received_at=now, forget_at=forget_at)]
        rows[0].is_held, rows[0].counts = True, dict(held)
    try:
        with transaction.atomic():
            AlertNotice.objects.bulk_create(rows)
    except IntegrityError:
        return False
    return True


def purge(*, now: datetime) -> None:
    """Delete notices that are no longer known, and channels of recipients that have had none for as long.

    A digest that is due later than in a minute was held before the clock was set back: it is due now.
    """
    AlertChannel.objects.filter(digest_due_at__gt=now + 2 * MINUTE).update(digest_due_at=now)
    AlertNotice.objects.filter(forget_at__lt=now, is_held=False).delete()
    AlertChannel.objects.filter(receiver=None, used_at__lt=now - KEPT_FOR - TOUCH_AFTER, digest_due_at=None).delete()


def still_recent(times: Iterable[float], now: datetime) -> list[float]:
    """Of the last minute. Times of a future that the clock was set back from do not count; clocks may differ by seconds."""
    first, last = (now - MINUTE).timestamp(), (now + MINUTE).timestamp()
    return sorted(time for time in times if first < time <= last)


def _next_slot(recent: Sequence[float], max_per_minute: int, now: datetime) -> datetime:
    """When there are fewer than `max_per_minute` texts in the last minute again."""
    return max(now, datetime.fromtimestamp(recent[-max_per_minute], UTC) + MINUTE)


def _locked(target: AlertTarget, now: datetime) -> AlertChannel:
    rows = _existing(target).select_for_update(of=("self",))
    channel = rows.first()
    if channel is None:
        _create(target, now)
        channel = rows.get()
    return channel


def _existing(target: AlertTarget) -> QuerySet[AlertChannel]:
    if target.receiver is not None:
        return AlertChannel.objects.filter(receiver=target.receiver)
    return AlertChannel.objects.filter(key__in=_keys(target)).order_by("pk")


def _create(target: AlertTarget, now: datetime) -> None:
    channel = AlertChannel(owner=target.owner, receiver=target.receiver, used_at=now)
    if target.receiver is None:
        channel.key, channel.recipients = _keys(target)[0], list(target.recipients)
    AlertChannel.objects.bulk_create([channel], ignore_conflicts=True)


def _keys(target: AlertTarget) -> list[str]:
    content = f"{target.owner.pk}:{','.join(sorted(target.recipients))}"
    return fingerprints.hmac_digest(_CHANNEL, content.encode())
