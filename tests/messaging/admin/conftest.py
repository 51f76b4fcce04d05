"""Clients of the console with given permissions."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from tests.factories import UserFactory

Staff = Callable[..., Client]


@pytest.fixture
def staff(db) -> Staff:
    """Log in a member of staff with these permissions (`messaging.view_message`), or a superuser without any."""

    def log_in(*permissions: str) -> Client:
        user = UserFactory(is_staff=True, is_superuser=not permissions)
        for name in permissions:
            app, codename = name.split(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        client = Client()
        client.force_login(user)
        client.user = user
        return client

    return log_in


@pytest.fixture
def admin(staff: Staff) -> Client:
    return staff()
