"""Tokens that this process has just read, with their users and permissions, so that not every request reads them again.

A remembered token is at most `SECONDS` old, so a revoked token, a removed permission and a deactivated user are refused within
a second by every process, without a message between processes. The process that makes the change refuses at once.
"""

import threading
import time
from copy import copy
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from messaging.models import ApiToken

SECONDS = 0.9  # less than a second, with room for the request that reads
MAX_TOKENS = 1_000


class TokenMemory:
    """By the token's digest. Thread-safe; every reader gets rows of its own, which it may change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[
            str, tuple[float, ApiToken]
        ] = {}  # digest → (when it was read, row), the longest remembered first
        self._changes = 0

    def begin(self) -> tuple[int, float]:
        """Call it before the database is read, and hand the result to `put`."""
        return self._changes, time.monotonic()

    def get(self, digest: str) -> ApiToken | None:
        found = self._rows.get(digest)
        if found is None or time.monotonic() - found[0] >= SECONDS:
            return None
        row = copy(found[1])
        row.user = copy(found[1].user)
        return row

    def put(self, row: ApiToken, begun: tuple[int, float]) -> None:
        """Remember a valid token. Loads its user's permissions. Does nothing after a change: the row may be from before it."""
        row.user.get_all_permissions()  # which the backend keeps in the user
        kept = copy(row)
        kept.user = copy(row.user)
        changes, read_at = begun
        with self._lock:
            if changes != self._changes:
                return
            self._rows.pop(row.digest, None)
            if len(self._rows) >= MAX_TOKENS:
                del self._rows[next(iter(self._rows))]
            self._rows[row.digest] = read_at, kept

    def clear(self) -> None:
        with self._lock:
            self._changes += 1
            self._rows.clear()


remembered = TokenMemory()


def _forget(**_: Any) -> None:
    """Now, and when the change is committed: a request in between may have read the rows from before it."""
    remembered.clear()
    transaction.on_commit(remembered.clear)


for _signal in (post_save, post_delete):
    for _model in (ApiToken, User, Group, Permission):
        _signal.connect(_forget, sender=_model)
for _relation in (User.groups.through, User.user_permissions.through, Group.permissions.through):
    m2m_changed.connect(_forget, sender=_relation)
