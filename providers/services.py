"""Use cases on provider accounts; the command, the admin and the API call the same ones."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from providers import callback_tokens, presets
from providers.errors import ConfigError, SharedStateUnavailable
from providers.models import MAX_WEIGHT, ProviderAccount, ProviderEvent, validate_slug
from providers.registry import backend_for, callback_keys, check_config
from providers.state import account_state, circuit_breaker
from providers.state.account_state import Change, CircuitChange, RefusalChange
from providers.state.circuit_breaker import Step

logger = logging.getLogger(__name__)

NEW_WEIGHT = 100

Kind = ProviderEvent.Kind


@dataclass(frozen=True, slots=True)
class CallbackAddresses:
    """Where a provider posts to, whatever the message. They are secret where a token in them authenticates callbacks."""

    receipts: str = field(repr=False)
    replies: str = field(repr=False)
    have_token: bool


def callback_addresses(account: ProviderAccount) -> CallbackAddresses | None:
    """The account's addresses; None for a backend without callbacks. Raises `Misconfigured`."""
    with backend_for(account) as backend:
        capabilities = backend.capabilities
    if not capabilities.callbacks:
        return None
    receipts, replies = (
        url_of(
            public_url=settings.PUBLIC_URL,
            slug=account.slug,
            keys=callback_keys(),
            has_token=capabilities.token_in_callback,
        )
        for url_of in (callback_tokens.status_url, callback_tokens.inbound_url)
    )
    return CallbackAddresses(receipts, replies, capabilities.token_in_callback)


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
    preset: str | None = None,
) -> tuple[ProviderAccount, bool]:
    """Create the account, or change the given values of an existing one. A preset gives the backend, if none is given, and a
    whole new configuration, over which `config` is merged; the account does not remember it.

    Returns the account and whether it is new. Raises `ConfigError` with one line, and then nothing has changed.
    """
    if weight is not None and not 0 <= weight <= MAX_WEIGHT:
        raise ConfigError(f"weight must be from 0 to {MAX_WEIGHT}")
    if preset is not None:
        chosen = presets.load(preset)
        backend, config = backend or chosen.backend, presets.merge(chosen.config, {} if config is None else config)
    with transaction.atomic():
        account = ProviderAccount.objects.select_for_update().filter(pk=slug).first()
        is_new = account is None
        if account is None:
            account = _new_account(slug, backend=backend, config=config)
        account.backend = account.backend if backend is None else backend
        account.config = account.config if config is None else config
        account.weight = account.weight if weight is None else weight
        account.is_enabled = account.is_enabled if is_enabled is None else is_enabled
        # Enabling and disabling must work for a stored configuration that this version no longer accepts.
        if backend is not None or config is not None:
            check_account_config(backend=account.backend, config=account.config)
        account.save(force_insert=is_new)
    return account, is_new


def set_enabled(*, slug: str, is_enabled: bool, reason: str, actor: User, now: datetime) -> ProviderAccount:
    """Enable or disable the account. Messages that only a disabled account can carry wait.

    Raises `ProviderAccount.DoesNotExist`.
    """
    with transaction.atomic():
        account = ProviderAccount.objects.select_for_update().get(pk=slug)
        account.is_enabled = is_enabled
        account.save(update_fields=["is_enabled", "updated_at"])
        _note(account, Kind.ENABLED if is_enabled else Kind.DISABLED, reason=reason, actor=actor, now=now)
    return account


def hold_open(*, slug: str, reason: str, actor: User, now: datetime) -> ProviderAccount:
    """Open the account's circuit until `reset`; no probe closes it.

    Raises `ProviderAccount.DoesNotExist`, and `SharedStateUnavailable` while Redis is unavailable; then nothing has changed.
    """
    with transaction.atomic():
        account = ProviderAccount.objects.get(pk=slug)
        _note(account, Kind.HELD_OPEN, reason=reason, actor=actor, now=now)
        if not circuit_breaker.hold_open(slug, reason=reason, now=now.timestamp()):
            raise SharedStateUnavailable
    account_state.invalidate()
    return account


def reset(*, slug: str, reason: str, actor: User, now: datetime) -> ProviderAccount:
    """Close the circuit, end a pause, and delete counts and bookings. Raises the same errors as `hold_open`."""
    with transaction.atomic():
        account = ProviderAccount.objects.get(pk=slug)
        _note(account, Kind.RESET, reason=reason, actor=actor, now=now)
        if not account_state.reset(slug, now=now):
            raise SharedStateUnavailable
    return account


def _note(account: ProviderAccount, kind: Kind, *, reason: str, actor: User, now: datetime) -> None:
    ProviderEvent.objects.create(account=account, at=now, kind=kind, detail=reason[:300], actor=actor)


def _new_account(slug: str, *, backend: str | None, config: dict[str, Any] | None) -> ProviderAccount:
    if backend is None or config is None:
        raise ConfigError(f"there is no account {slug!r} yet: a new one needs a backend and a config")
    try:
        validate_slug(slug)
    except ValidationError as error:
        raise ConfigError(f"slug: {' '.join(error.messages)}") from None
    return ProviderAccount(slug=slug, weight=NEW_WEIGHT)


def note_attention(account: ProviderAccount, detail: str, *, now: datetime) -> None:
    """Alert staff to something that only they can put right, and store an event for it. `detail` has no number."""
    logger.error("account %s needs an operator: %s", account.slug, detail)
    ProviderEvent.objects.create(account=account, at=now, kind=Kind.NEEDS_OPERATOR, detail=detail[:300])


def note_changes(changes: Iterable[Change], *, now: datetime) -> None:
    """Log what happened to accounts by itself, and store an event for each change."""
    events = []
    for change in changes:
        kind = _log_circuit(change) if isinstance(change, CircuitChange) else _log_refusals(change)
        events.append(ProviderEvent(account_id=change.slug, at=now, kind=kind, detail=change.detail[:300]))
    ProviderEvent.objects.bulk_create(events)


def _log_circuit(change: CircuitChange) -> Kind:
    if change.step is Step.CLOSED:
        logger.warning("account %s is available again; its circuit closed", change.slug)
        return Kind.CIRCUIT_CLOSED
    if change.needs_operator:
        logger.error("account %s needs an operator; its circuit opened: %s", change.slug, change.detail)
        return Kind.NEEDS_OPERATOR
    logger.warning("account %s fails; its circuit opened: %s", change.slug, change.detail)
    return Kind.CIRCUIT_OPENED


def _log_refusals(change: RefusalChange) -> Kind:
    if change.refuses_many:
        logger.error("account %s refuses nearly all recipients; the last with %s", change.slug, change.detail)
        return Kind.MANY_REFUSED
    logger.warning("account %s accepts most recipients again", change.slug)
    return Kind.FEW_REFUSED
