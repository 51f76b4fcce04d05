"""What the tests of `messaging` share."""

from datetime import datetime
from pathlib import Path

import pytest

from messaging.models import OutboundQueue
from providers import registry
from providers.models import ProviderAccount
from tests.contract.send_only import SendOnlyBackend
from tests.factories import NOW, AccountFactory, QueueFactory
from tests.media_store.folder import Folder


class Broker:
    """Replaces Celery's application and records the notifications."""

    def __init__(self) -> None:
        self.notified: list[str] = []
        self.webhook_notifications = 0
        self.inbound_notifications: list[str] = []
        self.error: Exception | None = None

    def send_task(self, name: str, args: list[str], **options: object) -> None:
        if self.error is not None:
            raise self.error
        if name == "messaging.deliver":
            assert args == []
            self.webhook_notifications += 1
        elif "inbound" in name:
            assert args == []
            self.inbound_notifications.append(name)
        else:
            assert name == "messaging.dispatch"
            self.notified.extend(args)


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """No test of this folder leaves a task in a broker."""
    broker = Broker()
    monkeypatch.setattr("messaging.notifier.current_app", broker)
    monkeypatch.setattr("messaging.notifier._gathering.until", 0.0)
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


@pytest.fixture
def send_only(db, monkeypatch: pytest.MonkeyPatch) -> ProviderAccount:
    """An account whose backend has neither callbacks nor a status lookup."""
    monkeypatch.setitem(registry.BACKENDS, "send_only", SendOnlyBackend)  # type: ignore[arg-type]  # a dict at runtime
    return AccountFactory(slug="plain", backend="send_only", config={"url": "http://127.0.0.1:9/"})


@pytest.fixture
def media_folder(settings, tmp_path: Path) -> Folder:
    """Where stored files lie: empty at the start."""
    location = tmp_path / "media"
    local = {"BACKEND": "media_store.storage.LocalMediaStorage", "OPTIONS": {"location": str(location)}}
    settings.STORAGES = {**settings.STORAGES, "media": local}
    return Folder(location, tmp_path / "temporary")
