"""A message's history."""

from django.conf import settings
from django.db import models
from uuid_utils.compat import uuid7

from messaging.models.message import Message
from messaging.states import Source


class MessageEvent(models.Model):
    """One status change, written in the transaction of the change. `from_status` is empty for the creation.

    The creation has a row only where the message does not tell it: read with `messaging.services.transitions.history`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="events", db_index=False)
    at = models.DateTimeField()
    from_status = models.CharField(max_length=12, blank=True)
    to_status = models.CharField(max_length=12)
    source = models.CharField(max_length=12, choices=[(s, s) for s in Source])
    provider_slug = models.CharField(max_length=40, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            # Reader: transitions.history
            models.Index(name="event_message", fields=["message", "id"]),
        ]

    def __str__(self) -> str:
        return f"{self.from_status or 'new'} → {self.to_status}"
