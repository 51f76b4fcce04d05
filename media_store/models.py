"""Images and other files, stored once for each content, and their owners."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from media_store.content_types import MEDIA_TYPES


class MediaAsset(models.Model):
    """One image or other file. Its contents are named by `sha256`.

    `clean_size` is the size of the copy that goes out: without metadata, or of another type (`clean_content_type`, otherwise
    empty); null when the original goes out as it is. Width and height are in pixels, of the copy that goes out. An orientation
    in EXIF, which a JPEG, PNG or WebP keeps, is not applied to them; a HEIC or AVIF goes out upright. Null for a file that is
    not an image. `frames` counts those of the copy: 1 for a HEIC or AVIF.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=20, choices=[(name, name) for name in MEDIA_TYPES])
    size = models.PositiveIntegerField()
    clean_size = models.PositiveIntegerField(null=True)
    clean_content_type = models.CharField(max_length=20, blank=True, default="", db_default="")
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
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
                name="asset_content_type_known",
                condition=Q(content_type__in=list(MEDIA_TYPES)),
            ),
            models.CheckConstraint(
                name="asset_image_has_size",
                condition=Q(width__isnull=False, height__isnull=False) | ~Q(content_type__startswith="image/"),
            ),
        ]

    def __str__(self) -> str:
        size = f" {self.width}x{self.height}" if self.width else ""
        return f"{self.content_type}{size}, {self.sha256[:12]}"


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


class MediaRendition(models.Model):
    """A smaller copy of an image, made for providers that take no larger one. `profile` names their limits."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    asset = models.ForeignKey(MediaAsset, on_delete=models.CASCADE, related_name="renditions", db_index=False)
    profile = models.CharField(max_length=40)
    content_type = models.CharField(max_length=20)
    size = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            # Also the index of its reader: the copy for one profile
            models.UniqueConstraint(name="rendition_once_per_profile", fields=["asset", "profile"]),
        ]

    def __str__(self) -> str:
        return f"{self.asset_id} for {self.profile}"
