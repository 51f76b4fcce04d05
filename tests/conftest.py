"""What every test stands on: a database and a broker of its own, and an empty cache."""

import django
import pytest

from tests.environment import TestEnvironment

ENVIRONMENT = TestEnvironment()  # at import, because pytest-django reads the settings right after
django.setup()  # the conftests of the folders below import models, and are loaded before pytest-django does this


def pytest_unconfigure() -> None:
    ENVIRONMENT.close()


@pytest.fixture(autouse=True)
def _empty_redis() -> None:
    """No counter, cached answer or doorbell of one test is seen by the next."""
    ENVIRONMENT.empty_redis()
