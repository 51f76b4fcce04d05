"""Images, stored once for each content, and their owners."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from media_store.validation import CONTENT_TYPES


class MediaAsset(models.Model):
    """One image content. Its files are named by `sha256`. `clean_size` is the size of the copy without metadata; null when the
    image has no metadata to remove.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=10, choices=[(name, name) for name in CONTENT_TYPES])
    size = models.PositiveIntegerField()
    clean_size = models.PositiveIntegerField(null=True)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    frames = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    owners = models.ManyToManyField(settings.AUTH_USER_MODEL, through="MediaOwnership", related_name="media_assets")

    class Meta:
        ordering = ["-id"]
        verbose_name = "image"
        constraints = [
            # Also the index of every query by content: store, sweep
            models.UniqueConstraint(name="asset_once_per_content", fields=["sha256"]),
            models.CheckConstraint(
                name="asset_content_type_word",
                condition=Q(content_type__in=["image/jpeg", "image/png", "image/gif", "image/webp"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.content_type} {self.width}x{self.height}, {self.sha256[:12]}"


class MediaOwnership(models.Model):
    """A user who uploaded or received the image."""

    id = models.BigAutoField(primary_key=True)
    asset = models.ForeignKey(MediaAsset, on_delete=models.CASCADE, related_name="ownerships", db_index=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="media_ownerships", db_index=False
    )

    class Meta:
        indexes = [
            # Reader: removal.delete, whether owners are left
            models.Index(name="ownership_asset", fields=["asset"]),
        ]
        constraints = [
            # Also the reader's index: GET /media/ of one owner
            models.UniqueConstraint(name="asset_once_per_owner", fields=["owner", "asset"]),
        ]

    def __str__(self) -> str:
        return f"{self.owner_id} has {self.asset_id}"
