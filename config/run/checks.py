"""Checks before a start: the settings can be read and the database can be reached."""

import os

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.run import services
from config.run.errors import StartError


def check_settings() -> None:
    """Read the settings, for the first time in this process, and connect to the database. Raises `StartError`."""
    if os.environ.get("DATABASE_URL"):
        services.check_database_address(os.environ["DATABASE_URL"])
    try:
        database = settings.DATABASES["default"]
    except ImproperlyConfigured as error:
        raise StartError(str(error)) from error
    except ValueError as error:
        raise StartError(f"an environment variable has an invalid value: {error}") from error
    if not settings.EMBEDDED:
        services.check_database(database)
