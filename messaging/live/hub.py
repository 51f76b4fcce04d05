"""Wakes this process's open streams: at once on a Redis message, otherwise by polling the database every 2 seconds.

One Redis subscription and one database poll serve all streams together.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar
from uuid import UUID

from django.utils import timezone
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError
from uuid_utils.compat import uuid7

from messaging.database_faults import DATABASE_FAULTS
from messaging.live.connection_limit import END, ConnectionLimiter
from messaging.live.pubsub import CHANNEL, owners_of
from messaging.live.threads import Threads
from messaging.services.webhooks import live_events
from messaging.services.webhooks.live_access import Subscriber, still_authorized
from providers.state import redis_client

logger = logging.getLogger(__name__)

T = TypeVar("T")

POLL_SECONDS = 2.0
CHECK_SECONDS = 5.0
RENEW_SECONDS = 4.0
RECONNECT_SECONDS = 1.0
CONNECTIONS = 8
# A connection that was just cut may not have released its slot yet.
ACQUIRE_PAUSES = (0.1, 0.3, 0.6)


class TooManyConnections(Exception):
    """The user has as many open connections as allowed."""


class Subscription:
    """One open stream, or a long poll that waits while the status of `message_id` is `unlike`."""

    def __init__(
        self, subscriber: Subscriber, *, owner_id: int | None, message_id: UUID | None = None, unlike: str | None = None
    ) -> None:
        self.subscriber = subscriber
        self.owner_id = owner_id
        self.message_id = message_id
        self.unlike = unlike
        self.slot = uuid7().hex
        self.is_over = False
        self._news = asyncio.Event()

    def wake(self) -> None:
        self._news.set()

    def end(self) -> None:
        """Close the stream: the server is stopping, access was revoked, or a newer stream took its slot."""
        self.is_over = True
        self._news.set()

    async def wait(self, seconds: float) -> bool:
        """Wait until woken or ended, at most `seconds`. Return False after a timeout."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        has_news = self._news.is_set()
        self._news.clear()
        return has_news


class Hub:
    """Belongs to one event loop. Its background tasks start with the first subscription; `close()` ends all."""

    def __init__(self, *, redis_url: str, per_user: int, threads: Threads) -> None:
        self._redis_url = redis_url
        self._per_user = per_user
        self._threads = threads
        self._subscriptions: set[Subscription] = set()
        self._newest: dict[int, int] = {}
        self._redis: Redis | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._background_tasks: set[asyncio.Task[object]] = set()
        self._unavailable: set[str] = set()
        self._is_closing = False

    @property
    def subscriptions(self) -> frozenset[Subscription]:
        return frozenset(self._subscriptions)

    @asynccontextmanager
    async def subscribe(
        self, subscription: Subscription, *, replace_oldest: bool = False
    ) -> AsyncIterator[Subscription]:
        """Wake the subscription on news while the block runs. Raises `TooManyConnections`."""
        self._start()
        acquiring = self._in_background(self._acquire(subscription, replace_oldest=replace_oldest))
        try:
            if not await asyncio.shield(acquiring):
                raise TooManyConnections
            self._subscriptions.add(subscription)
            if self._is_closing:
                subscription.end()
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            _ = self._in_background(self._release(subscription, acquiring))

    def end_all(self) -> None:
        """End every subscription, and every later one as it begins."""
        self._is_closing = True
        for subscription in self._subscriptions:
            subscription.end()

    async def close(self) -> None:
        self.end_all()
        while self._background_tasks:
            await asyncio.wait(self._background_tasks)
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops.clear()
        if self._redis is not None:
            await self._redis.aclose()
            self._redis = None

    # --- Slots --------------------------------------------------------------------------------------------------------

    async def _acquire(self, subscription: Subscription, *, replace_oldest: bool) -> bool:
        user_id = subscription.subscriber.user_id
        for pause in (*ACQUIRE_PAUSES, None):
            try:
                if not redis_client.is_available():  # noticed before, by the request's rate limit
                    raise redis_client.RedisUnavailable
                acquired = await self._limiter.acquire(user_id, subscription.slot, replace_oldest=replace_oldest)
            except (RedisError, OSError) as error:
                self._log_unavailable("Redis", error)
                # Without Redis, each process limits its own connections.
                return sum(other.subscriber.user_id == user_id for other in self._subscriptions) < self._per_user
            if acquired or pause is None:
                return acquired
            await asyncio.sleep(pause)
        return False

    async def _release(self, subscription: Subscription, acquiring: asyncio.Task[bool]) -> None:
        """Release the slot, even of a client that disconnected while it was being acquired."""
        if await acquiring and redis_client.is_available():
            with suppress(RedisError, OSError):  # its lease ends soon
                await self._limiter.release(subscription.subscriber.user_id, subscription.slot)

    async def _renew(self) -> bool:
        """Return False when there is nothing to renew: then Redis was not called, and may still be unavailable."""
        slots: dict[int, list[str]] = {}
        for subscription in self._subscriptions:
            slots.setdefault(subscription.subscriber.user_id, []).append(subscription.slot)
        for user_id, names in slots.items():
            await self._limiter.renew(user_id, names)
        return bool(slots)

    # --- News ---------------------------------------------------------------------------------------------------------

    async def _listen(self, redis: Redis) -> None:
        async with redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(CHANNEL)
            self._log_available("Redis")
            for subscription in self._subscriptions:
                subscription.wake()  # for messages published while disconnected
            while True:
                message = await channel.get_message(timeout=None)
                if message is not None:
                    self._handle(message["data"])

    def _handle(self, payload: bytes) -> None:
        if payload.startswith(END):
            slot = payload.removeprefix(END).decode()
            for subscription in self._subscriptions:
                if subscription.slot == slot:
                    subscription.end()
            return
        owners = owners_of(payload)
        for subscription in self._subscriptions:
            if subscription.owner_id in owners:
                subscription.wake()

    async def _poll(self) -> None:
        """Find events whose Redis message was lost, and status changes that are not events."""
        owners = {each.owner_id for each in self._subscriptions if each.owner_id is not None}
        newest = await self._threads.run(live_events.newest, owners) if owners else {}
        polls = {
            each: each.message_id
            for each in self._subscriptions
            if each.unlike is not None and each.message_id is not None
        }
        statuses = await self._threads.run(live_events.statuses, set(polls.values())) if polls else {}
        for subscription in self._subscriptions:
            owner_id = subscription.owner_id
            if owner_id is not None and newest.get(owner_id) != self._newest.get(owner_id):
                subscription.wake()
        for subscription, message_id in polls.items():
            if statuses.get(message_id) != subscription.unlike:
                subscription.wake()
        self._newest = newest

    async def _check_access(self) -> None:
        checked = {subscription.subscriber for subscription in self._subscriptions}
        allowed = await self._threads.run(still_authorized, checked, now=timezone.now()) if checked else set()
        for subscription in self._subscriptions:
            if subscription.subscriber in checked and subscription.subscriber not in allowed:
                subscription.end()

    # --- Background tasks ---------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._loops:
            return
        # Bounded, because all streams may reconnect at once.
        pool = BlockingConnectionPool.from_url(
            self._redis_url,
            max_connections=CONNECTIONS,
            timeout=5,
            socket_connect_timeout=1,
            socket_timeout=2,
            socket_keepalive=True,
            health_check_interval=10,
        )
        self._redis = redis = Redis.from_pool(pool)
        self._limiter = ConnectionLimiter(redis, limit=self._per_user, channel=CHANNEL)
        loops: tuple[tuple[Callable[[], Awaitable[bool | None]], float, str, tuple[type[Exception], ...]], ...] = (
            (self._poll, POLL_SECONDS, "the database", DATABASE_FAULTS),
            (self._check_access, CHECK_SECONDS, "the database", DATABASE_FAULTS),
            (self._renew, RENEW_SECONDS, "Redis", (RedisError, OSError)),
            (partial(self._listen, redis), RECONNECT_SECONDS, "Redis", (RedisError, OSError)),
        )
        self._loops = [asyncio.create_task(self._repeat(*each)) for each in loops]

    async def _repeat(
        self,
        function: Callable[[], Awaitable[bool | None]],
        seconds: float,
        source: str,
        failures: tuple[type[Exception], ...],
    ) -> None:
        while True:
            try:
                has_asked = await function()
            except failures as error:
                self._log_unavailable(source, error)
            except Exception as error:  # noqa: BLE001 (an unexpected fault must not end the loop: streams would hang)
                logger.error("live stream background task failed: %s", type(error).__name__)
            else:
                if has_asked is not False:
                    self._log_available(source)
            await asyncio.sleep(seconds)

    def _in_background(self, coroutine: Coroutine[None, None, T]) -> asyncio.Task[T]:
        """Run the coroutine to its end, even when the caller is canceled."""
        task = asyncio.create_task(coroutine)
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)
        return task

    def _log_unavailable(self, source: str, error: Exception) -> None:
        if source not in self._unavailable:
            self._unavailable.add(source)
            logger.warning("%s is unavailable (%s); live streams are waiting for it", source, type(error).__name__)

    def _log_available(self, source: str) -> None:
        if source in self._unavailable:
            self._unavailable.discard(source)
            logger.warning("%s is available again", source)
