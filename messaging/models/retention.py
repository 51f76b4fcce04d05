"""Retention rules, the state of the retention pass, and proofs of erasure."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging.models.queue import OutboundQueue

MAX_DAYS = 36_500
_DAYS = [MinValueValidator(1), MaxValueValidator(MAX_DAYS)]


class RetentionRule(models.Model):
    """Days until an ended message loses its text and media, and until its row is deleted; null keeps them forever.

    The most specific rule applies: owner and queue, else owner, else queue, else the setting of the installation.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    queue = models.ForeignKey(OutboundQueue, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    text_days = models.PositiveIntegerField(null=True, blank=True, validators=_DAYS)
    row_days = models.PositiveIntegerField(null=True, blank=True, validators=_DAYS)

    class Meta:
        ordering = ["owner", "queue"]
        constraints = [
            models.UniqueConstraint(
                name="retention_once_per_owner_and_queue",
                fields=["owner", "queue"],
                condition=Q(owner__isnull=False, queue__isnull=False),
                violation_error_message="This owner has a rule for this queue already; change that one.",
            ),
            models.UniqueConstraint(
                name="retention_once_per_owner",
                fields=["owner"],
                condition=Q(queue__isnull=True),
                violation_error_message="This owner has a rule for every queue already; change that one.",
            ),
            models.UniqueConstraint(
                name="retention_once_per_queue",
                fields=["queue"],
                condition=Q(owner__isnull=True),
                violation_error_message="This queue has a rule for every owner already; change that one.",
            ),
            models.CheckConstraint(
                name="retention_is_about_something",
                condition=Q(owner__isnull=False) | Q(queue__isnull=False),
                violation_error_message="Name an owner, a queue, or both; what holds for all is a setting.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.owner or 'every owner'}, {self.queue or 'every queue'}"


class RetentionPass(models.Model):
    """One row: the progress of the current pass over the messages, oldest first."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    cursor = models.UUIDField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(name="retention_pass_one_row", condition=Q(id=1))]


class Erasure(models.Model):
    """Proof that a number was erased. `digest` allows a given number to be recognised as the erased one."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    digest = models.CharField(max_length=64)
    pseudonym = models.CharField(max_length=16)
    reason = models.CharField(max_length=200)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    messages = models.PositiveIntegerField()

    class Meta:
        ordering = ["-id"]
        permissions = [("erase_number", "Can erase a person's number and texts")]
        indexes = [
            # Reader: erasure.proofs
            models.Index(name="erasure_digest", fields=["digest"]),
        ]

    def __str__(self) -> str:
        return self.pseudonym
