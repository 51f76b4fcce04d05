"""Model fields that are encrypted at rest when `FIELD_ENCRYPTION_KEYS` is set."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from messaging import encryption
from messaging.encryption import CannotBeOpened, EncryptionKey

if TYPE_CHECKING:
    _TextField = models.TextField[str, str]
else:
    _TextField = models.TextField  # Django's fields take no type arguments at run time


def keys() -> tuple[EncryptionKey, ...]:
    return _read(tuple(settings.FIELD_ENCRYPTION_KEYS))


@lru_cache(maxsize=8)
def _read(entries: tuple[str, ...]) -> tuple[EncryptionKey, ...]:
    return encryption.read_keys(entries)


@dataclass(frozen=True, slots=True)
class Unopened:
    """Placeholder for an unreadable value, with the reason."""

    fault: CannotBeOpened


def opened(value: Any) -> Any:
    """Return a value that was fetched without its model, for example by `values_list`. Raises `CannotBeOpened`."""
    if isinstance(value, Unopened):
        raise value.fault.with_traceback(None)
    return value


class _Opened(DeferredAttribute):
    """Raises `CannotBeOpened` when an unreadable value is accessed, not when its row is fetched.

    So one unreadable row does not fail a query for a batch, and nothing else can be sent or stored in place of the value.
    """

    def __get__(self, instance: models.Model | None, cls: type | None = None) -> Any:
        return opened(super().__get__(instance, cls))

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


def fault_of(row: models.Model, name: str) -> CannotBeOpened | None:
    """Return the error for an unreadable field, or None."""
    try:
        getattr(row, name)
    except CannotBeOpened as fault:
        return fault
    return None


class EncryptedTextField(_TextField):
    """A text that is encrypted in the database, so it cannot be used in lookups."""

    descriptor_class = _Opened

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return encryption.seal(prepared, keys()) if isinstance(prepared, str) else prepared

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | Unopened | None:
        return _revealed(value) if value is not None else None


class EncryptedJSONField(models.JSONField):
    """JSON that the database stores as a JSON string with the encrypted text."""

    descriptor_class = _Opened

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if keys() and isinstance(value, dict) and value:
            value = encryption.seal(json.dumps(value, ensure_ascii=False), keys())
        return super().get_db_prep_value(value, connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        found = super().from_db_value(value, expression, connection)
        if isinstance(found, str) and found.startswith(encryption.MARK):
            text = _revealed(found)
            return json.loads(text) if isinstance(text, str) else text
        return found


def _revealed(stored: str) -> str | Unopened:
    try:
        return encryption.reveal(stored, keys())
    except CannotBeOpened as fault:
        return Unopened(fault)
