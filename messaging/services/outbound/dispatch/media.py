"""The media of an attempt as its account takes them: the limits of MMS, smaller copies of images, and signed URLs.

Copies are made here, in the thread of a call and outside any transaction, because only here the account is known and a refusal
still leads to another one (docs/decisions/0049-scaled-copies.md). One thread of a process makes them; other calls are deferred.
"""

import logging
import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from media_store import services as media
from media_store.content_types import IMAGE_TYPES
from media_store.errors import CannotScale, DecoderBusy
from media_store.models import MediaAsset
from media_store.scaling import Profile
from messaging.services.outbound.attachments import OutgoingFile
from providers.contract.media_limits import MediaLimits
from providers.errors import MediaRefused, NotCalled
from providers.send_gate import RetryAfter

logger = logging.getLogger(__name__)

# Providers fetch a file some time after the call, and again when their carrier was unavailable.
URL_LIFETIME = timedelta(days=1)
# How long a call waits for the copy of another message's image.
BUSY_SECONDS = 0.5
# The shares of a message's images are rounded down to this, so that many messages use the same copy.
SHARE_STEP = 10_000
SMALLEST_SHARE = 2_000
TYPE_REFUSED = "media_type_refused"


def urls_of(files: Sequence[OutgoingFile], limits: MediaLimits, *, now: datetime) -> tuple[str, ...]:
    """Signed URLs for the provider to fetch, in order, valid for `URL_LIFETIME`. Copies that are missing are made.

    Raises `MediaRefused`, `NotCalled` when a copy cannot be made for a reason that may pass, or `RetryAfter` while this process
    decodes another image.
    """
    profiles = fit([file.asset for file in files], limits)
    for file, profile in zip(files, profiles, strict=True):
        if profile is not None and profile.name not in file.profiles:
            _make(file.asset, profile, now)
    return tuple(
        media.signed_url(
            file.asset,
            public_url=settings.PUBLIC_URL,
            lifetime=URL_LIFETIME,
            now=now,
            profile=profile.name if profile else "",
        )
        for file, profile in zip(files, profiles, strict=True)
    )


def fit(assets: Sequence[MediaAsset], limits: MediaLimits) -> list[Profile | None]:
    """The profile of the copy that is sent in place of each file, or None where the file is sent itself.

    Files that are no images take what they need of `message_bytes`; images share the rest, and those that need less than an
    equal share leave it to the others. Raises `MediaRefused`.
    """
    left = limits.message_bytes
    for asset in assets:
        if not _is_image(asset):
            _check_file(asset, limits)
            left = None if left is None else left - _size(asset)
    if left is not None and left < 0:
        raise MediaRefused(f"The files are larger than the {limits.message_bytes:,} bytes that the account takes.")
    images = [asset for asset in assets if _is_image(asset)]
    share = _share([math.inf if _must_change(asset, limits) else _size(asset) for asset in images], left)
    if share is not None and share < SMALLEST_SHARE:
        raise MediaRefused(
            f"{len(images)} images do not fit into the {limits.message_bytes:,} bytes that the account takes."
        )
    copy = Profile(max_bytes=_smaller(limits.file_bytes, share), max_side=limits.max_side)
    return [
        copy if _is_image(asset) and (_must_change(asset, limits) or _is_larger(asset, share)) else None
        for asset in assets
    ]


def _share(needs: Sequence[float], left: int | None) -> int | None:
    """What each image may have of the bytes that are left; None if all may have what they need."""
    if left is None:
        return None
    for position, need in enumerate(sorted(needs)):
        share = left // (len(needs) - position)
        if need > share:
            return share // SHARE_STEP * SHARE_STEP or share
        left -= int(need)
    return None


def _must_change(image: MediaAsset, limits: MediaLimits) -> bool:
    """Whether the image itself is too large, or of a type that the account does not take."""
    longer_side = max(image.width or 0, image.height or 0)
    return (
        (limits.content_types is not None and _content_type(image) not in limits.content_types)
        or (limits.max_side is not None and longer_side > limits.max_side)
        or _is_larger(image, limits.file_bytes)
    )


def _check_file(file: MediaAsset, limits: MediaLimits) -> None:
    if limits.content_types is not None and file.content_type not in limits.content_types:
        raise MediaRefused(f"The account does not take {file.content_type}.", code=TYPE_REFUSED)
    if _is_larger(file, limits.file_bytes):
        raise MediaRefused(f"A file is larger than the {limits.file_bytes:,} bytes that the account takes.")


def _is_image(asset: MediaAsset) -> bool:
    return asset.content_type in IMAGE_TYPES


def _content_type(asset: MediaAsset) -> str:
    return asset.clean_content_type or asset.content_type


def _size(asset: MediaAsset) -> int:
    """In bytes, without metadata."""
    return asset.size if asset.clean_size is None else asset.clean_size


def _is_larger(asset: MediaAsset, max_bytes: int | None) -> bool:
    return max_bytes is not None and _size(asset) > max_bytes


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def _make(asset: MediaAsset, profile: Profile, now: datetime) -> None:
    try:
        media.make_rendition(asset, profile, now=now)
    except DecoderBusy:
        raise RetryAfter(BUSY_SECONDS) from None
    except CannotScale as error:
        size = f"{_content_type(asset)} of {asset.width} x {asset.height} pixels and {_size(asset):,} bytes"
        raise MediaRefused(f"The account takes no {size}. {error.detail}") from None
    except Exception as error:  # noqa: BLE001 (a fault of storage or database before the call: provably not accepted)
        logger.error("no smaller copy of image %s could be made (%s)", asset.pk, type(error).__name__)
        raise NotCalled("A smaller copy of an image could not be made.") from None
    finally:
        # Threads of calls keep no connection: most of them never need one.
        if not connection.in_atomic_block:
            connection.close()
