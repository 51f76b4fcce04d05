"""From an account's row to its backend: the only module that knows all backends and resolves secrets."""

import difflib
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from providers import secret_names
from providers.contract.config_types import STORED
from providers.contract.sender import BackendContext, Capabilities, CommonConfig, Sender, Timeouts
from providers.errors import ConfigError, Misconfigured
from providers.models import ProviderAccount

# Where each backend is. A process imports those that an account of its installation uses: some bring their provider's library.
BACKENDS: Mapping[str, str | type[Sender]] = {
    "aws": "providers.backends.aws.AwsBackend",
    "generic_http": "providers.backends.generic_http.GenericHttpBackend",
    "smpp": "providers.backends.smpp.SmppBackend",
    "twilio": "providers.backends.twilio.TwilioBackend",
}

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Instance:
    """The backend of one version of an account. `users` counts the blocks of `backend_for` that use it now."""

    slug: str
    version: tuple[str, datetime]
    backend: Sender
    users: int = 0
    is_replaced: bool = False


_lock = threading.Lock()
_instances: dict[str, _Instance] = {}


def backend_class(name: str) -> type[Sender] | None:
    """The class, imported at its first use; None for an unknown name."""
    found = BACKENDS.get(name)
    return import_string(found) if isinstance(found, str) else found


def callback_keys() -> tuple[str, ...]:
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


def check_config(backend: str, config: Any) -> CommonConfig:
    """Validate a configuration with its secrets unresolved. Raises `ConfigError` with one line."""
    sender = backend_class(backend)
    if sender is None:
        raise ConfigError(f"unknown backend {backend!r}; known: {', '.join(sorted(BACKENDS))}")
    if not isinstance(config, dict):
        raise ConfigError("config must be a JSON object")
    try:
        checked = sender.Config.model_validate(config, context=STORED)
    except ValidationError as error:
        raise ConfigError(_one_line(error, known=sender.Config.model_fields)) from None
    for place, name in secret_names.references(config):
        if not secret_names.may_be_read(name, settings.PROVIDER_SECRET_NAMES):
            raise ConfigError(f"{place}: {secret_names.refusal(name)}")
    return checked


@contextmanager
def backend_for(account: ProviderAccount) -> Iterator[Sender]:
    """The account's backend, shared by all threads, for the duration of the block.

    A backend that is replaced meanwhile, because the account has changed, is closed at the end of the last block that uses it.
    Raises `Misconfigured` when the configuration cannot be used or a secret is missing.
    """
    instance = _acquire(account)
    try:
        yield instance.backend
    finally:
        _release(instance)


def close_outdated(accounts: Iterable[ProviderAccount]) -> None:
    """Close the backends of accounts that have changed or are not among `accounts`, which are all that exist.

    Call it with each snapshot of the accounts: a deleted or disabled account is not asked for again, so `backend_for` alone
    would leave its connections open.
    """
    current = {account.slug: _version(account) for account in accounts}
    with _lock:
        outdated = [slug for slug, instance in _instances.items() if instance.version != current.get(slug)]
        replaced = [_instances.pop(slug) for slug in outdated]
    for instance in replaced:
        _retire(instance)


def capabilities_of(account: ProviderAccount) -> Capabilities:
    """What the account can do; nothing, if it cannot be used as it is configured."""
    try:
        with backend_for(account) as backend:
            return backend.capabilities
    except Misconfigured:
        return Capabilities()


def check_account(account: ProviderAccount) -> None:
    """Raise `ConfigError` or `Misconfigured` unless the account could be used now, in this environment."""
    check_config(account.backend, account.config)
    _resolved_config(account)


def _acquire(account: ProviderAccount) -> _Instance:
    version = _version(account)
    with _lock:
        found = _instances.get(account.slug)
        if found is not None and found.version == version:
            found.users += 1
            return found
    built = _Instance(account.slug, version, _build(account))
    replaced: _Instance | None
    with _lock:
        present = _instances.get(account.slug)
        if present is not None and present.version == version:  # another thread was faster
            used, replaced = present, built
        else:
            _instances[account.slug] = built
            used, replaced = built, present
        used.users += 1
    if replaced is not None:
        _retire(replaced)
    return used


def _release(instance: _Instance) -> None:
    with _lock:
        instance.users -= 1
        is_last = instance.is_replaced and instance.users == 0
    if is_last:
        _close(instance)


def _retire(instance: _Instance) -> None:
    """For an instance that was taken out of `_instances`: close it now, or at the end of the last block that uses it."""
    with _lock:
        instance.is_replaced = True
        is_unused = instance.users == 0
    if is_unused:
        _close(instance)


def _close(instance: _Instance) -> None:
    try:
        instance.backend.close()
    except Exception as error:  # noqa: BLE001 (a fault here must not change the result of the call that just ended)
        logger.error("the backend of account %s could not be closed: %s", instance.slug, type(error).__name__)


def _version(account: ProviderAccount) -> tuple[str, datetime]:
    return account.backend, account.updated_at


def _resolved_config(account: ProviderAccount) -> CommonConfig:
    try:
        return _sender_of(account).Config.model_validate(resolve_secrets(account.config, os.environ))
    except ValidationError as error:
        raise Misconfigured(_one_line(error)) from None


def _build(account: ProviderAccount) -> Sender:
    config = _resolved_config(account)
    context = BackendContext(
        slug=account.slug,
        callback_keys=callback_keys(),
        timeouts=Timeouts(connect=settings.PROVIDER_CONNECT_TIMEOUT, read=settings.PROVIDER_READ_TIMEOUT),
        pool_size=settings.DISPATCH_CONCURRENCY,
        smpp_connector_urls=tuple(settings.SMPP_CONNECTOR_URLS),
    )
    return _sender_of(account)(config, context)


def _sender_of(account: ProviderAccount) -> type[Sender]:
    sender = backend_class(account.backend)
    if sender is None:
        raise Misconfigured(f"unknown backend {account.backend!r}")
    return sender


def resolve_secrets(value: Any, environ: Mapping[str, str]) -> Any:
    """Replace every `{"env": "NAME"}` by the variable's value.

    Raises `Misconfigured` for a variable that is not set, or that a configuration may not name: the row may be older than the
    list, or have been written past `check_config`.
    """
    if isinstance(value, dict):
        if set(value) == {"env"} and isinstance(value["env"], str):
            if not secret_names.may_be_read(value["env"], settings.PROVIDER_SECRET_NAMES):
                raise Misconfigured(secret_names.refusal(value["env"]))
            secret = environ.get(value["env"])
            if not secret:
                raise Misconfigured(f"environment variable {value['env']} is not set")
            return secret
        return {key: resolve_secrets(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_secrets(item, environ) for item in value]
    return value


def _one_line(error: ValidationError, *, known: Iterable[str] = ()) -> str:
    """The faults with the keys that have them. `known` are the keys of the configuration itself, to hint at a misspelt one."""
    faults = (
        f"{'.'.join(str(part) for part in fault['loc']) or 'config'}: {_explained(fault, known)}"
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    )
    return " ".join("; ".join(faults).split())


def _explained(fault: ErrorDetails, known: Iterable[str]) -> str:
    if fault["type"] != "extra_forbidden":
        return fault["msg"].removeprefix("Value error, ")
    near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1) if len(fault["loc"]) == 1 else []
    return f"there is no such key; did you mean {near[0]}?" if near else "there is no such key"
