"""Encrypts texts at rest with the operator's keys. Pure functions.

An encrypted text is stored as `enc:v1:<key id>:<Fernet token>`, so that rows under several keys and unencrypted rows can
coexist. Fernet (AES-128-CBC with HMAC-SHA256) comes from the `cryptography` library.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken

MARK = "enc:v1:"
# Instead of a key id: the rest is the plain text, which itself begins with `MARK`.
PLAIN = "-"
_ENTRY = re.compile(r"([A-Za-z0-9_]{1,16}):([A-Za-z0-9_-]{43}=)")


class InvalidKeys(ValueError):
    """The operator's keys are malformed. The message names the entry, never the key."""


class CannotBeOpened(Exception):
    """A stored text is unreadable: its key is missing, or it was tampered with. It is never sent as stored."""

    code = "text_unreadable"


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """`secret` is 32 random bytes in URL-safe Base64."""

    id: str
    secret: str = field(repr=False)


def read_keys(entries: Sequence[str]) -> tuple[EncryptionKey, ...]:
    """Parse entries of the form `id:secret`. The first key encrypts, all of them decrypt. Raises `InvalidKeys`."""
    keys = []
    for position, entry in enumerate(entries, start=1):
        found = _ENTRY.fullmatch(entry.strip())
        if found is None:
            raise InvalidKeys(f"Key {position} is not `id:secret` with a secret of 32 bytes in URL-safe Base64.")
        keys.append(EncryptionKey(found[1], found[2]))
    if len({key.id for key in keys}) < len(keys):
        raise InvalidKeys("Two keys have the same id.")
    return tuple(keys)


@lru_cache(maxsize=32)
def _fernet(key: EncryptionKey) -> Fernet:
    return Fernet(key.secret)


def seal(text: str, keys: Sequence[EncryptionKey]) -> str:
    """Encrypt with the first key; without keys return the text itself. An empty text stays empty."""
    if not text:
        return text
    if not keys:
        return f"{MARK}{PLAIN}:{text}" if text.startswith(MARK) else text
    return f"{MARK}{keys[0].id}:{_fernet(keys[0]).encrypt(text.encode()).decode()}"


def reveal(stored: str, keys: Sequence[EncryptionKey]) -> str:
    """Return the text that was given to `seal`. Raises `CannotBeOpened`."""
    if not stored.startswith(MARK):
        return stored
    key_id, _, content = stored.removeprefix(MARK).partition(":")
    if key_id == PLAIN:
        return content
    key = next((key for key in keys if key.id == key_id), None)
    if key is None:
        raise CannotBeOpened(f"FIELD_ENCRYPTION_KEYS has no key {key_id!r}")
    try:
        return _fernet(key).decrypt(content.encode()).decode()
    except InvalidToken:
        raise CannotBeOpened(f"a text under key {key_id!r} was changed in the database") from None


def seal_bytes(content: bytes, keys: Sequence[EncryptionKey]) -> bytes:
    """Like `seal`, for bytes: also without keys the result has a mark."""
    if not keys:
        return f"{MARK}{PLAIN}:".encode() + content
    return f"{MARK}{keys[0].id}:".encode() + _fernet(keys[0]).encrypt(content)


def reveal_bytes(stored: bytes, keys: Sequence[EncryptionKey]) -> bytes:
    """Return what was given to `seal_bytes`. Raises `CannotBeOpened`."""
    mark, _, rest = stored.partition(MARK.encode())
    key_id, separator, content = rest.partition(b":")
    if mark or not separator:
        raise CannotBeOpened("the content has no mark")
    if key_id == PLAIN.encode():
        return content
    key = next((key for key in keys if key.id.encode() == key_id), None)
    if key is None:
        raise CannotBeOpened("FIELD_ENCRYPTION_KEYS has not the key of this content")
    try:
        return _fernet(key).decrypt(content)
    except InvalidToken:
        raise CannotBeOpened("an encrypted content was changed") from None


def current_mark(keys: Sequence[EncryptionKey]) -> str:
    """The prefix of texts that need no key rotation; empty without keys."""
    return f"{MARK}{keys[0].id}:" if keys else ""
