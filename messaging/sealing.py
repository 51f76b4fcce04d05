"""Encryption of secrets that we must be able to read again, under `SECRET_KEY`; each purpose has a key of its own."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


def seal(purpose: str, text: str) -> str:
    return _box(purpose).encrypt(text.encode()).decode()


def unseal(purpose: str, sealed: str) -> str | None:
    """None when the encryption key is gone."""
    try:
        return _box(purpose).decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None


def _box(purpose: str) -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(purpose, key))) for key in keys])


def _derived(purpose: str, key: str) -> bytes:
    return hashlib.sha256(f"switchboard.{purpose}:".encode() + key.encode()).digest()
