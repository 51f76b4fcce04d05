"""Who may see which images."""

from django.contrib.auth.models import User
from django.db.models import QuerySet

from media_store.models import MediaAsset, MediaOwnership


def sees_all(user: User) -> bool:
    return user.is_staff and user.has_perm("media_store.view_mediaasset")


def visible_to(user: User) -> QuerySet[MediaAsset]:
    """The user's own, newest first; staff with the permission see all."""
    assets = MediaAsset.objects.order_by("-pk")
    return assets if sees_all(user) else assets.filter(ownerships__owner=user)


def grant(asset: MediaAsset, owner: User) -> None:
    """From now on the owner sees the asset; a second time changes nothing."""
    MediaOwnership.objects.bulk_create([MediaOwnership(asset=asset, owner=owner)], ignore_conflicts=True)
