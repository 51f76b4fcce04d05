"""Print the address to which a provider posts incoming messages."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from providers import callback_tokens, registry
from providers.errors import Misconfigured
from providers.models import ProviderAccount


class Command(BaseCommand):
    help = "Print the address for a provider's incoming messages; keep it secret if it has a token."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")

    def handle(self, *_args: Any, slug: str, **_options: Any) -> None:
        try:
            account = ProviderAccount.objects.get(pk=slug)
            with registry.backend_for(account) as backend:
                capabilities = backend.capabilities
        except ProviderAccount.DoesNotExist:
            raise CommandError(f"there is no account {slug!r}") from None
        except Misconfigured as error:
            raise CommandError(f"{slug} cannot be used as it is configured: {error.detail}") from None
        except DatabaseError as error:
            raise CommandError(f"the database refused: {' '.join(str(error).split())}") from None
        if not capabilities.callbacks:
            raise CommandError(f"{slug} receives no messages: its backend {account.backend} has no callbacks")
        self.stdout.write(
            callback_tokens.inbound_url(
                public_url=settings.PUBLIC_URL,
                slug=slug,
                keys=registry.callback_keys(),
                has_token=capabilities.token_in_callback,
            )
        )
