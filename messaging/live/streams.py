"""What goes over the wire while a client follows: server-sent events, or one answer after a wait."""

import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from messaging.live.admission import LongPoll, Stream
from messaging.live.hub import DATABASE_AWAY, LOOK_SECONDS, Follower
from messaging.live.threads import Threads
from messaging.services import live_events

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
RETRY_MILLISECONDS = 2_000
HEARTBEAT = b":\n"


async def stream(order: Stream, follower: Follower, threads: Threads) -> AsyncIterator[bytes]:
    """Until the follower is over. What has not been read lies in the database: a slow reader costs one piece of the log."""
    position = order.after
    # The number alone, so that who is cut before the first event knows where to resume.
    yield f"retry: {RETRY_MILLISECONDS}\nid: {position}\n\n".encode()
    said_at = time.monotonic()
    while not follower.is_over:
        try:
            said, piece = await threads.run(_read, order, position)
        except DATABASE_AWAY as error:
            logger.warning("a live stream waits for the database (%s)", type(error).__name__)
            await follower.wait(LOOK_SECONDS)
        else:
            position = piece.upto
            if said:
                yield said
                said_at = time.monotonic()
            if piece.is_more:
                continue
            await follower.wait(max(0.0, said_at + HEARTBEAT_SECONDS - time.monotonic()))
        if time.monotonic() >= said_at + HEARTBEAT_SECONDS and not follower.is_over:
            yield HEARTBEAT
            said_at = time.monotonic()


def _read(order: Stream, position: int) -> tuple[bytes, live_events.Piece]:
    piece = live_events.read(owner_id=order.owner_id, message_id=order.message_id, after=position)
    return b"".join(map(frame, piece.events)), piece


def frame(event: dict[str, Any]) -> bytes:
    data = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    return f"id: {event['sequence']}\nevent: {event['type']}\ndata: {data}\n\n".encode()


async def wait_for_change(order: LongPoll, follower: Follower, threads: Threads) -> None:
    """Until the message's status is another one, or the time is over, or the follower is."""
    ends_at = time.monotonic() + order.seconds
    while not follower.is_over:
        try:
            statuses = await threads.run(live_events.statuses, [order.message_id])
        except DATABASE_AWAY as error:
            logger.warning("a long poll waits for the database (%s)", type(error).__name__)
        else:
            if statuses.get(order.message_id) != order.unlike:
                return
        left = ends_at - time.monotonic()
        if left <= 0:
            return
        await follower.wait(left)
