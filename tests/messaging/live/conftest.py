"""Clients as in the tests of the API."""

from tests.messaging.api.conftest import api, installed, member_of, staff, stranger

__all__ = ["api", "installed", "member_of", "staff", "stranger"]
