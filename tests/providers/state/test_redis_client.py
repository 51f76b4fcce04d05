"""A process that finds Redis not answering stops using it until it answers again."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from providers.state import redis_client
from providers.state.redis_client import Availability, RedisUnavailable
from tests.redis_line import SECONDS, Line, line, server

__all__ = ["line", "server"]

THREADS = 4


def ping() -> str:
    try:
        with redis_client.exchange() as client:
            client.ping()
    except redis_client.UNREACHABLE as error:
        return type(error).__name__
    return "answered"


def test_a_server_that_hangs_is_asked_once(line: Line) -> None:
    assert ping() == "answered"
    line.server.hang()

    assert [ping() for _ in range(20)] == ["TimeoutError"] + ["RedisUnavailable"] * 19
    assert line.connections == 1


def test_while_it_hangs_no_thread_waits_for_another(line: Line) -> None:
    line.server.hang()
    together = threading.Barrier(THREADS)

    def ask() -> list[str]:
        together.wait(SECONDS)
        return [ping() for _ in range(20)]

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [pool.submit(ask) for _ in range(THREADS)]
    said = [answer for each in answers for answer in each.result()]

    assert said.count("TimeoutError") <= THREADS
    assert said.count("RedisUnavailable") >= THREADS * 19
    assert line.connections <= THREADS


def test_redis_is_used_again_when_it_answers(line: Line, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr(redis_client, "CHECK_INTERVAL", 0.05)
    line.server.hang()
    ping()
    assert ping() == "RedisUnavailable"

    line.server.go_on()
    line.wait_until_available()

    assert ping() == "answered"
    lost, back = caplog.messages
    assert lost.startswith("Redis unavailable (TimeoutError): ")
    assert back == "Redis is available again"


def test_connections_from_before_the_loss_are_not_used_afterwards(
    line: Line, monkeypatch: pytest.MonkeyPatch, use_redis
) -> None:
    monkeypatch.setattr(redis_client, "CHECK_INTERVAL", 0.05)
    with redis_client.exchange() as before, redis_client.exchange():
        ping()  # two of them lie in the pool
    line.server.hang()
    ping()
    line.server.go_on()
    line.wait_until_available()

    with redis_client.exchange() as afterwards:
        assert afterwards is not before


class Playing:
    """An availability whose server does what the test says."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.losses = 0
        self.availability = Availability(ping=self._ping, on_loss=self._lose)

    def exchange(self, error: Exception | None = None) -> None:
        with self.availability.exchange():
            if error:
                raise error

    def _ping(self) -> None:
        if not self.answers.is_set():
            raise RedisConnectionError

    def _lose(self) -> None:
        self.losses += 1


@pytest.fixture
def playing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Playing]:
    monkeypatch.setattr(redis_client, "CHECK_INTERVAL", 3600.0)
    playing = Playing()
    yield playing
    playing.availability.close()


@pytest.mark.parametrize("error", [RedisTimeoutError, RedisConnectionError, ConnectionResetError])
def test_what_breaks_an_exchange_is_remembered(playing: Playing, error: type[Exception]) -> None:
    with pytest.raises(error):
        playing.exchange(error("x"))
    with pytest.raises(RedisUnavailable):
        playing.exchange()

    assert playing.losses == 1


def test_a_refused_command_is_not_a_loss(playing: Playing) -> None:
    for _ in range(5):
        with pytest.raises(ResponseError):
            playing.exchange(ResponseError("OOM"))

    assert playing.availability.is_available


def test_consecutive_slow_replies_count_as_a_loss(playing: Playing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_client, "SLOW_SECONDS", 0.0)
    for _ in range(redis_client.MAX_SLOW_EXCHANGES):
        playing.exchange()

    with pytest.raises(RedisUnavailable):
        playing.exchange()


def test_an_exchange_of_many_slow_replies_counts_as_overdue(playing: Playing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_client, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(redis_client, "ANSWER_TIMEOUT", 0.0)
    playing.exchange()

    with pytest.raises(RedisUnavailable):
        playing.exchange()


def test_slow_replies_with_a_quick_one_in_between_are_no_loss(
    playing: Playing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        monkeypatch.setattr(redis_client, "SLOW_SECONDS", 0.0)
        playing.exchange()
        monkeypatch.setattr(redis_client, "SLOW_SECONDS", 3600.0)
        playing.exchange()

    assert playing.availability.is_available


def test_a_pause_that_delays_many_at_the_same_time_counts_once(
    playing: Playing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "SLOW_SECONDS", 0.0)
    together = threading.Barrier(8)

    def act() -> None:
        with playing.availability.exchange():
            together.wait(SECONDS)

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(act) for _ in range(8)]:
            each.result()

    assert playing.availability.is_available


def test_a_server_that_replies_slowly_is_not_available_again(playing: Playing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_client, "SLOW_SECONDS", 0.0)
    playing.answers.set()

    assert not playing.availability._answers()


def test_a_process_that_was_forked_meanwhile_checks_by_itself(
    playing: Playing, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RedisTimeoutError):
        playing.exchange(RedisTimeoutError())
    ended = threading.Thread(target=lambda: None)  # the state of every other thread after a fork
    ended.start()
    ended.join()
    before = playing.availability._checker
    playing.availability._checker = ended

    with pytest.raises(RedisUnavailable):
        playing.exchange()

    assert playing.availability._checker.is_alive()
    playing.availability._closing.set()
    before.join(SECONDS)
