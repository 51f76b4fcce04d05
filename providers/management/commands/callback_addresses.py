"""Print the addresses to which a provider posts receipts and replies."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from providers import services
from providers.errors import Misconfigured
from providers.management.output import as_table
from providers.models import ProviderAccount


class Command(BaseCommand):
    help = "Print the addresses for a provider's receipts and replies; keep them secret if they have a token."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--json", action="store_true", help="print them as a JSON object")

    def handle(self, *_args: Any, slug: str, **options: Any) -> None:
        try:
            account = ProviderAccount.objects.get(pk=slug)
            addresses = services.callback_addresses(account)
        except ProviderAccount.DoesNotExist:
            raise CommandError(f"there is no account {slug!r}") from None
        except Misconfigured as error:
            raise CommandError(f"{slug} cannot be used as it is configured: {error.detail}") from None
        except DatabaseError as error:
            raise CommandError(f"the database refused: {' '.join(str(error).split())}") from None
        if addresses is None:
            raise CommandError(f"{slug} has no addresses: its backend {account.backend} has no callbacks")
        rows = {"receipts": addresses.receipts, "replies": addresses.replies}
        self.stdout.write(json.dumps(rows, indent=2) if options["json"] else as_table(list(rows.items())))
