"""Gateway credentials that this process has just verified: checking a password takes 15 milliseconds."""

import hashlib
import secrets

from messaging.credential_memory import RecentCredentials, clear_after_changes
from messaging.models import GatewayCredential

_KEY = secrets.token_bytes(32)

remembered = RecentCredentials[GatewayCredential]()

clear_after_changes(lambda: remembered.clear(), GatewayCredential)  # noqa: PLW0108 (tests replace the method)


def digest_of(*parts: str) -> str:
    """Of a credential and where it was used. Another process has other digests."""
    text = b"".join(len(part := each.encode()).to_bytes(4, "big") + part for each in parts)
    return hashlib.blake2b(text, key=_KEY).hexdigest()
