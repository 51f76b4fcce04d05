"""Signed URLs by which providers fetch one image, without authentication and for a limited time."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.urls import reverse

from media_store.models import MediaAsset

_SALT = "media_store.content"
MAX_DIGITS = 11  # of a time in seconds


def signed_url(asset: MediaAsset, *, public_url: str, lifetime: timedelta, now: datetime, profile: str = "") -> str:
    """A URL of the image without its metadata, or of its copy for a profile, valid for `lifetime`."""
    expires = str(int((now + lifetime).timestamp()))
    signature = _signer().signature(_claim(asset.pk, expires, profile))
    query = urlencode({"expires": expires, **({"profile": profile} if profile else {}), "signature": signature})
    return f"{public_url.rstrip('/')}{reverse('media-content', args=[asset.pk])}?{query}"


def read_expiry(*, asset_id: UUID, expires: str, signature: str, now: datetime, profile: str = "") -> datetime | None:
    """The time at which the URL expires; None when its signature is wrong or it has expired."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= MAX_DIGITS):
        return None
    try:
        _signer().unsign(f"{_claim(asset_id, expires, profile)}:{signature}")
    except BadSignature:
        return None
    expires_at = datetime.fromtimestamp(int(expires), UTC)
    return expires_at if expires_at > now else None


def _signer() -> Signer:
    """Uses SECRET_KEY and its fallbacks; compares in constant time."""
    return Signer(salt=_SALT, sep=":")


def _claim(asset_id: UUID, expires: str, profile: str) -> str:
    return f"{asset_id}.{expires}.{profile}" if profile else f"{asset_id}.{expires}"
