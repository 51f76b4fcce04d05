"""Can the settings be read, and does the database that they name answer?"""

import os

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.run import services
from config.run.errors import StartError


def check_settings() -> None:
    """The environment must be complete by now: this reads the settings for the first time."""
    if os.environ.get("DATABASE_URL"):
        services.check_database_address(os.environ["DATABASE_URL"])
    try:
        database = settings.DATABASES["default"]
    except ImproperlyConfigured as error:
        raise StartError(str(error)) from error
    except ValueError as error:
        raise StartError(f"a variable of the environment has a value that makes no sense: {error}") from error
    if not settings.EMBEDDED:
        services.check_database(database)
