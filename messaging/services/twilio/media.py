"""The media that a client names by URL: stored before its message is accepted, or found where the URL is our own.

All files of a message are fetched within the client's request and within one deadline. If one of them cannot be had, nothing is
accepted and the client is told, so no text is sent without its picture and none is lost. Few requests at once may fetch: each
holds a thread of the web process. Calls of webhooks have threads of their own, and fetch without that limit.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Protocol
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.urls import Resolver404, resolve

from media_store import services as media
from media_store.errors import MediaError
from media_store.models import MediaAsset
from messaging import twilio_ids
from messaging.services.twilio.errors import MediaNotFetched, MediaUnavailable
from providers.http.public_addresses import AddressRefused, Guard
from providers.http.public_http import FetchFailed, PublicHttp, TooLarge

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 8.0
WAIT_SECONDS = 1.0
DEFAULT_PORTS = {"http": 80, "https": 443}

_fetching = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 2))


class Fetch(Protocol):
    """The content of a URL in chunks. Raises what `PublicHttp.fetch` raises."""

    def __call__(self, url: str, *, max_bytes: int, deadline_seconds: float) -> Iterator[bytes]: ...


def assets_of(urls: Sequence[str], *, owner: User, now: datetime, fetch: Fetch | None = None) -> tuple[UUID, ...]:
    """The ids of the assets, in order and each once. Raises `MediaNotFetched` or `MediaUnavailable`."""
    own = {url: _own_asset(url, owner, now) for url in urls}
    if None not in own.values():
        return tuple(dict.fromkeys(asset for asset in own.values() if asset is not None))
    if not _fetching.acquire(timeout=WAIT_SECONDS):
        raise MediaUnavailable("Too many media are being fetched; try again in a moment.")
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        found = [own[url] or _stored(url, owner, now, fetch or default_fetch, deadline) for url in own]
    finally:
        _fetching.release()
    return tuple(dict.fromkeys(found))


def asset_of(url: str, *, owner: User, now: datetime, fetch: Fetch | None = None) -> UUID:
    """The id of the asset, for a caller whose thread may wait. Raises `MediaNotFetched` or `MediaUnavailable`."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    return _own_asset(url, owner, now) or _stored(url, owner, now, fetch or default_fetch, deadline)


def _own_asset(url: str, owner: User, now: datetime) -> UUID | None:
    """The asset of a URL of this installation, which needs no fetch. The signature in a URL makes its sender an owner."""
    asset_id = _named_by(url)
    if asset_id is None:
        return None
    if media.visible_to(owner).filter(pk=asset_id).exists():
        return asset_id
    query = parse_qs(urlsplit(url).query, max_num_fields=10)
    expires, signature = query.get("expires", [""])[-1], query.get("signature", [""])[-1]
    if media.read_expiry(asset_id=asset_id, expires=expires, signature=signature, now=now) is None:
        raise MediaNotFetched("This is not one of your media.")
    asset = MediaAsset.objects.filter(pk=asset_id).first()
    if asset is None:
        raise MediaNotFetched("This is not one of your media.")
    media.grant(asset, owner)
    return asset_id


def _named_by(url: str) -> UUID | None:
    try:
        parts, ours = urlsplit(url), urlsplit(settings.PUBLIC_URL)
        origins = [(each.scheme, each.hostname, each.port or DEFAULT_PORTS.get(each.scheme)) for each in (parts, ours)]
        if origins[0] != origins[1] or not parts.path.startswith(ours.path):
            return None
        path = parts.path.removeprefix(ours.path)
        found = resolve(path if path.endswith("/") or "/api/" not in path else f"{path}/")
    except (ValueError, Resolver404):
        return None
    if found.url_name == "media-content":
        return UUID(str(found.kwargs["pk"]))
    return twilio_ids.asset_of(found.kwargs["media"]) if found.url_name == "twilio-media" else None


def _stored(url: str, owner: User, now: datetime, fetch: Fetch, deadline: float) -> UUID:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise MediaNotFetched("The media did not arrive in time.")
    try:
        chunks = fetch(url, max_bytes=settings.MEDIA_MAX_BYTES, deadline_seconds=seconds)
        return media.store(owner=owner, stream=chunks, now=now).asset.pk
    except (AddressRefused, TooLarge, FetchFailed, MediaError) as fault:
        logger.info("a client's media were not fetched: %s", type(fault).__name__)
        raise MediaNotFetched("A media URL is not public, does not respond, or leads to no image.") from None
    except OSError as fault:
        logger.error("a client's media cannot be stored: %s", type(fault).__name__)
        raise MediaUnavailable("The media cannot be stored now; try again in a moment.") from None


def default_fetch(url: str, *, max_bytes: int, deadline_seconds: float) -> Iterator[bytes]:
    return _http().fetch(url, max_bytes=max_bytes, deadline_seconds=deadline_seconds)


@cache
def _http() -> PublicHttp:
    return PublicHttp(Guard.allowing(settings.MEDIA_FETCH_ALLOWED_NETWORKS))
