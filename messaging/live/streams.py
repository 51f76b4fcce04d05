"""Server-sent events and long polls: what a connection sends while its client waits."""

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
from messaging.services.webhooks.live_events import EventPage

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
RETRY_MILLISECONDS = 2_000
HEARTBEAT = b":\n"

PageRequest = tuple[int | None, UUID | None, int, bool]
"""Owner; message, or None for all of the owner's; the sequence after which to read; whether texts are readable."""


class Reader:
    """Reads the event log. Streams that ask for the same page at once, as a user's do when woken, share one query."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._pending: dict[PageRequest, asyncio.Task[tuple[bytes, EventPage]]] = {}

    async def read(self, request: PageRequest) -> tuple[bytes, EventPage]:
        """The page, encoded for the wire and as it was read."""
        if request not in self._pending:
            self._pending[request] = asyncio.create_task(self._fetch(request))
        return await asyncio.shield(self._pending[request])

    async def _fetch(self, request: PageRequest) -> tuple[bytes, EventPage]:
        await asyncio.sleep(0)  # let all streams that were woken together join
        del self._pending[request]  # a later request may have to see newer events
        return await self._threads.run(_read, request)


def _read(request: PageRequest) -> tuple[bytes, EventPage]:
    owner_id, message_id, after, readable = request
    page = live_events.read(owner_id=owner_id, message_id=message_id, after=after, readable=readable)
    return b"".join(map(frame, page.events)), page


async def stream(order: Stream, subscription: Subscription, reader: Reader) -> AsyncIterator[bytes]:
    """Send events until the subscription ends. Unread events stay in the database: a slow client costs one page of memory."""
    position = order.after
    # The id alone, so that a client cut off before its first event knows where to resume.
    yield f"retry: {RETRY_MILLISECONDS}\nid: {position}\n\n".encode()
    sent_at = time.monotonic()
    has_news = True
    while not subscription.is_over:
        if has_news:
            request = (order.owner_id, order.message_id, position, order.subscriber.reads_texts)
            try:
                encoded, page = await reader.read(request)
            except DATABASE_FAULTS as error:
                logger.warning("live stream waiting: database unavailable (%s)", type(error).__name__)
                await subscription.wait(POLL_SECONDS)
            else:
                position, has_news = page.last_sequence, page.has_more
                if encoded:
                    yield encoded
                    sent_at = time.monotonic()
        else:
            has_news = await subscription.wait(max(0.0, sent_at + HEARTBEAT_SECONDS - time.monotonic()))
        if time.monotonic() >= sent_at + HEARTBEAT_SECONDS and not subscription.is_over:
            yield HEARTBEAT
            sent_at = time.monotonic()


def frame(event: dict[str, Any]) -> bytes:
    data = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    return f"id: {event['sequence']}\nevent: {event['type']}\ndata: {data}\n\n".encode()


async def wait_for_change(order: LongPoll, subscription: Subscription, threads: Threads) -> None:
    """Return when the message's status has changed, the time is over, or the subscription has ended."""
    ends_at = time.monotonic() + order.seconds
    while not subscription.is_over:
        try:
            statuses = await threads.run(live_events.statuses, [order.message_id])
        except DATABASE_FAULTS as error:
            logger.warning("long poll waiting: database unavailable (%s)", type(error).__name__)
        else:
            if statuses.get(order.message_id) != order.unlike:
                return
        left = ends_at - time.monotonic()
        if left <= 0:
            return
        await subscription.wait(left)
