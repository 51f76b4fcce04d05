"""Fixtures shared with the tests of messaging's console."""

from tests.messaging.admin.conftest import admin, staff
from tests.messaging.conftest import express
from tests.scheduling.conftest import owner

__all__ = ["admin", "express", "owner", "staff"]
