"""The address that a provider has to call with the texts that people write to us."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from providers import callback_tokens, registry
from providers.errors import Misconfigured
from providers.models import ProviderAccount


class Command(BaseCommand):
    help = "Print the address for a provider's incoming texts; where it has a token, it is a secret."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")

    def handle(self, *_args: Any, slug: str, **_options: Any) -> None:
        try:
            account = ProviderAccount.objects.get(pk=slug)
            has_token = registry.backend_for(account).is_called_with_token
        except ProviderAccount.DoesNotExist:
            raise CommandError(f"there is no account {slug!r}") from None
        except Misconfigured as error:
            raise CommandError(f"{slug} cannot be used as it is configured: {error.detail}") from None
        except DatabaseError as error:
            raise CommandError(f"the database refused: {' '.join(str(error).split())}") from None
        self.stdout.write(
            callback_tokens.inbound_url(
                public_url=settings.PUBLIC_URL, slug=slug, keys=registry.callback_keys(), has_token=has_token
            )
        )
