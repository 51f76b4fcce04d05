"""Texts that probably ask for no more messages, for staff to decide."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging.models.encrypted import EncryptedTextField
from messaging.models.message import MAX_PARTY_LENGTH, Message


class OptOutCase(models.Model):
    """A text of `number` to `sender` that is no keyword and probably asks for no more messages.

    `senders` are those that a STOP in this text would have ended; an empty one means all senders. `text` is the evidence: the
    message may lose its own text, or be deleted, before the case may be forgotten.
    """

    class Decision(models.TextChoices):
        OPEN = "", "open"
        SUPPRESSED = "suppressed"
        DISMISSED = "dismissed", "not an opt-out"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    number = models.CharField(max_length=MAX_PARTY_LENGTH)
    sender = models.CharField(max_length=MAX_PARTY_LENGTH, blank=True)
    senders = models.JSONField()
    # The owner of the message, who may read and decide the case.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    # Null if the text was not stored, because it was a repeat or over the rate limit, or if it has been deleted.
    message = models.ForeignKey(Message, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    text = EncryptedTextField(blank=True)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField()
    decision = models.CharField(max_length=10, blank=True, choices=Decision.choices, default=Decision.OPEN)
    decided_at = models.DateTimeField(null=True)
    # Null if the person settled it with a keyword.
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = "opt-out case"
        ordering = ["due_at", "id"]
        indexes = [
            # Reader: the console's list, GET /opt-out-cases/, the dashboard and the metrics
            models.Index(name="opt_out_case_due", fields=["due_at", "id"]),
            models.Index(name="opt_out_case_open", fields=["due_at"], condition=Q(decision="")),
            # Reader: erasure and export of a number
            models.Index(name="opt_out_case_number", fields=["number"]),
            # Reader: the page of a message; deleting a message
            models.Index(name="opt_out_case_message", fields=["message"], condition=Q(message__isnull=False)),
            # Reader: opt_out_cases.forget
            models.Index(name="opt_out_case_decided", fields=["decided_at"], condition=Q(decided_at__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                name="opt_out_case_one_open", fields=["number", "sender"], condition=Q(decision="")
            ),
            models.CheckConstraint(
                name="opt_out_case_decision_word", condition=Q(decision__in=["", "suppressed", "dismissed"])
            ),
            models.CheckConstraint(
                name="opt_out_case_decided_has_time",
                condition=Q(decision="", decided_at__isnull=True) | (~Q(decision="") & Q(decided_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} to {self.sender or 'an unknown number'}"
