"""Credentials that this process has just verified, with their users: checking a password takes 15 milliseconds.

A remembered credential is at most `SECONDS` old, so a revoked one, a removed permission and a deactivated user are refused
within a second by every process.
"""

import hashlib
import secrets
import threading
import time
from copy import copy
from typing import Any, Final

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from messaging.models import GatewayCredential

SECONDS = 0.9  # less than a second, with room for the request that reads
MAX_CREDENTIALS: Final = 1_000


class CredentialMemory:
    """By a digest of what was verified. Thread-safe; every reader gets rows of its own, which it may change."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        # digest → (when it was read, row), the longest remembered first
        self._rows: dict[bytes, tuple[float, GatewayCredential]] = {}
        self._changes = 0

    def digest(self, *parts: str) -> bytes:
        """Of a credential and where it was used. Another process has other digests."""
        text = b"".join(len(part := each.encode()).to_bytes(4, "big") + part for each in parts)
        return hashlib.blake2b(text, key=self._key).digest()

    def begin(self) -> tuple[int, float]:
        """Call it before the database is read, and hand the result to `put`."""
        return self._changes, time.monotonic()

    def get(self, digest: bytes) -> GatewayCredential | None:
        found = self._rows.get(digest)
        return _own(found[1]) if found is not None and time.monotonic() - found[0] < SECONDS else None

    def put(self, digest: bytes, row: GatewayCredential, begun: tuple[int, float]) -> None:
        """Remember a verified credential. Does nothing after a change: the row may be from before it."""
        changes, read_at = begun
        with self._lock:
            if changes != self._changes:
                return
            self._rows.pop(digest, None)
            if len(self._rows) >= MAX_CREDENTIALS:
                del self._rows[next(iter(self._rows))]
            self._rows[digest] = read_at, _own(row)

    def clear(self) -> None:
        with self._lock:
            self._changes += 1
            self._rows.clear()


def _own(row: GatewayCredential) -> GatewayCredential:
    kept = copy(row)
    kept.user = copy(row.user)
    return kept


remembered = CredentialMemory()


def _forget(**_: Any) -> None:
    """Now, and when the change is committed: a request in between may have read the rows from before it."""
    remembered.clear()
    transaction.on_commit(remembered.clear)


for _signal in (post_save, post_delete):
    for _model in (GatewayCredential, User, Group, Permission):
        _signal.connect(_forget, sender=_model)
for _relation in (User.groups.through, User.user_permissions.through, Group.permissions.through):
    m2m_changed.connect(_forget, sender=_relation)
