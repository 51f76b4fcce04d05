"""Issue a gateway credential to a service user."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, transaction
from django.utils import timezone

from messaging.services import installation
from messaging.services.errors import InvalidField
from messaging.services.gateway import credentials


class Command(BaseCommand):
    help = (
        "Prints the system ID and the password of a new gateway credential (SMPP, and Kannel's and Jasmin's HTTP) of a service "
        "user, created if missing, separated by a blank."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--system-id", default="", help="default: made from the user name")
        parser.add_argument("--label", default="", help="what the credential is for")
        parser.add_argument("--max-sessions", type=int, default=2, help="sessions at the same time (default: 2)")
        parser.add_argument(
            "--allow", nargs="*", default=[], metavar="NETWORK", help="addresses or networks (default: any)"
        )
        parser.add_argument(
            "--receive-texts", action="store_true", help="deliver what people send to the user (default: receipts only)"
        )

    def handle(
        self,
        *,
        username: str,
        system_id: str,
        label: str,
        max_sessions: int,
        allow: list[str],
        receive_texts: bool,
        **_options: Any,
    ) -> None:
        try:
            get_user_model().username.field.clean(username, None)
        except ValidationError as error:
            raise CommandError(f"{username!r} cannot be a user name: {' '.join(error.messages)}") from error
        try:
            with transaction.atomic():
                row, password = credentials.issue(
                    user=installation.service_user(username),
                    system_id=system_id,
                    label=label[:100],
                    allowed_addresses=allow,
                    max_sessions=max_sessions,
                    receives_texts=receive_texts,
                    now=timezone.now(),
                )
        except InvalidField as refusal:
            raise CommandError(refusal.detail) from None
        except DatabaseError as error:
            raise CommandError(
                f"the database is not ready ({str(error).strip().splitlines()[0]}): "
                "start `make run` once, or run `manage.py migrate` and `manage.py setup`"
            ) from error
        self.stdout.write(f"{row.system_id} {password}")
