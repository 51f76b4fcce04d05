"""From an account's row to a live backend: the one place that knows all backends and resolves secrets."""

import os
import threading
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from pydantic import ValidationError

from providers.backends.generic_http import GenericHttpBackend
from providers.backends.twilio import TwilioBackend
from providers.contract.config_types import STORED
from providers.contract.sender import Backend, BackendContext, CommonConfig, Timeouts
from providers.errors import ConfigError, Misconfigured
from providers.models import ProviderAccount

BACKENDS: Mapping[str, type[Backend]] = {
    "generic_http": GenericHttpBackend,
    "twilio": TwilioBackend,
}

_lock = threading.Lock()
_instances: dict[str, tuple[tuple[str, str], Backend]] = {}


def callback_keys() -> tuple[str, ...]:
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


def check_config(backend: str, config: Any) -> CommonConfig:
    """Validate what an operator typed, secrets unresolved. Raises `ConfigError` with one clear line."""
    backend_class = BACKENDS.get(backend)
    if backend_class is None:
        raise ConfigError(f"unknown backend {backend!r}; known: {', '.join(sorted(BACKENDS))}")
    if not isinstance(config, dict):
        raise ConfigError("config must be a JSON object")
    try:
        return backend_class.Config.model_validate(config, context=STORED)
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None


def backend_for(account: ProviderAccount) -> Backend:
    """The live backend of an account; raises `Misconfigured` when its configuration or a secret is missing."""
    version = (account.backend, account.updated_at.isoformat())
    with _lock:
        known = _instances.get(account.slug)
        if known is not None and known[0] == version:
            return known[1]
    built = _build(account)
    with _lock:
        _instances[account.slug] = (version, built)
    return built


def supports_media(account: ProviderAccount) -> bool:
    """Whether the account can send files at all; one that cannot be used as it is configured cannot."""
    try:
        return backend_for(account).supports_media
    except Misconfigured:
        return False


def check_account(account: ProviderAccount) -> None:
    """Raise `ConfigError` or `Misconfigured` unless the account could be used right now, in this environment."""
    check_config(account.backend, account.config)
    _resolved_config(account)


def _resolved_config(account: ProviderAccount) -> CommonConfig:
    backend_class = BACKENDS.get(account.backend)
    if backend_class is None:
        raise Misconfigured(f"unknown backend {account.backend!r}")
    try:
        return backend_class.Config.model_validate(resolve_secrets(account.config, os.environ))
    except ValidationError as error:
        raise Misconfigured(_one_line(error)) from None


def _build(account: ProviderAccount) -> Backend:
    config = _resolved_config(account)
    context = BackendContext(
        slug=account.slug,
        callback_keys=callback_keys(),
        timeouts=Timeouts(connect=settings.PROVIDER_CONNECT_TIMEOUT, read=settings.PROVIDER_READ_TIMEOUT),
        pool_size=settings.DISPATCH_CONCURRENCY,
    )
    return BACKENDS[account.backend](config, context)


def resolve_secrets(value: Any, environ: Mapping[str, str]) -> Any:
    """Put the environment's value in the place of every `{"env": "NAME"}`; `Misconfigured` for one that is not set."""
    if isinstance(value, dict):
        if set(value) == {"env"} and isinstance(value["env"], str):
            secret = environ.get(value["env"])
            if not secret:
                raise Misconfigured(f"environment variable {value['env']} is not set")
            return secret
        return {key: resolve_secrets(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_secrets(item, environ) for item in value]
    return value


def _one_line(error: ValidationError) -> str:
    faults = (
        f"{'.'.join(str(part) for part in fault['loc']) or 'config'}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    )
    return " ".join("; ".join(faults).split())
