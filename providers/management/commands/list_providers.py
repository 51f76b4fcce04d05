"""List the provider accounts. Secrets are shown as the stored references."""

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from providers.management.output import as_table
from providers.models import ProviderAccount

COLUMNS = ("slug", "backend", "weight", "enabled")


class Command(BaseCommand):
    help = "List the provider accounts."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print everything that is stored, as a JSON list")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            accounts = list(ProviderAccount.objects.order_by("slug"))
        except DatabaseError as error:
            raise CommandError(f"the database refused: {' '.join(str(error).split())}") from None
        self.stdout.write(_as_json(accounts) if options["json"] else _as_table(accounts))


def _as_json(accounts: Sequence[ProviderAccount]) -> str:
    rows = [
        {
            "slug": account.slug,
            "backend": account.backend,
            "weight": account.weight,
            "is_enabled": account.is_enabled,
            "config": account.config,
        }
        for account in accounts
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _as_table(accounts: Sequence[ProviderAccount]) -> str:
    rows = [
        (account.slug, account.backend, str(account.weight), "yes" if account.is_enabled else "no")
        for account in accounts
    ]
    return as_table([COLUMNS, *rows])
