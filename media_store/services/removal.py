"""Deletes images, and files that no row knows."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db import router, transaction
from django.db.models import ProtectedError
from django.db.models.deletion import Collector

from media_store.errors import AssetInUse
from media_store.models import MediaAsset
from media_store.services import files
from media_store.storage import PARTIAL

# A file without a row that is younger may be about to get one.
ORPHAN_AGE = timedelta(hours=1)
BATCH = 1_000


def delete(*, asset_id: UUID, owner: User | None) -> None:
    """`owner` gives the image up, and with its last owner it is gone; without `owner` it is gone for everybody.

    Raises `MediaAsset.DoesNotExist`, and `AssetInUse` while anything that protects it refers to it, whoever deletes.
    """
    with transaction.atomic():
        asset = MediaAsset.objects.select_for_update().get(pk=asset_id)
        _refuse_in_use(asset)
        if owner is not None:
            asset.ownerships.filter(owner=owner).delete()
            if asset.ownerships.exists():
                return
        asset.delete()
        # A storage that fails now must not turn a deletion that is done into an error: the sweep comes by.
        transaction.on_commit(lambda: discard(asset.sha256, now=asset.created_at), robust=True)


def _refuse_in_use(asset: MediaAsset) -> None:
    try:
        Collector(using=router.db_for_write(MediaAsset)).collect([asset])
    except ProtectedError:
        raise AssetInUse from None


def sweep(*, now: datetime) -> int:
    """Remove what a crash has left: files without a row and half-written ones, both older than an hour. Returns how many."""
    removed = 0
    for kind, sha256 in _orphans():
        if _is_old(files.name(kind, sha256), now):
            removed += discard(sha256, now=now)
    for partial in _listed(PARTIAL)[1]:
        name = f"{PARTIAL}/{partial}"
        if _is_old(name, now):
            files.storage().delete(name)
            removed += 1
    return removed


def discard(sha256: str, *, now: datetime) -> bool:
    """Remove the files of a content that has no row; says whether it had none.

    A row of our own holds the unique hash meanwhile: an upload of the same content has either inserted its row before, and
    then the files stay, or it waits for us, and then looks whether its files are still there.
    """
    ours = MediaAsset(sha256=sha256, content_type="image/png", size=0, width=0, height=0, created_at=now)
    with transaction.atomic():
        MediaAsset.objects.bulk_create([ours], ignore_conflicts=True)
        held = MediaAsset.objects.filter(pk=ours.pk)
        if not held.exists():
            return False
        files.remove(sha256)
        held.delete()
    return True


def _orphans() -> Iterator[tuple[str, str]]:
    for kind in files.KINDS:
        for folder in _listed(kind)[0]:
            names = [name for name in _listed(f"{kind}/{folder}")[1] if files.SHA256.fullmatch(name)]
            for at in range(0, len(names), BATCH):
                batch = names[at : at + BATCH]
                known = set(MediaAsset.objects.filter(sha256__in=batch).values_list("sha256", flat=True))
                yield from ((kind, name) for name in batch if name not in known)


def _listed(folder: str) -> tuple[list[str], list[str]]:
    """Folders and files; of a folder that is not there, none."""
    with suppress(FileNotFoundError):
        return files.storage().listdir(folder)
    return [], []


def _is_old(name: str, now: datetime) -> bool:
    with suppress(FileNotFoundError):
        return files.storage().get_modified_time(name) < now - ORPHAN_AGE
    return False
