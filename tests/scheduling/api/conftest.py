"""Clients of the API, with a clock fixed at `now` until a test moves it."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from scheduling.models import Schedule
from tests.factories import UserFactory
from tests.messaging.api.conftest import Api, anonymous, api, installed, member_of, stranger
from tests.messaging.services.outbound.dispatch.fakes import Clock
from tests.scheduling import making

__all__ = ["anonymous", "api", "installed", "member_of", "stranger"]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, now) -> Clock:
    clock = Clock(now)
    for module in ("schedules", "recipient_lists"):
        monkeypatch.setattr(f"scheduling.api.{module}.timezone", SimpleNamespace(now=clock))
    return clock


@pytest.fixture
def staff(installed) -> Api:
    user = UserFactory(is_staff=True)
    wanted = ["view_message", "view_schedule", "change_schedule", "delete_schedule"]
    user.user_permissions.add(*Permission.objects.filter(codename__in=wanted))
    return Api(user)


@pytest.fixture
def mine(api):
    """Creates schedules of the client's user."""

    def make(to: Any = 1, **values: Any) -> Schedule:
        return making.create(api.user, to, **values)

    return make
