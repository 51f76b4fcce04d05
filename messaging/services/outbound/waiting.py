"""Why a message is not sent yet, and until when it waits. Computed on reading, because it changes without a write.

The number of queries is constant, and zero if no message waits. Stored reasons (a failed round, a wait for an account) get
their time here; the other reasons come from the queue: order, pause, pace and backlog.
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
from messaging.policy.hours import OUTSIDE_HOURS
from messaging.services import access
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

# A ready message is normally claimed within a second. Only one that waits longer than this needs a reason.
GRACE = timedelta(seconds=10)
VIEW = "messaging.view_message"
VALID_UNTIL = "The message is valid until"


@dataclass(frozen=True, slots=True)
class Waiting:
    """`reason` is a sentence without the time; `until_label` describes what happens at `until`.

    `message_id` or `queue` is set when the message waits for another message or because of its queue.
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
    """Serialize one message for the API. Raises `CannotBeOpened`."""
    found = find([message], now=now, sees_all=access.sees_all(reader, VIEW))
    return serialize_message_for(reader, message, error=_error(found.get(message.pk)))


def serialize_list_for(reader: User, messages: Sequence[Message], *, now: datetime) -> list[dict[str, Any]]:
    """Serialize a list of messages for the API. An unreadable text becomes empty."""
    found = find(messages, now=now, sees_all=access.sees_all(reader, VIEW))
    return [serialize_message_lenient_for(reader, row, error=_error(found.get(row.pk))) for row in messages]


def _error(waiting: Waiting | None) -> dict[str, str] | None:
    return None if waiting is None else serialize_error(waiting.code, waiting.detail)


def find(messages: Iterable[Message], *, now: datetime, sees_all: bool) -> dict[UUID, Waiting]:
    """Return, by primary key, what each waiting message waits for. At most two database queries and one Redis read.

    Unless the reader `sees_all`, another owner's message to the same number is not named: the reason is `waiting_for_turn`.
    """
    waiting = [message for message in messages if _waits(message, now)]
    if not waiting:
        return {}
    queues = OutboundQueue.objects.in_bulk({message.queue_id for message in waiting})
    older = _older_messages([row for row in waiting if _keeps_order(row, queues[row.queue_id])], now)
    processes = _Processes()
    found: dict[UUID, Waiting | None] = {}
    for row in waiting:
        first = older.get(row.pk)
        if first is not None and first.owner_id != row.owner_id and not sees_all:
            found[row.pk] = _behind_backlog(row)
        else:
            found[row.pk] = _reason(row, queues[row.queue_id], first, processes, now)
    return {pk: reason for pk, reason in found.items() if reason is not None}


def _waits(message: Message, now: datetime) -> bool:
    """False for a message scheduled for later (`send_at` explains it) and for one that the next sweep will expire."""
    is_unsent = message.status == Status.QUEUED or _is_overdue(message, now)
    return is_unsent and message.expires_at is not None and message.expires_at > now


class _Processes:
    """Whether worker and beat are running, read when first needed. Assumed to run while Redis is unavailable."""

    @cached_property
    def workers(self) -> bool:
        return shared_state.ask(lambda _client: bool(heartbeats.workers()), otherwise=True)

    @cached_property
    def beat(self) -> bool:
        return shared_state.ask(lambda _client: _has_recent_tick(), otherwise=True)


def _has_recent_tick() -> bool:
    age = heartbeats.seconds_since_tick()
    return age is not None and age <= heartbeats.WORKER_SILENT_SECONDS


def _keeps_order(message: Message, queue: OutboundQueue) -> bool:
    return queue.preserve_order and not queue.is_paused and message.next_attempt_at is None


def _older_messages(messages: Sequence[Message], now: datetime) -> Mapping[UUID, Message]:
    """For each message, the oldest one that goes before it, or else the first one to be tried again.

    One query, with two probes of an index per message.
    """
    if not messages:
        return {}
    active = order.older_active(now=now).order_by("pk").values("pk")[:1]
    retried = order.older_retried_soon(now=now).order_by("next_attempt_at").values("pk")[:1]
    rows = Message.objects.filter(pk__in=[message.pk for message in messages]).order_by()
    # As a union: PostgreSQL would read the whole table for two conditions.
    firsts = rows.values_list(Subquery(active)).union(rows.values_list(Subquery(retried)))
    columns = ("owner", "queue", "to_number", "priority", "status", "next_attempt_at", "lease_until", "expires_at")
    by_number: dict[tuple[str | None, str], list[Message]] = defaultdict(list)
    for older in Message.objects.filter(pk__in=firsts).order_by("pk").only(*columns):
        by_number[older.queue_id, older.to_number].append(older)
    found: dict[UUID, Message] = {}
    for row in messages:
        candidates = by_number[row.queue_id, row.to_number]
        first_of_row = next((older for older in candidates if _goes_first(older, row)), None)
        if first_of_row is not None:
            found[row.pk] = first_of_row
    return found


def _goes_first(older: Message, message: Message) -> bool:
    return older.pk < message.pk and older.priority <= message.priority


def _reason(
    message: Message, queue: OutboundQueue, older: Message | None, processes: _Processes, now: datetime
) -> Waiting | None:
    if queue.is_paused:
        reason = f"The queue {queue.name} is paused."
        return Waiting("queue_paused", reason, message.expires_at, VALID_UNTIL, queue=queue.name)
    if message.next_attempt_at is not None:
        return _not_released(message, processes) if _is_overdue(message, now) else _deferred(message)
    if older is not None and not (queue.is_paced and _is_ready(older)):
        return _behind(older)
    if queue.is_paced:
        return _next_batch(message, queue, processes, now)
    return _in_backlog(message, queue, processes, now)


def _is_ready(message: Message) -> bool:
    return message.status == Status.QUEUED and message.next_attempt_at is None


def _is_overdue(message: Message, now: datetime) -> bool:
    """Return True if the tick should have released it before now."""
    due = message.next_attempt_at
    return due is not None and message.status in DEFERRABLE and due < now - GRACE


def _deferred(message: Message) -> Waiting:
    code = message.error_code or "waiting_for_retry"
    reason = f"{message.error_detail or 'No provider has accepted it yet'}".rstrip(".") + "."
    return Waiting(code, reason, message.next_attempt_at, "Next attempt at")


def _not_released(message: Message, processes: _Processes) -> Waiting:
    return _without_processes(message, processes, needs_beat=True) or Waiting(
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


def _next_batch(message: Message, queue: OutboundQueue, processes: _Processes, now: datetime) -> Waiting:
    last = pacing.last_tick_before(queue, now=now)
    following = None
    if last is not None and queue.interval_seconds is not None:
        following = last + timedelta(seconds=queue.interval_seconds)
    if now - message.updated_at > GRACE:
        dead = _without_processes(message, processes, needs_beat=True)
        if dead is not None:
            return dead
    reason = f"The queue {queue.name} sends {queue.batch_size} messages every {queue.interval_seconds} seconds."
    return Waiting("waiting_for_pace", reason, following, "Next batch at", queue=queue.name)


def _in_backlog(message: Message, queue: OutboundQueue, processes: _Processes, now: datetime) -> Waiting | None:
    if now - max(message.updated_at, message.send_at or message.created_at) <= GRACE:
        return None
    dead = _without_processes(message, processes, needs_beat=False)
    if dead is not None or message.error_code not in {"", OUTSIDE_HOURS}:
        return dead  # None: the stored error explains more
    return _behind_backlog(message)


def _behind_backlog(message: Message) -> Waiting:
    reason = (
        f"Waits for its turn in the queue {message.queue_id}: older messages, and those of a higher priority, go first."
    )
    return Waiting("waiting_for_turn", reason, message.expires_at, VALID_UNTIL, queue=message.queue_id)


def _without_processes(message: Message, processes: _Processes, *, needs_beat: bool) -> Waiting | None:
    if not processes.workers:
        return Waiting("waiting_for_worker", "No worker process is running.", message.expires_at, VALID_UNTIL)
    if needs_beat and not processes.beat:
        reason = "The beat process is not running, so due messages are not released."
        return Waiting("waiting_for_beat", reason, message.expires_at, VALID_UNTIL)
    return None
