"""Hourly counters, so that statistics need no counting of rows."""

from datetime import UTC, datetime

from django.db import models

NO_OWNER = 0
EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Rollup(models.Model):
    """`count` events of one kind in one hour; `seconds` is the sum of their durations.

    A key has one row for each hour and one of all time, of the hour `EVER`. `CountJournal` has the counts that are not in these
    rows yet.
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

    class Meta:
        constraints = [
            # Reader: rollups.compact and all of `services.reporting.statistics`
            models.UniqueConstraint(
                name="rollup_one_total", fields=["hour", "measure", "owner_id", "provider_slug", "word"]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.measure} {self.word}: {self.count}"


class CountJournal(models.Model):
    """The counts of one transaction, until `services.reporting.rollups.compact` adds them to the totals.

    Each transaction appends a row of its own, so that workers never wait for each other's rows. `counts` is JSON: a list of
    [hour in seconds since 1970, measure, owner_id, provider_slug, word, count, seconds].
    """

    id = models.BigAutoField(primary_key=True)
    counts = models.TextField()

    def __str__(self) -> str:
        return self.counts
