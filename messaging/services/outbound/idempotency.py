"""Idempotency keys: a repeated request gets the first response again, and nothing is sent twice."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from messaging.models import IdempotencyRecord
from messaging.services.errors import IdempotencyKeyReused, InvalidField
from messaging.services.privacy.fingerprints import hmac_digest

KEPT_FOR = timedelta(hours=24)
MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The key of one request: the client's text and the request's fingerprints."""

    key: str
    fingerprints: Sequence[str]


def check_key(key: str) -> str:
    if not 1 <= len(key) <= MAX_KEY or not all(" " <= character <= "~" for character in key):
        raise InvalidField("Idempotency-Key", "invalid_key", "The key must be 1 to 255 printable ASCII characters.")
    return key


def fingerprints(path: str, body: Any) -> list[str]:
    """Digests of a request, equal for two requests that differ only in spaces or in the order of keys.

    Store the first. The others are under previous secrets and match records from before a change of `SECRET_KEY`.
    """
    canonical = json.dumps([path, body], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac_digest("idempotency", canonical.encode())


def once(
    *, owner: User, key: str, request_fingerprints: Sequence[str], now: datetime, operation: Callable[[], Any]
) -> tuple[Any, bool]:
    """Return the operation's JSON response, and whether it is a replay. The key is stored in the operation's transaction.

    Of two concurrent requests the second waits on the unique constraint. When the first commits, the second gets its
    response; when the first rolls back, the second runs the operation. Raises `IdempotencyKeyReused` for a different request.
    """
    with transaction.atomic():
        record = _reserve(owner, key, request_fingerprints[0], now)
        if record is None:
            known = IdempotencyRecord.objects.get(owner=owner, key=key)
            if known.fingerprint not in request_fingerprints:
                raise IdempotencyKeyReused("This key was used for another request.")
            return json.loads(known.response), True
        response = operation()
        record.response = json.dumps(response)
        record.save(update_fields=["response"])
        return response, False


def _reserve(owner: User, key: str, request_fingerprint: str, now: datetime) -> IdempotencyRecord | None:
    IdempotencyRecord.objects.filter(owner=owner, key=key, created_at__lt=now - KEPT_FOR).delete()
    try:
        with transaction.atomic():
            return IdempotencyRecord.objects.create(
                owner=owner, key=key, fingerprint=request_fingerprint, created_at=now
            )
    except IntegrityError:
        return None


def is_known(*, owner: User, key: str, now: datetime) -> bool:
    """Whether a request with this key has been answered, and `once` will give its response for a minute at least."""
    newest = now - KEPT_FOR + timedelta(minutes=1)
    return IdempotencyRecord.objects.filter(owner=owner, key=key, created_at__gte=newest).exists()
