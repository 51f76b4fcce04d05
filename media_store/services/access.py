"""Access to images: owners, and staff with the permission to see all."""

from django.contrib.auth.models import User
from django.db.models import QuerySet

from media_store.models import MediaAsset, MediaOwnership


def sees_all(user: User) -> bool:
    return user.is_staff and user.has_perm("media_store.view_mediaasset")


def visible_to(user: User) -> QuerySet[MediaAsset]:
    """The images that the user may see, newest first: their own, or all for staff with the permission."""
    assets = MediaAsset.objects.order_by("-pk")
    return assets if sees_all(user) else assets.filter(ownerships__owner=user)


def grant(asset: MediaAsset, owner: User) -> None:
    """Make the user an owner of the asset. Safe to repeat."""
    MediaOwnership.objects.bulk_create([MediaOwnership(asset=asset, owner=owner)], ignore_conflicts=True)
