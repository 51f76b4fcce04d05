"""What goes over the wire while a client follows: server-sent events, or one answer after a wait."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from messaging.database_faults import DATABASE_FAULTS
from messaging.live.admission import LongPoll, Stream
from messaging.live.hub import POLL_SECONDS, Subscription
from messaging.live.threads import Threads
from messaging.services.webhooks import live_events

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
RETRY_MILLISECONDS = 2_000
HEARTBEAT = b":\n"

Question = tuple[int | None, UUID | None, int, bool]
"""Whose events, of which message only, after which number, and whether with texts."""


class Reader:
    """Reads the log. Those who ask for the same page in the same moment, as a user's streams do when woken, share it."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._asked: dict[Question, asyncio.Task[tuple[bytes, live_events.EventPage]]] = {}

    async def read(self, question: Question) -> tuple[bytes, live_events.EventPage]:
        """The page as it goes over the wire, and itself."""
        if question not in self._asked:
            self._asked[question] = asyncio.create_task(self._ask(question))
        return await asyncio.shield(self._asked[question])

    async def _ask(self, question: Question) -> tuple[bytes, live_events.EventPage]:
        await asyncio.sleep(0)  # until all that were woken together have asked
        del self._asked[question]  # who asks from now on may know of something newer
        return await self._threads.run(_read, question)


def _read(question: Question) -> tuple[bytes, live_events.EventPage]:
    owner_id, message_id, after, readable = question
    page = live_events.read(owner_id=owner_id, message_id=message_id, after=after, readable=readable)
    return b"".join(map(frame, page.events)), page


async def stream(order: Stream, follower: Subscription, reader: Reader) -> AsyncIterator[bytes]:
    """Until the follower is over. What has not been read lies in the database: a slow reader costs one page of the log."""
    position = order.after
    # The number alone, so that who is cut before the first event knows where to resume.
    yield f"retry: {RETRY_MILLISECONDS}\nid: {position}\n\n".encode()
    said_at = time.monotonic()
    is_news = True
    while not follower.is_over:
        if is_news:
            try:
                said, page = await reader.read(
                    (order.owner_id, order.message_id, position, order.subscriber.reads_texts)
                )
            except DATABASE_FAULTS as error:
                logger.warning("a live stream waits for the database (%s)", type(error).__name__)
                await follower.wait(POLL_SECONDS)
            else:
                position, is_news = page.last_sequence, page.has_more
                if said:
                    yield said
                    said_at = time.monotonic()
        else:
            is_news = await follower.wait(max(0.0, said_at + HEARTBEAT_SECONDS - time.monotonic()))
        if time.monotonic() >= said_at + HEARTBEAT_SECONDS and not follower.is_over:
            yield HEARTBEAT
            said_at = time.monotonic()


def frame(event: dict[str, Any]) -> bytes:
    data = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    return f"id: {event['sequence']}\nevent: {event['type']}\ndata: {data}\n\n".encode()


async def wait_for_change(order: LongPoll, follower: Subscription, threads: Threads) -> None:
    """Until the message's status is another one, or the time is over, or the follower is."""
    ends_at = time.monotonic() + order.seconds
    while not follower.is_over:
        try:
            statuses = await threads.run(live_events.statuses, [order.message_id])
        except DATABASE_FAULTS as error:
            logger.warning("a long poll waits for the database (%s)", type(error).__name__)
        else:
            if statuses.get(order.message_id) != order.unlike:
                return
        left = ends_at - time.monotonic()
        if left <= 0:
            return
        await follower.wait(left)
