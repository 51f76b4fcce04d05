"""The log of client events: the source of webhooks and live streams."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging.event_types import EventType


class ClientEvent(models.Model):
    """One event of one owner, written in the transaction of the change.

    `sequence` is null until `messaging.services.webhooks.event_log` numbers the event after its commit. A reader that has an
    owner's events up to some number has all below it, in whatever order the transactions committed. Numbers increase, with
    gaps. `snapshot` has the message's changing fields at the time of the event.
    """

    # A counter of the database: a message's later event has the larger id, whatever the clocks of the hosts say.
    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    type = models.CharField(max_length=32, choices=[(t, t) for t in EventType])
    at = models.DateTimeField()
    # No foreign key: a delivered event may outlive its message.
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
            # Reader: live streams and repeated deliveries of one owner, in order
            models.UniqueConstraint(name="clientevent_sequence_of_owner", fields=["owner", "sequence"]),
            models.CheckConstraint(name="clientevent_type_word", condition=Q(type__in=sorted(EventType))),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.public_id}"


class EventLog(models.Model):
    """One row with the last sequence number. Numbering events requires its lock."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    last_sequence = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(name="eventlog_one_row", condition=Q(id=1))]
