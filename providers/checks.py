"""System checks of the stored accounts. `check --database default` and `migrate` run them, because they need the database."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004 (Django's name for the level)
from django.db import DatabaseError, transaction

from providers.errors import ConfigError, Misconfigured
from providers.models import ProviderAccount
from providers.registry import check_account


@register(Tags.database)
def check_accounts(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    if not databases:
        return []
    try:
        with transaction.atomic():
            accounts = list(ProviderAccount.objects.filter(is_enabled=True))
    except DatabaseError:
        return []  # before the first migration
    return [message for account in accounts for message in _check(account)]


def _check(account: ProviderAccount) -> list[CheckMessage]:
    try:
        check_account(account)
    except (ConfigError, Misconfigured) as error:
        hint = f"Correct it with `manage.py upsert_provider {account.slug}`, or set what is missing in the environment."
        return [
            Warning(f"The provider account {account.slug!r} cannot be used: {error}", hint=hint, id="providers.W001")
        ]
    return []
