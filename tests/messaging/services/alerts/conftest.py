"""A receiver with a sender, and notices for it."""

from collections.abc import Callable
from datetime import datetime

import pytest

from messaging.models import AlertReceiver, OutboundQueue
from messaging.services.alerts import notices
from messaging.services.alerts.notices import AlertTarget, Notice, NoticeResult
from tests.factories import NOW, AlertReceiverFactory, SenderFactory

Receive = Callable[..., NoticeResult]


@pytest.fixture
def receiver(express: OutboundQueue) -> AlertReceiver:
    SenderFactory(number="+15005550006", is_default=True)
    return AlertReceiverFactory(name="ops", max_per_minute=2)


@pytest.fixture
def receive(receiver: AlertReceiver) -> Receive:
    def receive(name: str, *, target: AlertTarget | None = None, at: datetime = NOW, **counts: int) -> NoticeResult:
        notice = Notice(f"FIRING {name}", counts or {"HighLoad": 1}, (name,))
        return notices.receive(
            target=target or AlertTarget.of(receiver), notice=notice, default_queue="express", now=at
        )

    return receive
