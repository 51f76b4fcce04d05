"""Issue an API token to a service user."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from messaging.services import installation

MAX_DAYS = 36_500


class Command(BaseCommand):
    help = "Prints a new API token of a service user (created if missing, may send and operate), and nothing else."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="", help="what the token is for")
        parser.add_argument("--days", type=int, default=None, help="how long it is valid (default: until revoked)")

    def handle(self, *, username: str, name: str, days: int | None, **_options: Any) -> None:
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise CommandError(f"--days must be from 1 to {MAX_DAYS}")
        try:
            get_user_model().username.field.clean(username, None)
        except ValidationError as error:
            raise CommandError(f"{username!r} cannot be a user name: {' '.join(error.messages)}") from error
        valid_for = timedelta(days=days) if days is not None else None
        try:
            token = installation.issue_token(username=username, name=name, valid_for=valid_for)
        except DatabaseError as error:
            raise CommandError(
                f"the database is not ready ({str(error).strip().splitlines()[0]}): "
                "start `make run` once, or run `manage.py migrate` and `manage.py setup`"
            ) from error
        self.stdout.write(token)
