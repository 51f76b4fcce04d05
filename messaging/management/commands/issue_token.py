"""Issue an API token to a service user."""

from datetime import timedelta
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from messaging.management.service_users import issuing_to
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
        valid_for = timedelta(days=days) if days is not None else None
        with issuing_to(username):
            token = installation.issue_token(username=username, name=name, valid_for=valid_for)
        self.stdout.write(token)
