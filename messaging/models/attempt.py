"""Delivery attempts: calls to providers and their outcomes."""

from django.db import models
from django.db.models import F, Q
from uuid_utils.compat import uuid7

from messaging import provider_ids
from messaging.models.message import Message
from providers.models import ProviderAccount


class DeliveryAttempt(models.Model):
    """One call to one provider, stored before the call. Its outcome is `calling` while it is open."""

    class Outcome(models.TextChoices):
        CALLING = "calling"
        ACCEPTED = "accepted"
        UNAVAILABLE = "unavailable"
        REJECTED = "rejected"
        UNKNOWN = "unknown"

    class PriceSource(models.TextChoices):
        CONFIGURED = "configured"  # of the account, when the carrier accepted the message
        PROVIDER = "provider"  # the carrier's own

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="delivery_attempts", db_index=False)
    number = models.PositiveSmallIntegerField()
    provider = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    claim_id = models.UUIDField()
    outcome = models.CharField(max_length=12, choices=Outcome.choices, default=Outcome.CALLING)
    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.CharField(max_length=300, blank=True)
    provider_message_id = models.CharField(max_length=128, blank=True)
    # How often the provider was queried for the status; only for attempts whose outcome is unknown.
    look_ups = models.PositiveSmallIntegerField(default=0)
    latency_ms = models.PositiveIntegerField(null=True)
    # Of all segments, where the carrier accepted the message and the price is known; empty otherwise.
    price = models.DecimalField(max_digits=16, decimal_places=6, null=True)
    currency = models.CharField(max_length=3, db_default="", default="", blank=True)
    price_source = models.CharField(max_length=10, db_default="", default="", blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["number"]
        indexes = [
            # Reader: reconciliation.reconcile, attempts with unknown outcome, oldest first
            models.Index(name="attempt_unknown", fields=["finished_at"], condition=Q(outcome="unknown")),
            # Reader: receipt_matching, the newest attempts with an id. A provider may use an id again
            models.Index(
                name="attempt_provider_id",
                fields=["provider", "provider_message_id", "id"],
                condition=~Q(provider_message_id=""),
            ),
            # Reader: receipt_matching, other spellings of an id. Not partial: PostgreSQL does not use the statistics of an
            # expression in a partial index, and then reads the whole table
            models.Index(
                F("provider"),
                provider_ids.key("provider_message_id"),
                name="attempt_provider_id_key",
            ),
        ]
        constraints = [
            # Reader: GET /messages/{id}/attempts/
            models.UniqueConstraint(name="attempt_number_of_message", fields=["message", "number"]),
            # A message never has two calls in flight
            models.UniqueConstraint(
                name="attempt_one_open_of_message", fields=["message"], condition=Q(outcome="calling")
            ),
            models.CheckConstraint(
                name="attempt_outcome_word",
                condition=Q(outcome__in=["calling", "accepted", "unavailable", "rejected", "unknown"]),
            ),
            models.CheckConstraint(
                name="attempt_open_or_finished",
                condition=Q(outcome="calling", finished_at__isnull=True)
                | (~Q(outcome="calling") & Q(finished_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.message_id}"


class AttemptPart(models.Model):
    """One part of a long text whose provider gives each part an id, and what receipts reported about it.

    The row without an id has the receipts of the attempt that name none of its parts.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    attempt = models.ForeignKey(DeliveryAttempt, on_delete=models.CASCADE, related_name="parts", db_index=False)
    provider = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    provider_message_id = models.CharField(max_length=128, blank=True)
    reported = models.CharField(max_length=16, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            # Reader: receipt_matching, the newest parts with an id
            models.Index(
                name="part_provider_id",
                fields=["provider", "provider_message_id", "id"],
                condition=~Q(provider_message_id=""),
            ),
            # Reader: receipt_matching, other spellings of an id. Not partial: PostgreSQL does not use the statistics of an
            # expression in a partial index, and then reads the whole table
            models.Index(
                F("provider"),
                provider_ids.key("provider_message_id"),
                name="part_provider_id_key",
            ),
        ]
        constraints = [
            # Reader: receipt_results, all parts of one attempt
            models.UniqueConstraint(name="part_once_per_attempt", fields=["attempt", "provider_message_id"]),
        ]

    def __str__(self) -> str:
        return f"a part of attempt {self.attempt_id}"
