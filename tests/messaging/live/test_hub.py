"""An open stream: heartbeats, events without a Redis message, released slots, revoked access."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client

from config.live import LiveHandler
from messaging.live import hub, streams
from messaging.live.hub import Hub, Subscription
from messaging.models import ApiToken
from messaging.services.webhooks import live_events
from messaging.services.webhooks.live_access import Subscriber
from tests.messaging.api.conftest import Api
from tests.messaging.live.serving import Connection, eventually, happen, served
from tests.plugin import ENVIRONMENT

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls and checks run at once instead of every few seconds."""
    monkeypatch.setattr(hub, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(hub, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(hub, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(hub, "RECONNECT_SECONDS", 0.05)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is not polled: only a Redis message wakes a stream."""
    monkeypatch.setattr(hub, "POLL_SECONDS", 3600.0)


# --- News -------------------------------------------------------------------------------------------------------------


def test_a_redis_message_wakes_a_stream(api: Api, slow) -> None:
    async def scenario(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await asyncio.sleep(0.2)  # the first poll, and the subscription
            await handler.threads.run(happen, api.user)
            await connection.events(1)

    served(scenario)


def test_a_lost_redis_message_delays_events_and_loses_none(api: Api, quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.messaging.live.serving.pubsub.publish", lambda _owners: None)

    async def scenario(handler: LiveHandler) -> list[str]:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            for count in (1, 2, 3):
                await handler.threads.run(happen, api.user)
                await connection.events(count)
            return [block["id"] for block in connection.data_blocks]

    numbers = served(scenario)

    assert len(set(numbers)) == 3
    assert numbers == sorted(numbers, key=int)


def test_streams_work_and_are_limited_without_redis(api: Api, quick, settings, caplog) -> None:
    settings.LIVE_STREAMS_PER_USER = 1

    async def scenario(handler: LiveHandler) -> int:
        handler.hub._redis_url = "redis://127.0.0.1:9/0"
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await handler.threads.run(happen, api.user)
            await connection.events(1)
            async with Connection(handler, "events/", token=api.token) as second:
                refused = second.status
        await asyncio.sleep(0.2)  # without a stream, nothing is renewed, and Redis is not called
        return refused

    assert served(scenario) == 429
    assert [r.getMessage() for r in caplog.records if r.name == "messaging.live.hub"] == [
        "Redis is unavailable (ConnectionError); live streams are waiting for it"
    ]


def test_a_stream_waits_for_an_unavailable_database(api: Api, quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "POLL_SECONDS", 0.05)
    read, failures = live_events.read, [OperationalError("host=10.0.0.5")] * 2

    def fail_at_first(**given: Any) -> live_events.EventPage:
        if failures:
            raise failures.pop()
        return read(**given)

    monkeypatch.setattr(live_events, "read", fail_at_first)
    numbers = happen(api.user)

    async def scenario(handler: LiveHandler) -> list[dict]:
        async with Connection(handler, "events/", token=api.token, Last_Event_ID="0") as connection:
            return await connection.events(1)

    assert [event["sequence"] for event in served(scenario)] == numbers
    assert failures == []


def test_polling_continues_after_a_failure(api: Api, quick, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr("tests.messaging.live.serving.pubsub.publish", lambda _owners: None)
    newest, failures = live_events.newest, [OperationalError("x"), ZeroDivisionError("x")]

    def fail_at_first(owners: Any) -> dict[int, int]:
        if failures:
            raise failures.pop(0)
        return newest(owners)

    monkeypatch.setattr(live_events, "newest", fail_at_first)

    async def scenario(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await eventually(lambda: not failures)
            await handler.threads.run(happen, api.user)
            await connection.events(1)

    served(scenario)

    assert {r.getMessage() for r in caplog.records if r.name == "messaging.live.hub"} == {
        "the database is unavailable (OperationalError); live streams are waiting for it",
        "live stream background task failed: ZeroDivisionError",
        "the database is available again",
    }


def cut_own_subscriptions() -> None:
    """Cut the subscriptions in this process's Redis database; other test processes may use the same server."""
    redis = ENVIRONMENT._client
    own = str(redis.connection_pool.connection_kwargs.get("db", 0))
    cut = [redis.client_kill_filter(_id=each["id"]) for each in redis.client_list(_type="pubsub") if each["db"] == own]
    assert cut


def test_a_broken_redis_subscription_is_renewed(api: Api, slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "RECONNECT_SECONDS", 0.05)

    async def scenario(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await asyncio.sleep(0.2)
            await handler.threads.run(cut_own_subscriptions)
            await handler.threads.run(happen, api.user)
            await connection.events(1)

    served(scenario)


def test_a_users_streams_share_one_query(api: Api, slow, monkeypatch: pytest.MonkeyPatch) -> None:
    read, reads = live_events.read, []

    def counted(**given: Any) -> live_events.EventPage:
        reads.append(given)
        return read(**given)

    monkeypatch.setattr(live_events, "read", counted)

    async def scenario(handler: LiveHandler) -> list[list[dict]]:
        async with AsyncExitStack() as open_:
            streams_ = [
                await open_.enter_async_context(Connection(handler, "events/", token=api.token)) for _ in range(10)
            ]
            await asyncio.gather(*(each.until(lambda each=each: bool(each.blocks)) for each in streams_))
            await asyncio.sleep(0.3)
            reads.clear()
            await handler.threads.run(happen, api.user)
            return await asyncio.gather(*(each.events(1) for each in streams_))

    received = served(scenario)

    assert len(received) == 10
    assert all(events == received[0] for events in received)
    assert len(reads) < 5


def test_the_event_log_is_not_read_while_nothing_happens(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    read, reads = live_events.read, []

    def counted(**given: Any) -> live_events.EventPage:
        reads.append(given)
        return read(**given)

    monkeypatch.setattr(live_events, "read", counted)

    async def scenario(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: connection.heartbeats >= 10)

    served(scenario)

    assert len(reads) <= 3  # at the start, at the first poll, and when the subscription begins


# --- While nothing happens --------------------------------------------------------------------------------------------


def test_heartbeat_comments_are_sent(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.1)

    async def scenario(handler: LiveHandler) -> Connection:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: connection.heartbeats >= 3)
            await handler.threads.run(happen, api.user)
            await connection.events(1)
            return connection

    assert served(scenario).body.startswith(b"retry: 2000\nid: ")


def test_events_of_other_messages_do_not_delay_heartbeats(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of one message is woken by every event of its owner."""
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.3)
    [first] = happen(api.user)
    message = live_events.read(owner_id=api.user.pk, message_id=None, after=0).events[0]["data"]["id"]
    stop = asyncio.Event()

    async def wake_often(handler: LiveHandler) -> None:
        while not stop.is_set():
            for subscription in handler.hub.subscriptions:
                subscription.wake()
            await asyncio.sleep(0.02)

    async def scenario(handler: LiveHandler) -> None:
        path = f"messages/{message}/"
        async with Connection(handler, path, token=api.token, Last_Event_ID=str(first)) as connection:
            waking = asyncio.create_task(wake_often(handler))
            await connection.until(lambda: connection.heartbeats >= 2)
            stop.set()
            await waking

    served(scenario)


def test_a_waiting_stream_holds_neither_a_thread_nor_a_connection(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 streams share a few threads, and have no database connection open while they wait."""
    monkeypatch.setattr(hub, "POLL_SECONDS", 3600.0)
    monkeypatch.setattr(hub, "CHECK_SECONDS", 3600.0)
    opened: list[BaseDatabaseWrapper] = []
    connect = BaseDatabaseWrapper.connect

    def remember(database: BaseDatabaseWrapper) -> None:
        opened.append(database)
        connect(database)

    monkeypatch.setattr(BaseDatabaseWrapper, "connect", remember)
    before = threading.active_count()

    async def scenario(handler: LiveHandler) -> int:
        streams_ = [Connection(handler, "events/", token=api.token) for _ in range(100)]
        await asyncio.gather(*(each.__aenter__() for each in streams_))
        await asyncio.gather(*(each.until(lambda each=each: bool(each.blocks)) for each in streams_))
        await eventually(lambda: not any(database.connection is not None for database in opened))
        threads = threading.active_count() - before
        await asyncio.gather(*(each.__aexit__() for each in streams_))
        return threads

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("django.conf.settings.LIVE_STREAMS_PER_USER", 200)
        threads = served(scenario)

    assert opened
    assert threads <= 9  # the pool, and asyncio's thread for name resolution


# --- Slots ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def one_slot(settings) -> None:
    settings.LIVE_STREAMS_PER_USER = 1


def test_a_cut_connection_releases_its_slot_at_once(api: Api, one_slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before its lease ends."""
    monkeypatch.setattr(hub, "ACQUIRE_PAUSES", (0.1,) * 100)

    async def scenario(handler: LiveHandler) -> None:
        for _ in range(10):
            connection = await Connection(handler, "events/", token=api.token).__aenter__()
            assert connection.status == 200
            connection.hang_up()  # without waiting for the server to notice

    served(scenario)


def test_a_connection_cut_while_it_acquires_a_slot_leaves_none_behind(
    api: Api, one_slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ACQUIRE_PAUSES", (0.1,) * 100)

    async def scenario(handler: LiveHandler) -> None:
        for attempt in range(10):
            connection = Connection(handler, "events/", token=api.token)
            opening = asyncio.create_task(connection.__aenter__())
            await asyncio.sleep(0.003 * attempt)
            connection.hang_up()
            await asyncio.gather(opening, return_exceptions=True)
            await asyncio.wait_for(connection.task, 10)
        async with Connection(handler, "events/", token=api.token) as last:
            assert last.status == 200

    served(scenario)


def test_a_dead_process_loses_its_slots_when_their_leases_end(
    api: Api, one_slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.live.connection_limit.LEASE_SECONDS", 0.5)

    async def scenario(handler: LiveHandler) -> int:
        subscriber = Subscriber(api.user.pk)
        dead = Hub(redis_url=ENVIRONMENT.redis_url, per_user=1, threads=handler.threads)
        monkeypatch.setattr(dead, "_renew", _nothing)
        monkeypatch.setattr(dead, "_release", _nothing)
        async with (
            dead.subscribe(Subscription(subscriber, owner_id=api.user.pk)),
            Connection(handler, "events/", token=api.token) as connection,
        ):
            status = connection.status
        await dead.close()
        return status

    assert served(scenario) == 200  # the pauses before a refusal outlast the rest of the lease


async def _nothing(*_: object, **__: object) -> None:
    pass


def test_open_connections_keep_their_slots(api: Api, one_slot, quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.live.connection_limit.LEASE_SECONDS", 2.0)

    async def scenario(handler: LiveHandler) -> int:
        async with Connection(handler, "events/", token=api.token):
            await asyncio.sleep(2.5)
            async with Connection(handler, "events/", token=api.token) as second:
                return second.status

    assert served(scenario) == 429


def test_slots_are_restored_after_redis_lost_its_data(api: Api, one_slot, quick) -> None:
    async def scenario(handler: LiveHandler) -> int:
        async with Connection(handler, "events/", token=api.token) as first:
            await handler.threads.run(ENVIRONMENT.empty_redis)
            await eventually(lambda: bool(ENVIRONMENT._client.keys("switchboard:live:places:*")))
            async with Connection(handler, "events/", token=api.token) as second:
                assert not first.is_over
                return second.status

    assert served(scenario) == 429


# --- Access -----------------------------------------------------------------------------------------------------------


def expire(user: User) -> None:
    ApiToken.objects.filter(user=user).update(expiry="2020-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "revoke",
    [
        pytest.param(lambda user: ApiToken.objects.filter(user=user).delete(), id="token revoked"),
        pytest.param(expire, id="token expired"),
        pytest.param(lambda user: User.objects.filter(pk=user.pk).update(is_active=False), id="user disabled"),
        pytest.param(lambda user: user.groups.clear(), id="permission removed"),
        pytest.param(lambda user: Group.objects.all().delete(), id="group deleted"),
    ],
)
def test_a_stream_ends_when_access_is_revoked(api: Api, quick, stranger: Api, revoke: Callable) -> None:
    async def scenario(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await asyncio.sleep(0.3)
            assert not connection.is_over
            await handler.threads.run(revoke, api.user)
            await eventually(lambda: connection.is_over)

    served(scenario)


def test_other_streams_stay_open_when_one_is_revoked(api: Api, stranger: Api, quick) -> None:
    async def scenario(handler: LiveHandler) -> None:
        async with (
            Connection(handler, "events/", token=api.token) as first,
            Connection(handler, "events/", token=stranger.token) as second,
        ):
            await handler.threads.run(lambda: ApiToken.objects.filter(user=api.user).delete())
            await eventually(lambda: first.is_over)
            await asyncio.sleep(0.3)
            assert not second.is_over

    served(scenario)


def test_a_session_that_ends_ends_its_stream(api: Api, quick) -> None:
    client = Client()
    client.force_login(api.user)
    cookie = f"sessionid={client.cookies['sessionid'].value}"

    async def scenario(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", Cookie=cookie) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await asyncio.sleep(0.3)
            assert not connection.is_over
            await handler.threads.run(client.logout)
            await eventually(lambda: connection.is_over)

    served(scenario)


def test_a_former_staff_user_loses_other_owners_streams(api: Api, staff: Api, quick) -> None:
    happen(api.user)
    message = live_events.read(owner_id=api.user.pk, message_id=None, after=0).events[0]["data"]["id"]

    async def scenario(handler: LiveHandler) -> None:
        async with (
            Connection(handler, f"messages/{message}/", token=staff.token) as anothers,
            Connection(handler, "events/", token=staff.token) as own,
        ):
            await handler.threads.run(lambda: User.objects.filter(pk=staff.user.pk).update(is_staff=False))
            await eventually(lambda: anothers.is_over)
            assert not own.is_over

    served(scenario)


# --- Slow clients, and shutdown --------------------------------------------------------------------------------------


def test_a_client_that_does_not_read_is_disconnected_and_can_resume(api: Api) -> None:
    numbers = happen(api.user, 5)

    async def scenario(handler: LiveHandler) -> list[dict]:
        connection = await Connection(handler, "events/", token=api.token).__aenter__()
        await connection.until(lambda: bool(connection.blocks))
        connection.is_slow = True
        await handler.threads.run(happen, api.user)
        await eventually(lambda: connection.is_over)
        assert connection.task.exception() is None
        assert not handler.hub.subscriptions
        async with Connection(handler, "events/", token=api.token, Last_Event_ID=str(numbers[-1])) as resumed:
            return await resumed.events(1)

    assert len(served(scenario, write_seconds=2.0)) == 1


def test_one_page_of_the_log_at_a_time_waits_for_a_slow_client(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    read, pages = live_events.read, []

    def counted(**given: Any) -> live_events.EventPage:
        pages.append(read(**given))
        return pages[-1]

    monkeypatch.setattr(live_events, "read", counted)
    happen(api.user, 350)

    async def scenario(handler: LiveHandler) -> None:
        connection = Connection(handler, "events/", token=api.token, Last_Event_ID="0")
        connection.is_slow = True
        connection.task = asyncio.create_task(handler(connection._scope, connection._receive, connection._send))
        await eventually(lambda: bool(handler.hub.subscriptions))
        await asyncio.sleep(0.5)
        assert len(pages) <= 1
        connection.is_slow = False
        connection.hang_up()
        await connection.task

    served(scenario)
    assert all(len(page.events) <= 100 for page in pages)


def test_streams_and_long_polls_end_when_the_server_is_told_to_stop(api: Api) -> None:
    async def scenario(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            handler.hub.end_all()
            await eventually(lambda: connection.is_over)
        async with Connection(handler, "events/", token=api.token) as late:
            await eventually(lambda: late.is_over)
            assert late.status == 200

    served(scenario)
