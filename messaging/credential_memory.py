"""Credentials that this process has just read, with their users and permissions, so that not every request reads them again.

A remembered one is at most `SECONDS` old, so a revoked credential, a removed permission and a deactivated user are refused
within a second by every process, without a message between processes. The process that makes the change refuses at once.
"""

import threading
import time
from collections.abc import Callable
from copy import copy
from typing import Any, Generic, Protocol, TypeVar

from django.contrib.auth.models import Group, Permission, User
from django.db import models, transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

SECONDS = 0.9  # less than a second, with room for the request that reads
MAX_CREDENTIALS = 1_000


class _OfUser(Protocol):
    user: Any


Credential = TypeVar("Credential", bound=_OfUser)


class RecentCredentials(Generic[Credential]):
    """By a digest of what the client presents. Thread-safe; every reader gets rows of its own, which it may change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # digest → (when it was read, credential), the longest remembered first
        self._known: dict[str, tuple[float, Credential]] = {}
        self._changes = 0

    def begin(self) -> tuple[int, float]:
        """Call it before the database is read, and hand the result to `put`."""
        return self._changes, time.monotonic()

    def get(self, digest: str) -> Credential | None:
        found = self._known.get(digest)
        if found is None or time.monotonic() - found[0] >= SECONDS:
            return None
        return _copied(found[1])

    def put(self, digest: str, credential: Credential, begun: tuple[int, float]) -> None:
        """Remember a valid credential. Loads its user's permissions.

        Does nothing after a change: the credential may be from before it.
        """
        credential.user.get_all_permissions()  # which the backend keeps in the user
        kept = _copied(credential)
        changes, read_at = begun
        with self._lock:
            if changes != self._changes:
                return
            self._known.pop(digest, None)
            if len(self._known) >= MAX_CREDENTIALS:
                del self._known[next(iter(self._known))]
            self._known[digest] = read_at, kept

    def clear(self) -> None:
        with self._lock:
            self._changes += 1
            self._known.clear()


def _copied(credential: Credential) -> Credential:
    its_own = copy(credential)
    its_own.user = copy(credential.user)
    return its_own


def clear_after_changes(clear: Callable[[], None], *stored: type[models.Model]) -> None:
    """Call `clear` when a row of these models, a user, a group or a permission changes.

    Now, and when the change is committed: a request in between may have read the rows from before it.
    """

    def forget(**_: Any) -> None:
        clear()
        transaction.on_commit(clear)

    senders: tuple[type[models.Model], ...] = (*stored, User, Group, Permission)
    for signal in (post_save, post_delete):
        for model in senders:
            signal.connect(forget, sender=model, weak=False)
    for relation in (User.groups.through, User.user_permissions.through, Group.permissions.through):
        m2m_changed.connect(forget, sender=relation, weak=False)
