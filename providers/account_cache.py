"""Accounts by slug, kept in this process for a moment: each callback asks for one.

A change in this process is seen at once, one in another process within `MAX_AGE_SECONDS`.
"""

import threading
import time
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from providers.models import ProviderAccount

MAX_AGE_SECONDS = 0.5


class _Kept:
    """`version` counts the changes in this process: an account that was read before the last one is not kept."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.version = 0
        self.accounts: dict[str, tuple[float, ProviderAccount]] = {}  # with the time before they were read


_kept = _Kept()


def get(slug: str) -> ProviderAccount | None:
    """The account; None without one. Other threads use the same object, so do not change it."""
    now, version = time.monotonic(), _kept.version
    read_at, account = _kept.accounts.get(slug, (0.0, None))
    if account is not None and now - read_at < MAX_AGE_SECONDS:
        return account
    account = ProviderAccount.objects.filter(pk=slug).first()
    if account is not None:
        with _kept.lock:
            if version == _kept.version:
                _kept.accounts[slug] = (now, account)
    return account


def clear() -> None:
    with _kept.lock:
        _kept.version += 1
        _kept.accounts.clear()


@receiver([post_save, post_delete], sender=ProviderAccount)
def _clear_after_change(**_: Any) -> None:
    """Now for this transaction, and after the commit, because another thread may have read the old row meanwhile."""
    clear()
    transaction.on_commit(clear)
