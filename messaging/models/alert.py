"""Receivers of alerts, what is counted for each of them, and the notices that they have had."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from messaging.models.encrypted import EncryptedJSONField
from messaging.models.message import MAX_PARTY_LENGTH
from messaging.models.queue import OutboundQueue
from messaging.segments import MAX_OUTBOUND_CHARACTERS, MAX_SEGMENTS

MOST_PER_MINUTE = 60
DEFAULT_PER_MINUTE, DEFAULT_SEGMENTS = 5, 3
DIGEST_LENGTH = 64


class AlertReceiver(models.Model):
    """Whom a monitoring system alerts, and how. Of kind `supabase`: how one-time passwords are sent, to whom the hook says.

    `secret` is the hook's, encrypted (`messaging.sealing`).
    """

    class Kind(models.TextChoices):
        ALERTS = "alerts", "Alerts"
        SUPABASE = "supabase", "Supabase SMS hook"

    name = models.SlugField(max_length=40, unique=True)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.ALERTS)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    recipients = models.JSONField(default=list, blank=True)  # numbers in E.164
    sender = models.CharField(max_length=MAX_PARTY_LENGTH, blank=True)
    queue = models.ForeignKey(OutboundQueue, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    template = models.TextField(max_length=MAX_OUTBOUND_CHARACTERS, blank=True)
    sends_resolved = models.BooleanField(default=False)
    max_segments = models.PositiveSmallIntegerField(
        default=DEFAULT_SEGMENTS, validators=[MinValueValidator(1), MaxValueValidator(MAX_SEGMENTS)]
    )
    max_per_minute = models.PositiveSmallIntegerField(
        default=DEFAULT_PER_MINUTE, validators=[MinValueValidator(1), MaxValueValidator(MOST_PER_MINUTE)]
    )
    secret = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="alert_receiver_segments_range", condition=Q(max_segments__gte=1, max_segments__lte=MAX_SEGMENTS)
            ),
            models.CheckConstraint(
                name="alert_receiver_per_minute_range",
                condition=Q(max_per_minute__gte=1, max_per_minute__lte=MOST_PER_MINUTE),
            ),
            models.CheckConstraint(
                name="alert_receiver_secret_of_a_hook",
                condition=Q(kind="alerts", secret="") | (Q(kind="supabase") & ~Q(secret="")),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class AlertChannel(models.Model):
    """What one receiver, or the recipients that a request named, have been sent lately. Its row is locked for each notice.

    `key` is a digest of the owner and the recipients; a receiver's channel has none. `recent` are the times of the texts of
    the last minute, in seconds since 1970. `digest_due_at` is set while notices are held.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    receiver = models.OneToOneField(AlertReceiver, null=True, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=DIGEST_LENGTH, null=True, unique=True)  # noqa: DJ001 (null: unique among those that have one)
    recipients = models.JSONField(default=list)
    recent = models.JSONField(default=list)
    digest_due_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        indexes = [
            # Reader: alerts.storm_digests.due
            models.Index(name="alert_channel_due", fields=["digest_due_at"], condition=Q(digest_due_at__isnull=False)),
            # Reader: alerts.notices.purge
            models.Index(name="alert_channel_used", fields=["used_at"], condition=Q(receiver__isnull=True)),
        ]
        constraints = [
            models.CheckConstraint(
                name="alert_channel_receiver_or_key",
                condition=Q(receiver__isnull=False, key__isnull=True) | Q(receiver__isnull=True, key__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class AlertNotice(models.Model):
    """One notice that a channel has had, stored with its messages: the same notice again sends nothing.

    `counts` are the alerts by name of a notice that is held for the next digest; then they are removed.
    """

    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="notices", db_index=False)
    digest = models.CharField(max_length=DIGEST_LENGTH)
    is_held = models.BooleanField(default=False)
    counts = EncryptedJSONField(default=dict)
    received_at = models.DateTimeField()
    forget_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        indexes = [
            # Reader: alerts.storm_digests, the held notices of a channel
            models.Index(name="alert_notice_held", fields=["channel", "id"], condition=Q(is_held=True)),
            # Reader: alerts.notices.purge
            models.Index(name="alert_notice_forget", fields=["forget_at"]),
        ]
        constraints = [
            # Reader: alerts.notices.receive
            models.UniqueConstraint(name="alert_notice_once", fields=["channel", "digest"]),
        ]

    def __str__(self) -> str:
        return str(self.pk)
