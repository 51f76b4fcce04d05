"""An owner with a Twilio credential, and an application."""

import pytest
from django.contrib.auth.models import Permission, User

from tests.factories import (
    QueueFactory,
    SenderFactory,
    UserFactory,
)
from tests.messaging.services.twilio.applications import OURS, Application
from tests.messaging.services.webhooks.conftest import Clock, twilio_account


@pytest.fixture
def owner() -> User:
    owner = UserFactory()
    owner.user_permissions.add(Permission.objects.get(codename="add_message", content_type__app_label="messaging"))
    twilio_account(owner)
    QueueFactory()
    SenderFactory(number=OURS, owner=owner)
    return owner


@pytest.fixture
def application() -> Application:
    return Application(Clock())
