"""Columns whose content is sealed where the operator has set keys: `FIELD_ENCRYPTION_KEYS`."""

import json
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import models

from messaging import encryption
from messaging.encryption import Key


def keys() -> tuple[Key, ...]:
    return _read(tuple(settings.FIELD_ENCRYPTION_KEYS))


@lru_cache(maxsize=8)
def _read(entries: tuple[str, ...]) -> tuple[Key, ...]:
    return encryption.read_keys(entries)


class EncryptedTextField(models.TextField):
    """Text for the program, sealed for the database. Its content cannot be looked up by."""

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return encryption.seal(prepared, keys()) if isinstance(prepared, str) else prepared

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | None:
        return encryption.reveal(value, keys()) if value is not None else None


class EncryptedJSONField(models.JSONField):
    """JSON for the program; for the database a JSON string with the sealed text of it."""

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if keys() and isinstance(value, dict) and value:
            value = encryption.seal(json.dumps(value, ensure_ascii=False), keys())
        return super().get_db_prep_value(value, connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        found = super().from_db_value(value, expression, connection)
        if isinstance(found, str) and found.startswith(encryption.MARK):
            return json.loads(encryption.reveal(found, keys()))
        return found
