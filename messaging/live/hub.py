"""Who waits in this process, and what wakes them: a word by Redis at once, the database at the latest after seconds.

One subscription, and one look into the database, for all of them together.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any
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

POLL_SECONDS = 2.0
CHECK_SECONDS = 5.0
RENEW_SECONDS = 4.0
LISTEN_AGAIN_SECONDS = 1.0
CONNECTIONS = 8
# A connection that was cut a moment ago may not have given its place back yet.
TAKE_PAUSES = (0.1, 0.3, 0.6)


class TooManyConnections(Exception):
    """The user has as many open as it may."""


class Subscription:
    """One open stream, or a long poll that waits until `message_id` is not `unlike`."""

    def __init__(
        self, guest: Subscriber, *, owner_id: int | None, message_id: UUID | None = None, unlike: str | None = None
    ) -> None:
        self.guest = guest
        self.owner_id = owner_id
        self.message_id = message_id
        self.unlike = unlike
        self.place = uuid7().hex
        self.is_over = False
        self._news = asyncio.Event()

    def wake(self) -> None:
        self._news.set()

    def end(self) -> None:
        """The server stops, the guest is no longer welcome, or another one has the place."""
        self.is_over = True
        self._news.set()

    async def wait(self, seconds: float) -> bool:
        """Until there may be news, or it is over, or, with False, the time is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        is_news = self._news.is_set()
        self._news.clear()
        return is_news


class Hub:
    """Belongs to one event loop and starts with its first follower. `close()` ends all of them."""

    def __init__(self, *, redis_url: str, per_user: int, threads: Threads) -> None:
        self._redis_url = redis_url
        self._per_user = per_user
        self._threads = threads
        self._subscriptions: set[Subscription] = set()
        self._newest: dict[int, int] = {}
        self._redis: Redis | None = None
        self._running: list[asyncio.Task] = []
        self._errands: set[asyncio.Task] = set()
        self._away: set[str] = set()
        self._is_closing = False

    @property
    def subscriptions(self) -> frozenset[Subscription]:
        return frozenset(self._subscriptions)

    @asynccontextmanager
    async def subscribe(self, follower: Subscription, *, replace_oldest: bool = False) -> AsyncIterator[Subscription]:
        """Within, the follower is woken. Raises `NoPlace`."""
        self._start()
        taking = self._send(self._take(follower, replace_oldest=replace_oldest))
        try:
            if not await asyncio.shield(taking):
                raise TooManyConnections
            self._subscriptions.add(follower)
            if self._is_closing:
                follower.end()
            yield follower
        finally:
            self._subscriptions.discard(follower)
            self._send(self._free(follower, taking))

    def end_all(self) -> None:
        """Whoever follows now or asks to from now on is at its end."""
        self._is_closing = True
        for follower in self._subscriptions:
            follower.end()

    async def close(self) -> None:
        self.end_all()
        while self._errands:
            await asyncio.wait(self._errands)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()
        if self._redis is not None:
            await self._redis.aclose()
            self._redis = None

    # --- Places -------------------------------------------------------------------------------------------------------

    async def _take(self, follower: Subscription, *, replace_oldest: bool) -> bool:
        user_id = follower.subscriber.user_id
        for pause in (*TAKE_PAUSES, None):
            try:
                if not redis_client.is_available():  # noticed before, by the request's rate limit
                    raise redis_client.RedisUnavailable
                taken = await self._places.take(user_id, follower.place, replace_oldest=replace_oldest)
            except (RedisError, OSError) as error:
                self._note_away("Redis", error)
                # Nobody counts for all processes now; each for itself is still a bound.
                return sum(other.subscriber.user_id == user_id for other in self._subscriptions) < self._per_user
            if taken or pause is None:
                return taken
            await asyncio.sleep(pause)
        return False

    async def _free(self, follower: Subscription, taking: asyncio.Task) -> None:
        """Also where the one who wanted it has gone before it had it."""
        if await taking and redis_client.is_available():
            with suppress(RedisError, OSError):  # its lease ends soon
                await self._places.free(follower.subscriber.user_id, follower.place)

    async def _renew(self) -> bool:
        """Whether Redis was asked: without a stream there is nothing to renew, and no answer that would say that it is back."""
        places: dict[int, list[str]] = {}
        for follower in self._subscriptions:
            places.setdefault(follower.subscriber.user_id, []).append(follower.place)
        for user_id, names in places.items():
            await self._places.renew(user_id, names)
        return bool(places)

    # --- News ---------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(CHANNEL)
            self._note_back("Redis")
            for follower in self._subscriptions:
                follower.wake()  # what was said while nobody listened
            while True:
                message = await channel.get_message(timeout=None)
                if message is not None:
                    self._heard(message["data"])

    def _heard(self, word: bytes) -> None:
        if word.startswith(END):
            place = word.removeprefix(END).decode()
            for follower in self._subscriptions:
                if follower.place == place:
                    follower.end()
            return
        owners = owners_of(word)
        for follower in self._subscriptions:
            if follower.owner_id in owners:
                follower.wake()

    async def _look(self) -> None:
        """What a lost word would have told, and the steps of messages that are no event."""
        owners = {follower.owner_id for follower in self._subscriptions} - {None}
        newest = await self._threads.run(live_events.newest, owners) if owners else {}
        polls = [follower for follower in self._subscriptions if follower.unlike is not None]
        ids = {follower.message_id for follower in polls}
        statuses = await self._threads.run(live_events.statuses, ids) if ids else {}
        for follower in self._subscriptions:
            if newest.get(follower.owner_id) != self._newest.get(follower.owner_id):
                follower.wake()
        for follower in polls:
            if statuses.get(follower.message_id) != follower.unlike:
                follower.wake()
        self._newest = newest

    async def _check(self) -> None:
        guests = {follower.subscriber for follower in self._subscriptions}
        welcome = await self._threads.run(still_authorized, guests, now=timezone.now()) if guests else set()
        for follower in self._subscriptions:
            if follower.subscriber in guests and follower.subscriber not in welcome:
                follower.end()

    # --- Running ------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._running:
            return
        # When all come back at once, they share a few connections.
        pool = BlockingConnectionPool.from_url(
            self._redis_url,
            max_connections=CONNECTIONS,
            timeout=5,
            socket_connect_timeout=1,
            socket_timeout=2,
            socket_keepalive=True,
            health_check_interval=10,
        )
        self._redis = Redis.from_pool(pool)
        self._places = ConnectionLimiter(self._redis, most=self._per_user, channel=CHANNEL)
        every = (
            (self._look, POLL_SECONDS, "the database", DATABASE_FAULTS),
            (self._check, CHECK_SECONDS, "the database", DATABASE_FAULTS),
            (self._renew, RENEW_SECONDS, "Redis", (RedisError, OSError)),
            (self._listen, LISTEN_AGAIN_SECONDS, "Redis", (RedisError, OSError)),
        )
        self._running = [asyncio.create_task(self._again_and_again(*each)) for each in every]

    async def _again_and_again(
        self,
        act: Callable[[], Awaitable[bool | None]],
        seconds: float,
        source: str,
        failures: tuple[type[Exception], ...],
    ) -> None:
        while True:
            try:
                has_asked = await act()
            except failures as error:
                self._note_away(source, error)
            except Exception as error:  # noqa: BLE001 (whatever it is, those who follow are woken again)
                logger.error("looking around for live streams broke off: %s", type(error).__name__)
            else:
                if has_asked is not False:
                    self._note_back(source)
            await asyncio.sleep(seconds)

    def _send(self, errand: Coroutine[Any, Any, Any]) -> asyncio.Task:
        """Carried out even when whoever sends it is canceled."""
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    def _note_away(self, source: str, error: Exception) -> None:
        if source not in self._away:
            self._away.add(source)
            logger.warning("%s is away (%s); who follows live waits for it", source, type(error).__name__)

    def _note_back(self, source: str) -> None:
        if source in self._away:
            self._away.discard(source)
            logger.warning("%s is back", source)
