"""Providers' callbacks, stored raw before they are applied."""

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging.models.attempt import DeliveryAttempt
from messaging.models.encrypted import EncryptedTextField
from messaging.models.message import Message
from providers.models import ProviderAccount


class ProviderCallback(models.Model):
    """One receipt of an authenticated callback. `unmatched` ones wait until the provider's message id is known.

    An unmatched receipt with a `note` waits no longer: the note says why it moves no message. Inbound texts are stored as
    messages; malformed ones are stored here, and what of a text is too long for its message.
    """

    class Kind(models.TextChoices):
        STATUS = "status"
        INBOUND = "inbound"

    class State(models.TextChoices):
        UNMATCHED = "unmatched"
        APPLIED = "applied"
        IGNORED = "ignored"
        MALFORMED = "malformed"

    # Callbacks that belong to no message: they are deleted only by age.
    LOOSE = (State.UNMATCHED, State.MALFORMED)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.STATUS)
    received_at = models.DateTimeField()
    body = EncryptedTextField()
    digest = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices)
    provider_message_id = models.CharField(max_length=128, blank=True)
    # The id folded (`messaging.provider_ids`), or as it is if it has no other spellings.
    id_key = models.CharField(max_length=128, blank=True, default="", db_default="")
    # When the sweep looks for the attempt of a parked receipt again; null if it does so no longer.
    match_at = models.DateTimeField(null=True)
    reported = models.CharField(max_length=16, blank=True)
    word = models.CharField(max_length=64, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    # The carrier's own price of the message, where the receipt tells it.
    price = models.DecimalField(max_digits=16, decimal_places=6, null=True)
    currency = models.CharField(max_length=3, db_default="", default="", blank=True)
    attempt = models.ForeignKey(DeliveryAttempt, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    message = models.ForeignKey(Message, null=True, on_delete=models.SET_NULL, related_name="callbacks", db_index=False)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # An identical callback is stored once
            models.UniqueConstraint(name="callback_digest", fields=["provider", "digest"]),
        ]
        indexes = [
            # Reader: receipts.match_parked when an attempt's provider id is stored, and receipts.sweep_parked
            models.Index(name="callback_parked_id", fields=["provider", "id_key"], condition=Q(state="unmatched")),
            # Reader: receipts.sweep_parked
            models.Index(
                name="callback_match_due", fields=["match_at"], condition=Q(state="unmatched", match_at__isnull=False)
            ),
            # Reader: receipts.match_parked, and the deletion of attempts
            models.Index(name="callback_attempt", fields=["attempt"], condition=Q(attempt__isnull=False)),
            # Reader: recovery.purge and redaction
            models.Index(
                name="callback_loose", fields=["received_at"], condition=Q(state__in=["unmatched", "malformed"])
            ),
            # Reader: the console's page of one message
            models.Index(name="callback_message", fields=["message"], condition=Q(message__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.provider_id}: {self.word or 'callback'}"
