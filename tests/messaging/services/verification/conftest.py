"""The client of the API, for tests that begin at the edge."""

from tests.messaging.api.conftest import api, installed

__all__ = ["api", "installed"]
