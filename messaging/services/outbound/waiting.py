"""What a message that is not sent yet waits for, and until when: found when it is read, because it changes without a write.

A constant number of queries for any number of messages, and none where none waits. What is stored already (a failed round,
a wait for an account) gets its time here; the rest is the queue's: order, pause, pace and turn.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Subquery

from messaging.models import Message, OutboundQueue
from messaging.services.outbound import order, pacing
from messaging.services.reporting import heartbeats
from messaging.services.representation import (
    isoformat_utc,
    serialize_error,
    serialize_message_for,
    serialize_message_lenient_for,
)
from messaging.states import DEFERRABLE, Status
from providers.state import shared_state

# A message that nothing holds is claimed within moments; only after this time is there something to explain.
GRACE = timedelta(seconds=10)
VALID_UNTIL = "The message is valid until"


@dataclass(frozen=True, slots=True)
class Waiting:
    """`reason` is a sentence without the time; `until_label` says what happens at `until`.

    `message_id` and `queue` name what the message waits for, where that is one of these.
    """

    code: str
    reason: str
    until: datetime | None
    until_label: str
    message_id: UUID | None = None
    queue: str | None = None

    @property
    def detail(self) -> str:
        return self.reason if self.until is None else f"{self.reason} {self.until_label} {isoformat_utc(self.until)}."


def serialize_for(reader: User, message: Message, *, now: datetime) -> dict[str, Any]:
    """The message as the API shows it, alone. Raises `CannotBeOpened`."""
    found = find([message], now=now, sees_all=_sees_all(reader))
    return serialize_message_for(reader, message, error=_error(found.get(message.pk)))


def serialize_list_for(reader: User, messages: Sequence[Message], *, now: datetime) -> list[dict[str, Any]]:
    """The messages as the API shows them in a list; one whose text cannot be opened has an empty text."""
    found = find(messages, now=now, sees_all=_sees_all(reader))
    return [serialize_message_lenient_for(reader, row, error=_error(found.get(row.pk))) for row in messages]


def _sees_all(reader: User) -> bool:
    return reader.is_staff and reader.has_perm("messaging.view_message")


def _error(waiting: Waiting | None) -> dict[str, str] | None:
    return None if waiting is None else serialize_error(waiting.code, waiting.detail)


def find(messages: Iterable[Message], *, now: datetime, sees_all: bool) -> dict[UUID, Waiting]:
    """What those of the messages wait for that wait for something; at most two queries, and Redis is asked at most once.

    Unless the reader `sees_all`, another owner's message to the same number is not mentioned: it shows as `waiting_for_turn`.
    """
    waiting = [message for message in messages if _waits(message, now)]
    if not waiting:
        return {}
    queues = OutboundQueue.objects.in_bulk({message.queue_id for message in waiting})
    older = _older_messages([row for row in waiting if _keeps_order(row, queues[row.queue_id])], now)
    signs = _SignsOfLife()
    found = {}
    for row in waiting:
        first = older.get(row.pk)
        if first is not None and first.owner_id != row.owner_id and not sees_all:
            found[row.pk] = _turn(row)
        else:
            found[row.pk] = _reason(row, queues[row.queue_id], first, signs, now)
    return {pk: reason for pk, reason in found.items() if reason is not None}


def _waits(message: Message, now: datetime) -> bool:
    """Not what is scheduled for later, which its status and `send_at` say, nor what the next sweep will fail as expired."""
    is_unsent = message.status == Status.QUEUED or _is_overdue(message, now)
    return is_unsent and message.expires_at > now


class _SignsOfLife:
    """Whether somebody is there to send; asked only where it matters. While Redis is unavailable the answer is yes."""

    @cached_property
    def workers(self) -> bool:
        return shared_state.ask(lambda _client: bool(heartbeats.workers()), otherwise=True)

    @cached_property
    def beat(self) -> bool:
        age = shared_state.ask(lambda _client: heartbeats.seconds_since_tick(), otherwise=0.0)
        return age is not None and age <= heartbeats.WORKER_SILENT_SECONDS


def _keeps_order(message: Message, queue: OutboundQueue) -> bool:
    return queue.preserve_order and not queue.is_paused and message.next_attempt_at is None


def _older_messages(messages: Sequence[Message], now: datetime) -> Mapping[UUID, Message]:
    """For each message the oldest of those that go before it: one query, one probe of `message_unsent_by_number` for each."""
    if not messages:
        return {}
    first = order.older_unsent(now=now).order_by("pk").values("pk")[:1]
    rows = Message.objects.filter(pk__in=[message.pk for message in messages]).annotate(first=Subquery(first))
    columns = ("owner", "queue", "to_number", "is_bulk", "status", "next_attempt_at", "lease_until", "expires_at")
    by_number: dict[tuple[str, str], list[Message]] = defaultdict(list)
    for older in Message.objects.filter(pk__in=rows.values("first")).order_by("pk").only(*columns):
        by_number[older.queue_id, older.to_number].append(older)
    found = {}
    for row in messages:
        goes_first = (older for older in by_number[row.queue_id, row.to_number] if _goes_first(older, row))
        found[row.pk] = next(goes_first, None)
    return {pk: older for pk, older in found.items() if older is not None}


def _goes_first(older: Message, message: Message) -> bool:
    return older.pk < message.pk and older.is_bulk <= message.is_bulk


def _reason(
    message: Message, queue: OutboundQueue, older: Message | None, signs: _SignsOfLife, now: datetime
) -> Waiting | None:
    if queue.is_paused:
        reason = f"The queue {queue.name} is paused."
        return Waiting("queue_paused", reason, message.expires_at, VALID_UNTIL, queue=queue.name)
    if message.next_attempt_at is not None:
        return _not_released(message, signs) if _is_overdue(message, now) else _deferred(message)
    if older is not None and not (queue.is_paced and _is_ready(older)):
        return _behind(older)
    if queue.is_paced:
        return _next_batch(message, queue, signs, now)
    return _in_turn(message, queue, signs, now)


def _is_ready(message: Message) -> bool:
    return message.status == Status.QUEUED and message.next_attempt_at is None


def _is_overdue(message: Message, now: datetime) -> bool:
    """Return True if the tick should have released it before now."""
    due = message.next_attempt_at
    return due is not None and message.status in DEFERRABLE and due < now - GRACE


def _deferred(message: Message) -> Waiting:
    code = message.error_code or "waiting_for_retry"
    reason = f"{message.error_detail or 'No provider has taken it yet'}".rstrip(".") + "."
    return Waiting(code, reason, message.next_attempt_at, "Next attempt at")


def _not_released(message: Message, signs: _SignsOfLife) -> Waiting:
    return _without_processes(message, signs, needs_beat=True) or Waiting(
        message.error_code or "waiting_for_turn",
        "It is due and will be released with the next tick.",
        message.expires_at,
        VALID_UNTIL,
    )


def _behind(older: Message) -> Waiting:
    if older.status == Status.SENDING:
        until, label = older.lease_until, "That one is being sent, at the latest until"
    elif older.next_attempt_at is not None:
        until, label = older.next_attempt_at, "That one is tried again at"
    else:
        until, label = older.expires_at, "That one is ready to be sent, and valid until"
    reason = f"Waits for the older message {older.pk} to the same number."
    return Waiting("waiting_for_message", reason, until, label, message_id=older.pk)


def _next_batch(message: Message, queue: OutboundQueue, signs: _SignsOfLife, now: datetime) -> Waiting:
    last = pacing.last_tick_before(queue, now=now)
    following = None if last is None else last + timedelta(seconds=queue.interval_seconds)
    if now - message.updated_at > GRACE:
        dead = _without_processes(message, signs, needs_beat=True)
        if dead is not None:
            return dead
    reason = f"The queue {queue.name} sends {queue.batch_size} messages every {queue.interval_seconds} seconds."
    return Waiting("waiting_for_pace", reason, following, "Next batch at", queue=queue.name)


def _in_turn(message: Message, queue: OutboundQueue, signs: _SignsOfLife, now: datetime) -> Waiting | None:
    if now - max(message.updated_at, message.send_at or message.created_at) <= GRACE:
        return None
    dead = _without_processes(message, signs, needs_beat=False)
    if dead is not None or message.error_code:
        return dead  # None: what is stored says more
    return _turn(message)


def _turn(message: Message) -> Waiting:
    reason = f"Waits for its turn in the queue {message.queue_id}: older messages go first."
    return Waiting("waiting_for_turn", reason, message.expires_at, VALID_UNTIL, queue=message.queue_id)


def _without_processes(message: Message, signs: _SignsOfLife, *, needs_beat: bool) -> Waiting | None:
    if not signs.workers:
        return Waiting("waiting_for_worker", "No worker process is running.", message.expires_at, VALID_UNTIL)
    if needs_beat and not signs.beat:
        reason = "The process beat is not running, so nothing that is due is released."
        return Waiting("waiting_for_beat", reason, message.expires_at, VALID_UNTIL)
    return None
