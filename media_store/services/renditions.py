"""Smaller copies of images for providers with limits: made once for each image and profile.

The file is written before the row, in a transaction that locks the asset's row: two makers of a copy wait for each other, and
so do a maker and a deletion or a sweep. A crash between file and row leaves a file without a row, which the sweep removes.
"""

from collections.abc import Iterable
from datetime import datetime
from tempfile import TemporaryFile
from uuid import UUID

from django.db import transaction

from media_store import scaling
from media_store.errors import DecoderBusy
from media_store.models import MediaAsset, MediaRendition
from media_store.scaling import Profile, Scaled
from media_store.services import files
from media_store.validation.decoding import ONE_AT_A_TIME

CHUNK_BYTES = 64 * 1024


def profiles_of(asset_ids: Iterable[UUID]) -> set[tuple[UUID, str]]:
    """The copies that exist, as ids of assets and names of profiles."""
    rows = MediaRendition.objects.filter(asset__in=set(asset_ids))
    return set(rows.values_list("asset_id", "profile"))


def make(asset: MediaAsset, profile: Profile, *, now: datetime) -> MediaRendition:
    """The copy of the image that fits the profile; it may exist already. Takes up to two seconds, outside a transaction.

    Raises `CannotScale`; `DecoderBusy` at once while this process decodes another image; `MediaAsset.DoesNotExist`; and what
    the storage raises. Then nothing is stored.
    """
    made = MediaRendition.objects.filter(asset=asset, profile=profile.name).first()
    if made is not None:
        return made
    if not ONE_AT_A_TIME.acquire(blocking=False):
        raise DecoderBusy
    try:
        scaled = _scaled(asset, profile)
    finally:
        ONE_AT_A_TIME.release()
    return _insert(asset, profile, scaled, now)


def drop_lost(asset: MediaAsset) -> None:
    """Delete the rows of copies whose files are lost, so that they are made again. The caller has locked the asset's row."""
    lost = [
        copy.pk
        for copy in asset.renditions.all()
        if not files.storage().exists(files.rendition_name(asset.sha256, copy.profile))
    ]
    if lost:
        asset.renditions.filter(pk__in=lost).delete()


def _scaled(asset: MediaAsset, profile: Profile) -> Scaled:
    """Pillow seeks a lot, so it gets a local copy of the file."""
    kind = files.ORIGINAL if asset.clean_size is None else files.CLEAN
    with TemporaryFile() as image:
        with files.open_file(kind, asset.sha256) as stored:
            for chunk in stored.chunks(CHUNK_BYTES):
                image.write(chunk)
        return scaling.scale(image, profile)


def _insert(asset: MediaAsset, profile: Profile, scaled: Scaled, now: datetime) -> MediaRendition:
    with transaction.atomic():
        asset = MediaAsset.objects.select_for_update().get(pk=asset.pk)
        made = asset.renditions.filter(profile=profile.name).first()
        if made is not None:  # another worker was faster
            return made
        files.replace_rendition(asset.sha256, profile.name, scaled.content)
        return MediaRendition.objects.create(
            asset=asset,
            profile=profile.name,
            content_type=scaling.CONTENT_TYPE,
            size=len(scaled.content),
            width=scaled.width,
            height=scaled.height,
            created_at=now,
        )
