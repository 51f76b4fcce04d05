"""Cache and broker hold JSON, never code. Without Redis, the cache is in the process's memory."""

import os
import pickle
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.utils.translation import gettext_lazy
from kombu import Queue
from kombu.exceptions import ContentDisallowed

from config import cache as cache_module
from config.celery import app
from messaging.services.reporting import heartbeats
from providers.state import redis_client
from tests.factories import UserFactory

QUEUE = "tests-only"


poisoned: list[bool] = []


class Poison:
    """Unpickling it fills `poisoned`."""

    def __reduce__(self) -> tuple:
        return _poison, ()


def _poison() -> str:
    poisoned.append(True)
    return "poison"


@pytest.fixture(autouse=True)
def _unpoisoned() -> Iterator[None]:
    poisoned.clear()
    yield
    assert poisoned == []


def put(key: str, raw: bytes | str) -> None:
    redis_client.client().set(cache.make_key(key), raw)


@pytest.mark.parametrize(
    "value", [1, -7, True, None, 1.5, "text", "", [1, "a", None], {"a": [1.0]}, "\x00\U0001f600"], ids=repr
)
def test_a_value_comes_back_as_it_was(value: object) -> None:
    cache.set("key", value)

    found = cache.get("key", "missing")
    assert (found, type(found)) == (value, type(value))
    assert cache.get_many(["key", "other"]) == {"key": value}


def test_lazy_texts_and_dataclasses_become_plain() -> None:
    cache.set("key", [heartbeats.Worker("host:1", 2.0), gettext_lazy("Search")])

    assert cache.get("key") == [{"name": "host:1", "seconds_ago": 2.0}, "Search"]


def test_what_is_no_json_is_refused_when_it_is_written() -> None:
    with pytest.raises(TypeError):
        cache.set("key", object())

    assert cache.get("key") is None


@pytest.mark.parametrize(
    "raw",
    [pickle.dumps(Poison(), protocol) for protocol in (0, 2, 5)] + [b"\xff\xfe", b"nonsense", b"[" * 100_000, b""],
    ids=["pickle 0", "pickle 2", "pickle 5", "bytes", "text", "nested", "empty"],
)
def test_what_is_no_json_is_a_miss(raw: bytes) -> None:
    put("key", raw)

    assert cache.get("key", "missing") == "missing"
    assert cache.get_many(["key"]) == {}


@pytest.mark.django_db
def test_the_open_pages_run_nothing_that_lies_in_redis(client: Client) -> None:
    redis = redis_client.client()
    for key in (heartbeats.TICK_KEY, heartbeats.TICKS_KEY, cache.make_key("heartbeat:tick")):
        redis.set(key, pickle.dumps(Poison()))

    assert client.get("/healthz/system").status_code == 503
    assert client.get("/readyz").status_code == 200


def test_counters_count() -> None:
    assert cache.add("count", 1, 60) is True
    assert cache.add("count", 1, 60) is False

    assert [cache.incr("count"), cache.incr("count", 5), cache.decr("count")] == [2, 7, 6]
    assert cache.get("count") == 6
    with pytest.raises(ValueError, match="not found"):
        cache.incr("other")


def test_a_counter_that_was_overwritten_does_not_stop_a_request(caplog) -> None:
    put("count", pickle.dumps(Poison()))

    with pytest.raises(ValueError, match="not found"):  # which django-ratelimit expects
        cache.incr("count")

    assert caplog.messages == ["Redis refused a command of the cache (ResponseError)"]


def test_all_threads_and_requests_share_the_connections_of_the_process() -> None:
    assert cache._cache.get_client("key") is redis_client.client()


@pytest.mark.usefixtures("no_redis")
class TestWithoutRedis:
    def test_it_is_the_memory_of_the_process(self) -> None:
        cache.set_many({"a": 1, "b": "two"}, 60)

        assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": "two"}
        assert (cache.add("a", 5), cache.incr("a"), cache.get("a")) == (False, 2, 2)
        assert (cache.touch("a", 60), cache.has_key("a"), cache.delete("a"), cache.get("a")) == (True, True, True, None)

    def test_the_memory_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cache_module, "MAX_ENTRIES", 50)
        own = cache_module.Cache("redis://", {})

        for number in range(500):
            own.add(f"address:{number}", 1)

        assert len(own._in_memory._cache) <= 50
        assert own.get("address:499") == 1

    def test_it_is_not_carried_over(self, use_redis) -> None:
        url = os.environ["REDIS_URL"]
        cache.set("a", 1)

        use_redis(url)

        assert cache.get("a") is None


@pytest.mark.django_db
class TestSearchOfTheConsole:
    """The only part of a library that caches objects."""

    @pytest.fixture
    def browser(self, client: Client) -> Client:
        call_command("setup", verbosity=0)
        client.force_login(UserFactory(is_staff=True, is_superuser=True))
        return client

    def test_a_kept_result_looks_like_the_first(self, browser: Client) -> None:
        first, second = (browser.get("/admin/search/?s=messages") for _ in range(2))

        assert b"/admin/messaging/message/" in first.content
        assert second.content == first.content

    def test_it_needs_no_redis(self, browser: Client, no_redis) -> None:
        assert b"/admin/messaging/message/" in browser.get("/admin/search/?s=messages").content


def test_a_worker_refuses_a_pickled_task() -> None:
    assert set(app.conf.accept_content) == {"json"}
    with app.connection_for_write() as connection:
        queue = Queue(QUEUE, channel=connection, routing_key=QUEUE)
        queue.declare()
        with app.amqp.Producer(connection) as producer:
            producer.publish([Poison()], serializer="pickle", routing_key=QUEUE)
        message = queue.get(accept=app.amqp.TaskConsumer(connection, queues=[queue]).accept)

    with pytest.raises(ContentDisallowed):
        message.decode()


def test_what_is_published_is_json() -> None:
    names = ("task_serializer", "result_serializer", "event_serializer")

    assert {app.conf[name] for name in names} == {"json"}
    assert app.conf.result_backend is None
