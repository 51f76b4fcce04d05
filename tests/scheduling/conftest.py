"""What the tests of `scheduling` share."""

from datetime import datetime

import pytest

from messaging.models import OutboundQueue
from tests.factories import NOW, QueueFactory, UserFactory


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def express(db) -> OutboundQueue:
    return QueueFactory()


@pytest.fixture
def owner(db):
    return UserFactory()
