"""Parts of long inbound texts, for providers that do not join them."""

from django.db import models
from django.db.models import F, Q
from uuid_utils.compat import uuid7

from messaging.models.encrypted import EncryptedJSONField, EncryptedTextField
from messaging.models.message import MAX_PARTY_LENGTH, Message
from providers.models import ProviderAccount

MAX_REFERENCE_LENGTH = 64


class InboundPart(models.Model):
    """One part of a long text, stored when it arrives. It waits for the others until `due_at`, at most.

    When the text is stored as `message`, its parts lose theirs; they stay with the message to recognise repeats.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    from_number = models.CharField(max_length=MAX_PARTY_LENGTH)
    to_number = models.CharField(max_length=MAX_PARTY_LENGTH, blank=True)
    reference = models.CharField(max_length=MAX_REFERENCE_LENGTH)
    count = models.PositiveSmallIntegerField()
    number = models.PositiveSmallIntegerField()
    # The same for the parts of one text: a sender's references repeat.
    group = models.UUIDField()
    text = EncryptedTextField(blank=True)
    # The sender and recipient as they came, where the columns are too short for them; and the text's octets, in hexadecimal and
    # with their charset, where a character may stand in two parts.
    unabridged = EncryptedJSONField(default=dict)
    media_urls = models.JSONField(default=list)
    media_left_out = models.PositiveIntegerField(default=0)
    provider_message_id = models.CharField(max_length=128, blank=True)
    provider_keyword = models.CharField(max_length=8, blank=True)
    # Of the provider's id, or of the content if the provider gives none: tells a repeat.
    digest = models.CharField(max_length=64)
    received_at = models.DateTimeField()
    # The same for the parts of one text: when it is stored without those that are missing.
    due_at = models.DateTimeField()
    message = models.ForeignKey(Message, null=True, on_delete=models.CASCADE, related_name="parts", db_index=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            # Reader: inbound.late_parts, the parts of one text
            models.UniqueConstraint(name="inbound_part_once", fields=["group", "number"]),
            models.CheckConstraint(
                name="inbound_part_number_range", condition=Q(number__gte=1, number__lte=F("count"))
            ),
        ]
        indexes = [
            # Reader: inbound.parts, the other parts of a text; privacy.erasure
            models.Index(name="inbound_part_sender", fields=["from_number", "reference"]),
            # Reader: inbound.late_parts
            models.Index(name="inbound_part_due", fields=["due_at"], condition=Q(message__isnull=True)),
            # Reader: deleting a message
            models.Index(name="inbound_part_message", fields=["message"], condition=Q(message__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"part {self.number} of {self.count}"
