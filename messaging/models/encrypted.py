"""Columns whose content is sealed where the operator has set keys: `FIELD_ENCRYPTION_KEYS`."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from messaging import encryption
from messaging.encryption import CannotBeOpened, EncryptionKey


def keys() -> tuple[EncryptionKey, ...]:
    return _read(tuple(settings.FIELD_ENCRYPTION_KEYS))


@lru_cache(maxsize=8)
def _read(entries: tuple[str, ...]) -> tuple[EncryptionKey, ...]:
    return encryption.read_keys(entries)


@dataclass(frozen=True, slots=True)
class Unopened:
    """Stands in the place of a content that cannot be opened, and says why."""

    fault: CannotBeOpened


def opened(value: Any) -> Any:
    """What a row's value holds where it was fetched without its model. Raises `CannotBeOpened`."""
    if isinstance(value, Unopened):
        raise value.fault.with_traceback(None)
    return value


class _Opened(DeferredAttribute):
    """A row whose content cannot be opened is fetched like any other; who asks for the content gets `CannotBeOpened`.

    So one such row stops nobody who reads a batch for something else, and nothing can be written or sent in its place.
    """

    def __get__(self, instance: models.Model | None, cls: type | None = None) -> Any:
        return opened(super().__get__(instance, cls))

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


def fault_of(row: models.Model, name: str) -> CannotBeOpened | None:
    """Why this content of the row cannot be opened; None where it can."""
    try:
        getattr(row, name)
    except CannotBeOpened as fault:
        return fault
    return None


class EncryptedTextField(models.TextField):
    """Text for the program, sealed for the database. Its content cannot be looked up by."""

    descriptor_class = _Opened

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return encryption.seal(prepared, keys()) if isinstance(prepared, str) else prepared

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | Unopened | None:
        return _revealed(value) if value is not None else None


class EncryptedJSONField(models.JSONField):
    """JSON for the program; for the database a JSON string with the sealed text of it."""

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
