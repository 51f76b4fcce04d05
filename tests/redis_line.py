"""A Redis that can hang, and a count of the connections that this process makes to it."""

from collections.abc import Iterator

import pytest
import redis

from providers.state import redis_client
from providers.state.redis_client import RedisAccess
from tests.environment import EmbeddedValkey
from tests.journeys.relay import Relay

PLENTY = 1 << 20
SECONDS = 20.0


class Line:
    """This process's only way to the server; `connections` counts those that were made."""

    def __init__(self, server: EmbeddedValkey) -> None:
        self.server = server
        self.connections = 0
        self.url = ""
        self.access: RedisAccess | None = None

    def count(self) -> int:
        self.connections += 1
        return PLENTY

    def wait_until_available(self) -> None:
        checker = self.access.availability._checker
        assert checker is not None
        checker.join(SECONDS)
        assert redis_client.is_available()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    valkey = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture
def line(server: EmbeddedValkey, use_redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """It does not check by itself whether the server is back, unless the test shortens `CHECK_INTERVAL`."""
    monkeypatch.setattr(redis_client, "ANSWER_TIMEOUT", 0.3)
    monkeypatch.setattr(redis_client, "CHECK_INTERVAL", 3600.0)
    line = Line(server)
    with Relay(server.url, line.count) as relay:
        line.url = f"{server.url.rpartition(':')[0]}:{relay.address[1]}/0"
        line.access = use_redis(line.url)
        with redis.Redis.from_url(server.url) as client:
            client.flushdb()
        yield line
        server.go_on()
        line.access.close()  # before the relay, which waits for the connections to end
