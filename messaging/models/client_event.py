"""The log of what clients are told: the source of callbacks and of live streams."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging.event_types import EventType


class ClientEvent(models.Model):
    """One thing that happened to an owner, written in the transaction in which it happened.

    `sequence` is null until `messaging.services.webhooks.event_log` numbers the event, after its commit: a reader of an
    owner's events up to a number has missed none below it, in whatever order the transactions were committed. Numbers rise and
    have gaps. `snapshot` holds what the message was then, as far as it changes.
    """

    # By the database's own counter: a message's later event has the larger id, whatever the clocks of the hosts say.
    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    type = models.CharField(max_length=32, choices=[(t, t) for t in EventType])
    at = models.DateTimeField()
    # No foreign key: an event that has been told may outlive its message.
    message_id = models.UUIDField(null=True)
    has_callback_url = models.BooleanField(default=False)
    snapshot = models.JSONField()
    sequence = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            # Reader: event_log.number
            models.Index(name="clientevent_unnumbered", fields=["id"], condition=Q(sequence__isnull=True)),
            # Reader: GET /live/messages/{id}/
            models.Index(name="clientevent_of_message", fields=["message_id", "sequence"]),
        ]
        constraints = [
            # Also the reader's index: live streams, and what is delivered again, of one owner in order
            models.UniqueConstraint(name="clientevent_sequence_of_owner", fields=["owner", "sequence"]),
            models.CheckConstraint(name="clientevent_type_word", condition=Q(type__in=sorted(EventType))),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.public_id}"


class EventLog(models.Model):
    """One row: the last number that was given. Whoever numbers events holds its lock."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    last_sequence = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(name="eventlog_one_row", condition=Q(id=1))]
