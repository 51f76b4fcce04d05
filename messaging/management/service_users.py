"""What the commands have in common that issue a credential to a service user."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import CommandError
from django.db import DatabaseError

from messaging.services.errors import InvalidField


@contextmanager
def issuing_to(username: str) -> Iterator[None]:
    """Raise `CommandError`, one line for the operator, for a bad user name, a refusal, or a database that is not ready."""
    try:
        get_user_model().username.field.clean(username, None)
    except ValidationError as error:
        raise CommandError(f"{username!r} cannot be a user name: {' '.join(error.messages)}") from error
    try:
        yield
    except InvalidField as refusal:
        raise CommandError(refusal.detail) from None
    except DatabaseError as error:
        raise CommandError(
            f"the database is not ready ({str(error).strip().splitlines()[0]}): "
            "start `make run` once, or run `manage.py migrate` and `manage.py setup`"
        ) from error
