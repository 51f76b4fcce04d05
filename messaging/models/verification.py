"""Verifications: a code is sent to a number, and whoever reads it there repeats it."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging import one_time_codes
from messaging.models.encrypted import EncryptedTextField
from messaging.models.message import MAX_PARTY_LENGTH

MAX_TRIES, MAX_SENDS = 5, 5


class Verification(models.Model):
    """One code for one number. The code itself is nowhere: `one_time_codes` computes it from the nonce and `SECRET_KEY`.

    `text` is what is sent, with a mask in place of the code at each of `offsets`; all sends have the same. `key_id` names the
    key that the code is made with. `tries` counts the codes that were checked.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        CANCELED = "canceled"
        EXPIRED = "expired"
        MAX_ATTEMPTS_REACHED = "max_attempts_reached"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    to_number = models.CharField(max_length=MAX_PARTY_LENGTH)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING)
    nonce = models.BinaryField(max_length=one_time_codes.NONCE_BYTES)
    key_id = models.CharField(max_length=one_time_codes.KEY_ID_LENGTH)
    code_length = models.PositiveSmallIntegerField()
    text = EncryptedTextField()
    offsets = models.JSONField()
    sender = models.CharField(max_length=MAX_PARTY_LENGTH, blank=True)
    template_id = models.UUIDField(null=True)
    template_version = models.PositiveIntegerField(null=True)
    sends = models.PositiveSmallIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    # The ids of the messages that told the code, oldest first.
    message_ids = models.JSONField(default=list)
    # As `VerificationCount` has it. The account is empty until one has sent the code.
    prefix = models.CharField(max_length=8)
    provider_slug = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField()
    last_sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [
            # Reader: erasure of a person, the search of the console
            models.Index(name="verification_to", fields=["to_number", "id"]),
            # Reader: verification.sweep, those that have expired
            models.Index(name="verification_expiry", fields=["expires_at"], condition=Q(status="pending")),
            # Reader: verification.sweep.attribute, those whose code may have been sent since
            models.Index(name="verification_uncounted", fields=["created_at"], condition=Q(provider_slug="")),
            # Reader: verification.sweep.purge
            models.Index(name="verification_age", fields=["created_at"]),
        ]
        constraints = [
            # Reader: verification.start, the pending one of this number
            models.UniqueConstraint(
                name="verification_one_pending", fields=["owner", "to_number"], condition=Q(status="pending")
            ),
            models.CheckConstraint(
                name="verification_status_known",
                condition=Q(
                    status__in=["pending", "approved", "canceled", "expired", "max_attempts_reached"],
                ),
            ),
            models.CheckConstraint(name="verification_tries_range", condition=Q(tries__lte=MAX_TRIES)),
            models.CheckConstraint(name="verification_sends_range", condition=Q(sends__lte=MAX_SENDS)),
        ]

    def __str__(self) -> str:
        return f"verification {self.pk}"


class VerificationLimit(models.Model):
    """How many codes were sent within an hour that began with the first of them.

    `key` is a scope and a keyed digest of the number, prefix or address, so that it tells neither.
    """

    key = models.CharField(primary_key=True, max_length=80)
    started_at = models.DateTimeField()
    count = models.PositiveIntegerField()

    class Meta:
        indexes = [
            # Reader: verification.sweep, those that are over
            models.Index(name="verification_limit_age", fields=["started_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.key.partition(':')[0]}: {self.count}"
