"""The same staff as in the tests of the messages' pages."""

from tests.messaging.admin.conftest import admin, staff
from tests.messaging.conftest import express
from tests.scheduling.conftest import owner

__all__ = ["admin", "express", "owner", "staff"]
