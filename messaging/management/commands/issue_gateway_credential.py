"""Issue a gateway credential to a service user."""

from typing import Any

from django.core.management import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from messaging.management.service_users import issuing_to
from messaging.services import installation
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
        with issuing_to(username), transaction.atomic():
            row, password = credentials.issue(
                user=installation.service_user(username),
                system_id=system_id,
                label=label[:100],
                allowed_addresses=allow,
                max_sessions=max_sessions,
                receives_texts=receive_texts,
                now=timezone.now(),
            )
        self.stdout.write(f"{row.system_id} {password}")
