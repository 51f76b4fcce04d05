"""Digests that only this installation can compute.

Of a number or of a short text everybody could try all that there are against a plain digest, and so read what stands beside it
encrypted.
"""

import hashlib
import hmac

from django.conf import settings


def hmac_digest(purpose: str, content: bytes) -> list[str]:
    """Under `SECRET_KEY`, which is the one to store, and then under each of `SECRET_KEY_FALLBACKS`, to find older ones by."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [hmac.new(key.encode(), purpose.encode() + b":" + content, hashlib.sha256).hexdigest() for key in keys]
