"""Loaded before everything else (`-p tests.plugin` in pyproject.toml): pytest-django reads the settings early."""

from tests.environment import TestEnvironment

ENVIRONMENT = TestEnvironment()


def pytest_xdist_setupnodes() -> None:
    """In the process that only hands out the tests: those that run them bring environments of their own."""
    ENVIRONMENT.give_back()


def pytest_unconfigure() -> None:
    ENVIRONMENT.close()
