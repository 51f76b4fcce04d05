"""A client that repeats a request gets the first answer again, and nothing is sent twice."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from messaging.models import IdempotencyRecord
from messaging.services.errors import IdempotencyKeyReused, InvalidField
from messaging.services.privacy import fingerprints as digests

KEPT_FOR = timedelta(hours=24)
MAX_KEY = 255


def check_key(key: str) -> str:
    if not 1 <= len(key) <= MAX_KEY or not all(" " <= character <= "~" for character in key):
        raise InvalidField("Idempotency-Key", "invalid_key", "The key must be 1 to 255 printable ASCII characters.")
    return key


def fingerprints(path: str, body: Any) -> list[str]:
    """The same for two requests that ask for the same: spaces and the order of keys do not matter.

    The first is the one to store; an answer from before an exchange of `SECRET_KEY` is found by one of the others.
    """
    canonical = json.dumps([path, body], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return digests.hmac_digest("idempotency", canonical.encode())


def once(
    *, owner: User, key: str, request_fingerprints: Sequence[str], now: datetime, act: Callable[[], Any]
) -> tuple[Any, bool]:
    """`act`'s JSON answer and whether it is a replay. The key is taken in the transaction of what `act` does.

    Of two requests at once the second waits on the unique constraint until the first has committed (then it gets that
    answer) or rolled back (then it acts itself). Raises `IdempotencyKeyReused` for another request under the same key.
    """
    with transaction.atomic():
        record = _take(owner, key, request_fingerprints[0], now)
        if record is None:
            known = IdempotencyRecord.objects.get(owner=owner, key=key)
            if known.fingerprint not in request_fingerprints:
                raise IdempotencyKeyReused("This key was used for another request.")
            return json.loads(known.response), True
        answer = act()
        record.response = json.dumps(answer)
        record.save(update_fields=["response"])
        return answer, False


def _take(owner: User, key: str, request_fingerprint: str, now: datetime) -> IdempotencyRecord | None:
    IdempotencyRecord.objects.filter(owner=owner, key=key, created_at__lt=now - KEPT_FOR).delete()
    try:
        with transaction.atomic():
            return IdempotencyRecord.objects.create(
                owner=owner, key=key, fingerprint=request_fingerprint, created_at=now
            )
    except IntegrityError:
        return None
