"""Submissions of one owner that arrive together are stored together, while those of other owners are stored beside them.

The first one is stored at once. What arrives while it is being stored, in whatever session, is the next batch: so a lone client
gets its answer after one transaction, and a busy one shares a transaction among many. What nobody waits for, the log and the
counts, is done beside the next batch.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from redis.exceptions import RedisError

from messaging import log_context, notifier, request_limits
from messaging.database_faults import drop_connection, may_pass
from messaging.models import Message
from messaging.services.errors import DomainError
from messaging.services.gateway import parts, submissions
from messaging.services.gateway.submissions import ClientSubmission, Submitted
from messaging.services.reporting import gateway_counts
from messaging.smpp_server import statuses
from messaging.smpp_server.jobs import in_database, log_failure
from messaging.states import Status
from providers.smpp.constants import CommandStatus, status_name

logger = logging.getLogger(__name__)

MAX_BATCH = 200

# The id that the client is told, or why not.
SubmitResult = UUID | CommandStatus
Store = Callable[..., list[Submitted | DomainError]]
_Item = tuple[ClientSubmission, Callable[[SubmitResult], None]]


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """`answers` are in the order of the submissions; `messages` are those that were stored."""

    answers: Sequence[SubmitResult]
    messages: Sequence[Message] = ()


@dataclass(slots=True)
class _Waiting:
    owner: User
    items: deque[_Item] = field(default_factory=deque)


class BatchSubmitter:
    """Lives in the event loop. `answer` is called there, after the commit."""

    def __init__(self, executor: Executor, *, clock: Callable[[], datetime]) -> None:
        self._executor = executor
        self._clock = clock
        self._owners: dict[int, _Waiting] = {}

    def add(self, owner: User, submission: ClientSubmission, answer: Callable[[SubmitResult], None]) -> None:
        waiting = self._owners.get(owner.pk)
        if waiting is None:
            waiting = self._owners[owner.pk] = _Waiting(owner)
            # Not yet: what came in the same packet belongs to the same batch.
            asyncio.get_running_loop().call_soon(self._start, owner.pk)
        waiting.items.append((submission, answer))

    def _start(self, owner_id: int) -> None:
        asyncio.get_running_loop().create_task(self._work(owner_id)).add_done_callback(log_failure)

    async def _work(self, owner_id: int) -> None:
        """Store batches until nothing of the owner waits."""
        waiting = self._owners[owner_id]
        try:
            while waiting.items:
                items = [waiting.items.popleft() for _ in range(min(MAX_BATCH, len(waiting.items)))]
                stored = await self._stored(waiting.owner, items)
                for (_, answer), given in zip(items, stored.answers, strict=True):
                    answer(given)
                self._record(stored)
        finally:
            del self._owners[owner_id]

    def _record(self, stored: StoredBatch) -> None:
        """In a thread, which nobody waits for."""
        try:
            self._executor.submit(record, stored).add_done_callback(log_failure)
        except RuntimeError:
            logger.debug("%d submissions not counted: the server stops", len(stored.answers))

    async def _stored(self, owner: User, items: Sequence[_Item]) -> StoredBatch:
        """Whatever happens, each submission gets an answer, those that wait behind these too."""
        store = partial(store_batch, owner, [submission for submission, _ in items], self._clock())
        try:
            return await in_database(self._executor, store)
        except Exception as error:  # noqa: BLE001 (any fault: the client is told to repeat)
            logger.error("%d submissions not stored (%s)", len(items), type(error).__name__)
            return StoredBatch([statuses.UNAVAILABLE] * len(items))


def store_batch(owner: User, batch: Sequence[ClientSubmission], now: datetime) -> StoredBatch:
    """Store what is within the client's limit, whole texts and parts apart; notify the dispatcher after the commit."""
    admitted = _admitted(batch)
    answers: list[SubmitResult] = [CommandStatus.RTHROTTLED] * len(batch)
    messages: list[Message] = []
    for store, is_part in ((submissions.store, False), (parts.store, True)):
        places = [place for place in admitted if (batch[place].part is not None) == is_part]
        if places:
            results = _store(store, owner, [batch[place] for place in places], now)
            for place, result in zip(places, results, strict=True):
                answers[place] = _answer(result)
                if isinstance(result, Submitted) and result.message is not None:
                    messages.append(result.message)
    for queue in sorted({each.queue_id for each in messages if each.status == Status.QUEUED and each.queue_id}):
        notifier.notify_queue(queue)
    return StoredBatch(answers, messages)


def record(stored: StoredBatch) -> None:
    if stored.messages:
        log_context.log_accepted([message.pk for message in stored.messages])
    _count(stored.answers)


def _admitted(batch: Sequence[ClientSubmission]) -> list[int]:
    """The places of the submissions within the limit of their credential."""
    left = {
        credential_id: request_limits.admit(f"gateway:{credential_id}", requests=count).admitted
        for credential_id, count in Counter(submission.credential_id for submission in batch).items()
    }
    admitted = []
    for place, submission in enumerate(batch):
        if left[submission.credential_id] > 0:
            left[submission.credential_id] -= 1
            admitted.append(place)
    return admitted


def _store(
    store: Store, owner: User, batch: Sequence[ClientSubmission], now: datetime
) -> "list[Submitted | DomainError | None]":
    """None where it could not be stored. After a fault that is not the database's, each is tried alone: one must not fail the
    others for ever.
    """
    try:
        return list(store(owner=owner, submissions=batch, default_queue=settings.DEFAULT_QUEUE, now=now))
    except Exception as error:  # noqa: BLE001 (any fault: the client is told to repeat)
        logger.error("%d submissions not stored (%s)", len(batch), type(error).__name__)
        if may_pass(error):
            drop_connection()
        elif len(batch) > 1:
            return [result for submission in batch for result in _store(store, owner, [submission], now)]
        return [None] * len(batch)


def _answer(result: Submitted | DomainError | None) -> SubmitResult:
    if result is None:
        return statuses.UNAVAILABLE
    return result.id if isinstance(result, Submitted) else statuses.of_submission(result)


def _count(answers: Sequence[SubmitResult]) -> None:
    try:
        gateway_counts.add(Counter(status_name(0) if isinstance(each, UUID) else status_name(each) for each in answers))
    except (RedisError, OSError) as error:
        logger.debug("submissions not counted (%s)", type(error).__name__)
