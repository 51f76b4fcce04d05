"""Addresses under which a provider fetches an image: no log-in, one asset, for a time."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.urls import reverse

from media_store.models import MediaAsset

_SALT = "media_store.content"
MAX_DIGITS = 11  # of a moment in seconds


def signed_url(asset: MediaAsset, *, public_url: str, lifetime: timedelta, now: datetime) -> str:
    """What is fetched there is the rendition without metadata."""
    expires = str(int((now + lifetime).timestamp()))
    signature = _signer().signature(_claim(asset.pk, expires))
    query = urlencode({"expires": expires, "signature": signature})
    return f"{public_url.rstrip('/')}{reverse('media-content', args=[asset.pk])}?{query}"


def read_expiry(*, asset_id: UUID, expires: str, signature: str, now: datetime) -> datetime | None:
    """Until when the address is good, or None for one that is not, or no more."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= MAX_DIGITS):
        return None
    try:
        _signer().unsign(f"{_claim(asset_id, expires)}:{signature}")
    except BadSignature:
        return None
    moment = datetime.fromtimestamp(int(expires), UTC)
    return moment if moment > now else None


def _signer() -> Signer:
    """With SECRET_KEY and its fallbacks; compares in constant time."""
    return Signer(salt=_SALT, sep=":")


def _claim(asset_id: UUID, expires: str) -> str:
    return f"{asset_id}.{expires}"
