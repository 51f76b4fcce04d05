"""Texts at rest, sealed with keys of the operator's. Pure: keys and texts in, texts out.

What is sealed is stored as `enc:v1:<key id>:<Fernet token>`, so that rows of several keys, and rows from before there was
a key, stand side by side. Fernet (AES-128-CBC with HMAC-SHA256) is the `cryptography` library's.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken

MARK = "enc:v1:"
# In the place of a key's id: the rest is the text itself, which only looks as if it were sealed.
PLAIN = "-"
_ENTRY = re.compile(r"([A-Za-z0-9_]{1,16}):([A-Za-z0-9_-]{43}=)")


class InvalidKeys(ValueError):
    """The operator's keys cannot be read. Says which entry, never the key."""


class CannotBeOpened(Exception):
    """A stored text whose key is not among the keys, or that was tampered with. Never sent to anybody as it is."""

    code = "text_unreadable"


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """`secret` is 32 random bytes in URL-safe Base64."""

    id: str
    secret: str = field(repr=False)


def read_keys(entries: Sequence[str]) -> tuple[EncryptionKey, ...]:
    """Of `id:secret` each; the first one seals, all of them open. Raises `InvalidKeys`."""
    keys = []
    for place, entry in enumerate(entries, start=1):
        found = _ENTRY.fullmatch(entry.strip())
        if found is None:
            raise InvalidKeys(f"Key {place} is not `id:secret` with a secret of 32 bytes in URL-safe Base64.")
        keys.append(EncryptionKey(found[1], found[2]))
    if len({key.id for key in keys}) < len(keys):
        raise InvalidKeys("Two keys have the same id.")
    return tuple(keys)


@lru_cache(maxsize=32)
def _box(key: EncryptionKey) -> Fernet:
    return Fernet(key.secret)


def seal(text: str, keys: Sequence[EncryptionKey]) -> str:
    """With the first key; without keys the text itself. An empty text stays empty."""
    if not text:
        return text
    if not keys:
        return f"{MARK}{PLAIN}:{text}" if text.startswith(MARK) else text
    return f"{MARK}{keys[0].id}:{_box(keys[0]).encrypt(text.encode()).decode()}"


def reveal(stored: str, keys: Sequence[EncryptionKey]) -> str:
    """What `seal` was given. Raises `CannotBeOpened`."""
    if not stored.startswith(MARK):
        return stored
    key_id, _, content = stored.removeprefix(MARK).partition(":")
    if key_id == PLAIN:
        return content
    key = next((key for key in keys if key.id == key_id), None)
    if key is None:
        raise CannotBeOpened(f"FIELD_ENCRYPTION_KEYS has no key {key_id!r}")
    try:
        return _box(key).decrypt(content.encode()).decode()
    except InvalidToken:
        raise CannotBeOpened(f"a text under key {key_id!r} was changed in the database") from None


def current_mark(keys: Sequence[EncryptionKey]) -> str:
    """What every text begins with that needs no rotation; empty without keys."""
    return f"{MARK}{keys[0].id}:" if keys else ""
