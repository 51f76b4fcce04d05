"""What holds while a stream is open: heartbeats, news without the word, places given back, guests shown out."""

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
    """Looks and checks that would come within seconds come at once."""
    monkeypatch.setattr(hub, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(hub, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(hub, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(hub, "LISTEN_AGAIN_SECONDS", 0.05)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is not looked at by itself: only the word by Redis wakes anybody."""
    monkeypatch.setattr(hub, "POLL_SECONDS", 3600.0)


# --- News -------------------------------------------------------------------------------------------------------------


def test_the_word_by_redis_wakes(api: Api, slow) -> None:
    async def act(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await asyncio.sleep(0.2)  # the first look, and the subscription
            await handler.threads.run(happen, api.user)
            await connection.events(1)

    served(act)


def test_a_lost_word_costs_seconds_and_no_event(api: Api, quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.messaging.live.serving.pubsub.publish", lambda _owners: None)

    async def act(handler: LiveHandler) -> list[str]:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            for count in (1, 2, 3):
                await handler.threads.run(happen, api.user)
                await connection.events(count)
            return [block["id"] for block in connection.told]

    numbers = served(act)

    assert len(set(numbers)) == 3
    assert numbers == sorted(numbers, key=int)


def test_without_redis_everything_goes_on(api: Api, quick, settings, caplog) -> None:
    settings.LIVE_STREAMS_PER_USER = 1

    async def act(handler: LiveHandler) -> int:
        handler.hub._redis_url = "redis://127.0.0.1:9/0"
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await handler.threads.run(happen, api.user)
            await connection.events(1)
            async with Connection(handler, "events/", token=api.token) as second:
                refused = second.status
        await asyncio.sleep(0.2)  # without a stream there is nothing to renew, which says nothing about Redis
        return refused

    assert served(act) == 429
    assert [r.getMessage() for r in caplog.records if r.name == "messaging.live.hub"] == [
        "Redis is away (ConnectionError); who follows live waits for it"
    ]


def test_a_database_that_is_away_is_waited_for(api: Api, quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "POLL_SECONDS", 0.05)
    read, failures = live_events.read, [OperationalError("host=10.0.0.5")] * 2

    def fail_at_first(**given: Any) -> live_events.EventPage:
        if failures:
            raise failures.pop()
        return read(**given)

    monkeypatch.setattr(live_events, "read", fail_at_first)
    numbers = happen(api.user)

    async def act(handler: LiveHandler) -> list[dict]:
        async with Connection(handler, "events/", token=api.token, Last_Event_ID="0") as connection:
            return await connection.events(1)

    assert [event["sequence"] for event in served(act)] == numbers
    assert failures == []


def test_a_look_that_fails_is_not_the_last(api: Api, quick, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr("tests.messaging.live.serving.pubsub.publish", lambda _owners: None)
    newest, failures = live_events.newest, [OperationalError("x"), ZeroDivisionError("x")]

    def fail_at_first(owners: Any) -> dict[int, int]:
        if failures:
            raise failures.pop(0)
        return newest(owners)

    monkeypatch.setattr(live_events, "newest", fail_at_first)

    async def act(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await eventually(lambda: not failures)
            await handler.threads.run(happen, api.user)
            await connection.events(1)

    served(act)

    assert {r.getMessage() for r in caplog.records if r.name == "messaging.live.hub"} == {
        "the database is away (OperationalError); who follows live waits for it",
        "looking around for live streams broke off: ZeroDivisionError",
        "the database is back",
    }


def cut_own_subscriptions() -> None:
    """Of this process's Redis database: on a server that was given, other processes of tests have subscriptions, too."""
    redis = ENVIRONMENT._client
    own = str(redis.connection_pool.connection_kwargs.get("db", 0))
    cut = [redis.client_kill_filter(_id=each["id"]) for each in redis.client_list(_type="pubsub") if each["db"] == own]
    assert cut


def test_a_subscription_that_breaks_is_made_again(api: Api, slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "LISTEN_AGAIN_SECONDS", 0.05)

    async def act(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await asyncio.sleep(0.2)
            await handler.threads.run(cut_own_subscriptions)
            await handler.threads.run(happen, api.user)
            await connection.events(1)

    served(act)


def test_the_streams_of_a_user_share_what_they_read(api: Api, slow, monkeypatch: pytest.MonkeyPatch) -> None:
    read, reads = live_events.read, []

    def counted(**given: Any) -> live_events.EventPage:
        reads.append(given)
        return read(**given)

    monkeypatch.setattr(live_events, "read", counted)

    async def act(handler: LiveHandler) -> list[list[dict]]:
        async with AsyncExitStack() as open_:
            streams_ = [
                await open_.enter_async_context(Connection(handler, "events/", token=api.token)) for _ in range(10)
            ]
            await asyncio.gather(*(each.until(lambda each=each: bool(each.blocks)) for each in streams_))
            await asyncio.sleep(0.3)
            reads.clear()
            await handler.threads.run(happen, api.user)
            return await asyncio.gather(*(each.events(1) for each in streams_))

    told = served(act)

    assert len(told) == 10
    assert all(events == told[0] for events in told)
    assert len(reads) < 5


def test_nothing_is_read_while_nothing_happens(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    read, reads = live_events.read, []

    def counted(**given: Any) -> live_events.EventPage:
        reads.append(given)
        return read(**given)

    monkeypatch.setattr(live_events, "read", counted)

    async def act(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: connection.heartbeats >= 10)

    served(act)

    assert len(reads) <= 3  # at the start, at the first look, and when the subscription stands


# --- While nothing happens --------------------------------------------------------------------------------------------


def test_a_comment_shows_that_the_connection_lives(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.1)

    async def act(handler: LiveHandler) -> Connection:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: connection.heartbeats >= 3)
            await handler.threads.run(happen, api.user)
            await connection.events(1)
            return connection

    assert served(act).body.startswith(b"retry: 2000\nid: ")


def test_news_for_others_do_not_keep_the_heartbeat_away(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of one message is woken by all that happens to its owner."""
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.3)
    [first] = happen(api.user)
    message = live_events.read(owner_id=api.user.pk, message_id=None, after=0).events[0]["data"]["id"]
    stop = asyncio.Event()

    async def wake_often(handler: LiveHandler) -> None:
        while not stop.is_set():
            for follower in handler.hub.subscriptions:
                follower.wake()
            await asyncio.sleep(0.02)

    async def act(handler: LiveHandler) -> None:
        path = f"messages/{message}/"
        async with Connection(handler, path, token=api.token, Last_Event_ID=str(first)) as connection:
            waking = asyncio.create_task(wake_often(handler))
            await connection.until(lambda: connection.heartbeats >= 2)
            stop.set()
            await waking

    served(act)


def test_who_waits_holds_neither_a_thread_nor_a_connection(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred streams in the threads of a few, and no connection of the database is open once they wait."""
    monkeypatch.setattr(hub, "POLL_SECONDS", 3600.0)
    monkeypatch.setattr(hub, "CHECK_SECONDS", 3600.0)
    opened: list[BaseDatabaseWrapper] = []
    connect = BaseDatabaseWrapper.connect

    def remember(database: BaseDatabaseWrapper) -> None:
        opened.append(database)
        connect(database)

    monkeypatch.setattr(BaseDatabaseWrapper, "connect", remember)
    before = threading.active_count()

    async def act(handler: LiveHandler) -> int:
        streams_ = [Connection(handler, "events/", token=api.token) for _ in range(100)]
        await asyncio.gather(*(each.__aenter__() for each in streams_))
        await asyncio.gather(*(each.until(lambda each=each: bool(each.blocks)) for each in streams_))
        await eventually(lambda: not any(database.connection is not None for database in opened))
        threads = threading.active_count() - before
        await asyncio.gather(*(each.__aexit__() for each in streams_))
        return threads

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("django.conf.settings.LIVE_STREAMS_PER_USER", 200)
        threads = served(act)

    assert opened
    assert threads <= 9  # the pool, and the one in which asyncio looks names up


# --- Places -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def one_place(settings) -> None:
    settings.LIVE_STREAMS_PER_USER = 1


def test_a_connection_that_is_cut_gives_its_place_back_at_once(
    api: Api, one_place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before its lease ends."""
    monkeypatch.setattr(hub, "TAKE_PAUSES", (0.1,) * 100)

    async def act(handler: LiveHandler) -> None:
        for _ in range(10):
            connection = await Connection(handler, "events/", token=api.token).__aenter__()
            assert connection.status == 200
            connection.hang_up()  # and does not wait until the server has noticed

    served(act)


def test_one_that_is_cut_before_it_has_a_place_leaves_none_behind(
    api: Api, one_place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "TAKE_PAUSES", (0.1,) * 100)

    async def act(handler: LiveHandler) -> None:
        for moment in range(10):
            connection = Connection(handler, "events/", token=api.token)
            opening = asyncio.create_task(connection.__aenter__())
            await asyncio.sleep(0.003 * moment)
            connection.hang_up()
            await asyncio.gather(opening, return_exceptions=True)
            await asyncio.wait_for(connection.task, 10)
        async with Connection(handler, "events/", token=api.token) as last:
            assert last.status == 200

    served(act)


def test_the_places_of_a_process_that_died_are_free_when_their_leases_end(
    api: Api, one_place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.live.connection_limit.LEASE_SECONDS", 0.5)

    async def act(handler: LiveHandler) -> int:
        guest = Subscriber(api.user.pk)
        dead = Hub(redis_url=ENVIRONMENT.redis_url, per_user=1, threads=handler.threads)
        monkeypatch.setattr(dead, "_renew", _nothing)
        monkeypatch.setattr(dead, "_free", _nothing)
        async with (
            dead.subscribe(Subscription(guest, owner_id=api.user.pk)),
            Connection(handler, "events/", token=api.token) as connection,
        ):
            status = connection.status
        await dead.close()
        return status

    assert served(act) == 200  # the pauses before a refusal are longer than what is left of the lease


async def _nothing(*_: object, **__: object) -> None:
    pass


def test_the_places_of_those_who_stay_are_kept(api: Api, one_place, quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.live.connection_limit.LEASE_SECONDS", 2.0)

    async def act(handler: LiveHandler) -> int:
        async with Connection(handler, "events/", token=api.token):
            await asyncio.sleep(2.5)
            async with Connection(handler, "events/", token=api.token) as second:
                return second.status

    assert served(act) == 429


def test_a_redis_that_has_forgotten_everything_is_told_again(api: Api, one_place, quick) -> None:
    async def act(handler: LiveHandler) -> int:
        async with Connection(handler, "events/", token=api.token) as first:
            await handler.threads.run(ENVIRONMENT.empty_redis)
            await eventually(lambda: bool(ENVIRONMENT._client.keys("switchboard:live:places:*")))
            async with Connection(handler, "events/", token=api.token) as second:
                assert not first.is_over
                return second.status

    assert served(act) == 429


# --- Guests -----------------------------------------------------------------------------------------------------------


def expire(user: User) -> None:
    ApiToken.objects.filter(user=user).update(expiry="2020-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "shown_out",
    [
        pytest.param(lambda user: ApiToken.objects.filter(user=user).delete(), id="token revoked"),
        pytest.param(expire, id="token expired"),
        pytest.param(lambda user: User.objects.filter(pk=user.pk).update(is_active=False), id="user disabled"),
        pytest.param(lambda user: user.groups.clear(), id="permission taken"),
        pytest.param(lambda user: Group.objects.all().delete(), id="group gone"),
    ],
)
def test_who_is_no_longer_welcome_is_shown_out(api: Api, quick, stranger: Api, shown_out: Callable) -> None:
    async def act(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await asyncio.sleep(0.3)
            assert not connection.is_over
            await handler.threads.run(shown_out, api.user)
            await eventually(lambda: connection.is_over)

    served(act)


def test_others_stay_when_one_is_shown_out(api: Api, stranger: Api, quick) -> None:
    async def act(handler: LiveHandler) -> None:
        async with (
            Connection(handler, "events/", token=api.token) as first,
            Connection(handler, "events/", token=stranger.token) as second,
        ):
            await handler.threads.run(lambda: ApiToken.objects.filter(user=api.user).delete())
            await eventually(lambda: first.is_over)
            await asyncio.sleep(0.3)
            assert not second.is_over

    served(act)


def test_a_session_that_ends_ends_its_stream(api: Api, quick) -> None:
    client = Client()
    client.force_login(api.user)
    cookie = f"sessionid={client.cookies['sessionid'].value}"

    async def act(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", Cookie=cookie) as connection:
            await connection.until(lambda: bool(connection.blocks))
            await asyncio.sleep(0.3)
            assert not connection.is_over
            await handler.threads.run(client.logout)
            await eventually(lambda: connection.is_over)

    served(act)


def test_who_is_no_longer_staff_does_not_follow_what_is_anothers(api: Api, staff: Api, quick) -> None:
    happen(api.user)
    message = live_events.read(owner_id=api.user.pk, message_id=None, after=0).events[0]["data"]["id"]

    async def act(handler: LiveHandler) -> None:
        async with (
            Connection(handler, f"messages/{message}/", token=staff.token) as anothers,
            Connection(handler, "events/", token=staff.token) as own,
        ):
            await handler.threads.run(lambda: User.objects.filter(pk=staff.user.pk).update(is_staff=False))
            await eventually(lambda: anothers.is_over)
            assert not own.is_over

    served(act)


# --- Readers that do not read, and the end ----------------------------------------------------------------------------


def test_a_reader_that_takes_nothing_is_cut_and_can_resume(api: Api) -> None:
    numbers = happen(api.user, 5)

    async def act(handler: LiveHandler) -> list[dict]:
        connection = await Connection(handler, "events/", token=api.token).__aenter__()
        await connection.until(lambda: bool(connection.blocks))
        connection.is_slow = True
        await handler.threads.run(happen, api.user)
        await eventually(lambda: connection.is_over)
        assert connection.task.exception() is None
        assert not handler.hub.subscriptions
        async with Connection(handler, "events/", token=api.token, Last_Event_ID=str(numbers[-1])) as resumed:
            return await resumed.events(1)

    assert len(served(act, write_seconds=2.0)) == 1


def test_a_piece_of_the_log_at_a_time_waits_for_its_reader(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    read, pages = live_events.read, []

    def counted(**given: Any) -> live_events.EventPage:
        pages.append(read(**given))
        return pages[-1]

    monkeypatch.setattr(live_events, "read", counted)
    happen(api.user, 350)

    async def act(handler: LiveHandler) -> None:
        connection = Connection(handler, "events/", token=api.token, Last_Event_ID="0")
        connection.is_slow = True
        connection.task = asyncio.create_task(handler(connection._scope, connection._receive, connection._send))
        await eventually(lambda: bool(handler.hub.subscriptions))
        await asyncio.sleep(0.5)
        assert len(pages) <= 1
        connection.is_slow = False
        connection.hang_up()
        await connection.task

    served(act)
    assert all(len(page.events) <= 100 for page in pages)


def test_streams_and_long_polls_end_when_the_server_is_told_to_stop(api: Api) -> None:
    async def act(handler: LiveHandler) -> None:
        async with Connection(handler, "events/", token=api.token) as connection:
            await connection.until(lambda: bool(connection.blocks))
            handler.hub.end_all()
            await eventually(lambda: connection.is_over)
        async with Connection(handler, "events/", token=api.token) as late:
            await eventually(lambda: late.is_over)
            assert late.status == 200

    served(act)
