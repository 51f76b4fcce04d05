"""What the tests of budgets share."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from messaging.models import Budget, OutboundQueue
from messaging.services.costs import budget_changes, budgets
from messaging.services.outbound import accept as accept_module
from messaging.services.outbound.accept import AcceptedMessage, accept
from messaging.services.outbound.submit import DEFAULT_VALID_FOR, MessageInput
from tests.factories import NOW, UserFactory

TO = "+14155550101"


@pytest.fixture
def owner(express: OutboundQueue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(accept_module, "_default_senders", accept_module._DefaultSenders())
    return UserFactory()


def draft(**values: Any) -> MessageInput:
    return MessageInput(**{"to": TO, "text": "Hello", "valid_for": DEFAULT_VALID_FOR, **values})


def send(owner, *, key=None, now=NOW, **values: Any) -> AcceptedMessage:
    return accept(owner=owner, draft=draft(**values), default_queue="express", now=now, key=key)


@pytest.fixture
def budget(owner) -> Callable[..., Budget]:
    def make(limit: int | str, **values: Any) -> Budget:
        given = {"owner": owner, "country": "", "period": "day", "currency": "", "now": NOW, **values}
        return budget_changes.create(limit=Decimal(limit), **given)

    return make


def used(budget: Budget, now=NOW) -> int:
    return budgets.used_now([budget], now=now)[budget.pk]
