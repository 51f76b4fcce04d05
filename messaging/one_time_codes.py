"""One-time codes that are stored nowhere: each is computed from a key, an id and a nonce whenever it is needed.

A stored digest of six digits is found by a million tries; a code that is only computed needs the key, which no database has.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from uuid import UUID

MASK = "*"  # one septet in GSM-7, as a digit is: a masked text has the encoding and the segments of the true one
NONCE_BYTES = 32
SHORTEST, LONGEST = 4, 10
KEY_ID_LENGTH = 16
_PURPOSE = b"switchboard one-time code v1"


def _key(secret: str) -> bytes:
    return hmac.new(secret.encode(), _PURPOSE, hashlib.sha512).digest()


def key_id(secret: str) -> str:
    """A name of the key that tells nothing about it."""
    return hmac.new(_key(secret), b"id", hashlib.sha512).hexdigest()[:KEY_ID_LENGTH]


def secret_of(wanted: str, secrets: Iterable[str]) -> str | None:
    """The secret whose key has this id; None if there is none any more."""
    return next((secret for secret in secrets if hmac.compare_digest(key_id(secret), wanted)), None)


def code_of(secret: str, *, verification_id: UUID, nonce: bytes, length: int) -> str:
    """Return `length` digits. Of 512 bits the remainder by 10^10 is uniform to one part in 10^144."""
    if not SHORTEST <= length <= LONGEST or len(nonce) != NONCE_BYTES:
        raise ValueError("a code has 4 to 10 digits, and a nonce 32 bytes")
    content = b"code:" + verification_id.bytes + nonce + bytes([length])
    number = int.from_bytes(hmac.new(_key(secret), content, hashlib.sha512).digest(), "big")
    return f"{number % 10**length:0{length}}"


def fill(masked: str, *, offsets: Sequence[int], code: str) -> str:
    """Put the code in place of its masks. Raises `ValueError` where the text has none at an offset."""
    text = masked
    for offset in offsets:
        end = offset + len(code)
        if masked[offset:end] != MASK * len(code):
            raise ValueError("the text has no place for the code")
        text = f"{text[:offset]}{code}{text[end:]}"
    return text


def without(code: str, content: str) -> str:
    """The content with the code masked, wherever it stands: as digits, or as their bytes in hexadecimal."""
    masked = content.replace(code, MASK * len(code))
    for encoding in ("ascii", "utf-16-be"):
        for form in {code.encode(encoding).hex(), code.encode(encoding).hex().upper()}:
            masked = masked.replace(form, MASK * len(form))
    return masked
