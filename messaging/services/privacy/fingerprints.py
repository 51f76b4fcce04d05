"""Digests that only this installation can compute.

There are few enough phone numbers and short texts to try all of them against a plain digest, and so to reveal what is stored
encrypted beside it.
"""

import hashlib
import hmac

from django.conf import settings


def hmac_digest(purpose: str, content: bytes) -> list[str]:
    """Return hex digests: first under `SECRET_KEY`, to be stored; then under each fallback key, to find older ones."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [hmac.new(key.encode(), purpose.encode() + b":" + content, hashlib.sha256).hexdigest() for key in keys]
