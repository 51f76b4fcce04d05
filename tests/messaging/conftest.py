"""What the tests of `messaging` share."""

from datetime import datetime

import pytest

from messaging.models import OutboundQueue
from tests.factories import NOW, AccountFactory, QueueFactory


class Broker:
    """In the place of Celery's application: remembers what was rung for."""

    def __init__(self) -> None:
        self.rings: list[str] = []
        self.error: Exception | None = None

    def send_task(self, name: str, args: list[str]) -> None:
        assert name == "messaging.drain"
        if self.error is not None:
            raise self.error
        self.rings.extend(args)


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """No test of this folder leaves a task in a broker."""
    broker = Broker()
    monkeypatch.setattr("messaging.doorbell.current_app", broker)
    return broker


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def express(db) -> OutboundQueue:
    return QueueFactory()


@pytest.fixture
def account(db):
    return AccountFactory(slug="acme")
