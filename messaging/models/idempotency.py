"""Stored responses, by the client's Idempotency-Key."""

from django.conf import settings
from django.db import models

from messaging.models.encrypted import EncryptedTextField


class IdempotencyRecord(models.Model):
    """The first response to one key of one owner, stored in the transaction of the request. Kept for 24 hours."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    # JSON as text: a database that parses it may return the keys in another order.
    response = EncryptedTextField(blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(name="idempotency_owner_key", fields=["owner", "key"])]
        indexes = [
            # Reader: recovery.purge
            models.Index(name="idempotency_created", fields=["created_at"]),
        ]

    def __str__(self) -> str:
        return self.key
