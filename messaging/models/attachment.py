"""Media files of a message."""

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from media_store.models import MediaAsset
from messaging.models.message import Message

MAX_ATTACHMENTS = 10


class Attachment(models.Model):
    """One file of one message. A file from a provider's callback has a URL first, and an asset once it is fetched.

    `next_attempt_at` is set while the file is to be fetched; a worker moves it forward as its lease. A file that is given up
    has `error_code`, for programs, and `error`, a sentence. A file that was never named has neither asset nor URL, but these.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="attachments", db_index=False)
    position = models.PositiveSmallIntegerField()
    asset = models.ForeignKey(MediaAsset, null=True, on_delete=models.PROTECT, related_name="attachments")
    source_url = models.CharField(max_length=2000, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True)
    error_code = models.CharField(max_length=40, blank=True, default="", db_default="")

    class Meta:
        ordering = ["position"]
        constraints = [
            # Reader: a message's media in order
            models.UniqueConstraint(name="attachment_position", fields=["message", "position"]),
            models.UniqueConstraint(
                name="attachment_asset_once", fields=["message", "asset"], condition=Q(asset__isnull=False)
            ),
            models.CheckConstraint(
                name="attachment_asset_address_or_error",
                condition=Q(asset__isnull=False) | ~Q(source_url="") | ~Q(error_code=""),
            ),
            models.CheckConstraint(
                name="attachment_fetched_or_waiting", condition=Q(asset__isnull=True) | Q(next_attempt_at__isnull=True)
            ),
        ]
        indexes = [
            # Reader: inbound.media.fetch_due
            models.Index(
                name="attachment_to_fetch", fields=["next_attempt_at"], condition=Q(next_attempt_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"file {self.position} of {self.message_id}"
