"""Use cases on provider accounts; the command, the admin and the API call the same ones."""

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from providers.errors import ConfigError
from providers.models import MAX_WEIGHT, ProviderAccount, validate_slug
from providers.registry import check_config

NEW_WEIGHT = 100


def check_account_config(*, backend: str, config: Any) -> None:
    """Raise `ConfigError` unless `config` can be stored for an account of this backend."""
    check_config(backend, config)
    if "\\u0000" in json.dumps(config):
        raise ConfigError("config must not contain NUL characters")


def upsert_account(
    *,
    slug: str,
    backend: str | None = None,
    weight: int | None = None,
    config: dict[str, Any] | None = None,
    is_enabled: bool | None = None,
) -> tuple[ProviderAccount, bool]:
    """Create the account, or change what is given and leave the rest.

    Returns it and whether it is new. Raises `ConfigError` with one line, and then nothing has changed.
    """
    if weight is not None and not 0 <= weight <= MAX_WEIGHT:
        raise ConfigError(f"weight must be from 0 to {MAX_WEIGHT}")
    with transaction.atomic():
        account = ProviderAccount.objects.select_for_update().filter(pk=slug).first()
        is_new = account is None
        if account is None:
            account = _new_account(slug, backend=backend, config=config)
        account.backend = account.backend if backend is None else backend
        account.config = account.config if config is None else config
        account.weight = account.weight if weight is None else weight
        account.is_enabled = account.is_enabled if is_enabled is None else is_enabled
        # A switch must work on an account whose stored configuration a newer version no longer accepts.
        if backend is not None or config is not None:
            check_account_config(backend=account.backend, config=account.config)
        account.save(force_insert=is_new)
    return account, is_new


def _new_account(slug: str, *, backend: str | None, config: dict[str, Any] | None) -> ProviderAccount:
    if backend is None or config is None:
        raise ConfigError(f"there is no account {slug!r} yet: a new one needs a backend and a config")
    try:
        validate_slug(slug)
    except ValidationError as error:
        raise ConfigError(f"slug: {' '.join(error.messages)}") from None
    return ProviderAccount(slug=slug, weight=NEW_WEIGHT)
