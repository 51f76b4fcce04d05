"""Delete images, and files without a row."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db import router, transaction
from django.db.models import ProtectedError
from django.db.models.deletion import Collector

from media_store.errors import AssetInUse
from media_store.models import MediaAsset, MediaRendition
from media_store.services import files
from media_store.storage import PARTIAL

# A younger file without a row may be about to get one.
ORPHAN_AGE = timedelta(hours=1)
BATCH = 1_000


def delete(*, asset_id: UUID, owner: User | None) -> None:
    """Remove `owner` from the image; without `owner`, or after its last owner, delete the image itself.

    Raises `MediaAsset.DoesNotExist`, and `AssetInUse` while a protecting row, such as a message's attachment, refers to it.
    """
    with transaction.atomic():
        asset = MediaAsset.objects.select_for_update().get(pk=asset_id)
        _refuse_in_use(asset)
        if owner is not None:
            asset.ownerships.filter(owner=owner).delete()
            if asset.ownerships.exists():
                return
        profiles = list(asset.renditions.values_list("profile", flat=True))
        asset.delete()
        # A storage fault must not turn a committed deletion into an error: the sweep removes the files later.
        transaction.on_commit(lambda: discard(asset.sha256, now=asset.created_at, profiles=profiles), robust=True)


def _refuse_in_use(asset: MediaAsset) -> None:
    try:
        Collector(using=router.db_for_write(MediaAsset)).collect([asset])
    except ProtectedError:
        raise AssetInUse from None


def sweep(*, now: datetime) -> int:
    """Delete files without a row and partial files, both older than `ORPHAN_AGE`; return how many."""
    removed = 0
    for kind, sha256 in _orphans():
        if _is_old(files.name(kind, sha256), now):
            removed += discard(sha256, now=now)
    for sha256, profile in _orphaned_renditions():
        if _is_old(files.rendition_name(sha256, profile), now):
            removed += _discard_rendition(sha256, profile, now=now)
    for partial in _listed(PARTIAL)[1]:
        name = f"{PARTIAL}/{partial}"
        if _is_old(name, now):
            files.storage().delete(name)
            removed += 1
    return removed


def discard(sha256: str, *, now: datetime, profiles: Iterable[str] = ()) -> bool:
    """Delete the files of a hash that has no row. Return False when there is a row; then the files stay.

    A placeholder row holds the unique hash meanwhile. An upload of the same content has inserted its row before, so the files
    stay; or it waits for the placeholder, and then checks whether its files still exist.
    """
    placeholder = MediaAsset(sha256=sha256, content_type="image/png", size=0, width=0, height=0, created_at=now)
    with transaction.atomic():
        MediaAsset.objects.bulk_create([placeholder], ignore_conflicts=True)
        held = MediaAsset.objects.filter(pk=placeholder.pk)
        if not held.exists():
            return False
        files.remove(sha256, profiles=profiles)
        held.delete()
    return True


def _discard_rendition(sha256: str, profile: str, *, now: datetime) -> bool:
    """Delete the file of a copy that has no row. Return False when there is one by now.

    `renditions.make` locks the asset's row while it writes file and row, and so does this.
    """
    with transaction.atomic():
        asset = MediaAsset.objects.select_for_update().filter(sha256=sha256).first()
        if asset is not None:
            if asset.renditions.filter(profile=profile).exists():
                return False
            files.storage().delete(files.rendition_name(sha256, profile))
            return True
    return discard(sha256, now=now, profiles=[profile])


def _orphans() -> Iterator[tuple[str, str]]:
    for kind in files.KINDS:
        for folder in _listed(kind)[0]:
            names = [name for name in _listed(f"{kind}/{folder}")[1] if files.SHA256.fullmatch(name)]
            for at in range(0, len(names), BATCH):
                batch = names[at : at + BATCH]
                known = set(MediaAsset.objects.filter(sha256__in=batch).values_list("sha256", flat=True))
                yield from ((kind, name) for name in batch if name not in known)


def _orphaned_renditions() -> Iterator[tuple[str, str]]:
    for folder in _listed(files.RENDITION)[0]:
        names = filter(None, map(files.SHA256_AND_PROFILE.fullmatch, _listed(f"{files.RENDITION}/{folder}")[1]))
        found = [(name[1], name[2]) for name in names]
        for at in range(0, len(found), BATCH):
            batch = found[at : at + BATCH]
            rows = MediaRendition.objects.filter(asset__sha256__in={sha256 for sha256, _ in batch})
            known = set(rows.values_list("asset__sha256", "profile"))
            yield from (each for each in batch if each not in known)


def _listed(folder: str) -> tuple[list[str], list[str]]:
    """Subfolders and files; both empty when the folder does not exist."""
    with suppress(FileNotFoundError):
        return files.storage().listdir(folder)
    return [], []


def _is_old(name: str, now: datetime) -> bool:
    with suppress(FileNotFoundError):
        return files.storage().get_modified_time(name) < now - ORPHAN_AGE
    return False
