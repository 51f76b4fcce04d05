"""Hourly counters, so that statistics need no counting of rows."""

from datetime import UTC, datetime

from django.db import models
from django.db.models import Q

NO_OWNER = 0
EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Rollup(models.Model):
    """`count` events of one kind in one hour; `seconds` is the sum of their durations.

    Each transaction appends its own rows, which are not `folded`, so that workers never wait for each other's rows.
    `services.reporting.rollups.compact` adds them to the one folded row of their key and hour, and to that of the hour `EVER`.
    The total of an hour is the sum of all its rows; the total ever is the sum of `EVER` and all rows that are not folded.
    """

    class Metric(models.TextChoices):
        # `word` is a status
        ENTERED = "entered"  # `seconds` since the message was due; with a provider where one has it
        LEFT = "left"
        REMOVED = "removed"  # the row was erased while it had this status
        # `word` is an outcome or a state; of a provider, without an owner
        ATTEMPT = "attempt"
        CALLBACK = "callback"
        WEBHOOK = "webhook"  # a call to a client's endpoint; of no provider
        # Histograms: `word` is the upper bound of a bucket; of a provider, without an owner
        TO_SENT = "to_sent"
        TO_DELIVERED = "to_delivered"
        CALL = "call"

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    measure = models.CharField(max_length=12)
    # Not a foreign key: counters are kept when the user is deleted. Zero means no user.
    owner_id = models.BigIntegerField(default=NO_OWNER)
    provider_slug = models.CharField(max_length=40, blank=True)
    word = models.CharField(max_length=12)
    count = models.BigIntegerField()
    seconds = models.FloatField(default=0.0)
    folded = models.BooleanField(default=False)

    class Meta:
        constraints = [
            # Reader: rollups.compact and all of `services.reporting.statistics`
            models.UniqueConstraint(
                name="rollup_one_total",
                fields=["hour", "measure", "owner_id", "provider_slug", "word"],
                condition=Q(folded=True),
            ),
        ]
        indexes = [
            # Reader: rollups.compact and all sums
            models.Index(name="rollup_unfolded", fields=["id"], condition=Q(folded=False)),
        ]

    def __str__(self) -> str:
        return f"{self.measure} {self.word}: {self.count}"
