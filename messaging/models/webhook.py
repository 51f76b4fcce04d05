"""Webhook endpoints of clients, their signing secrets, and deliveries."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging.models.client_event import ClientEvent
from messaging.models.message import MAX_PARTY_LENGTH


class WebhookEndpoint(models.Model):
    """A URL that an owner registered. An empty list of `events` means all.

    An endpoint of kind `origin` is internal: it represents all `callback_url`s of an owner on one scheme, host and port, so
    that these have their own concurrency limit. It is not listed, and never disabled.
    """

    class Kind(models.TextChoices):
        ENDPOINT = "endpoint"
        ORIGIN = "origin"

    class Dialect(models.TextChoices):
        """`twilio` calls the endpoint as Twilio would, signed with the auth token of the owner's Twilio credential."""

        STANDARD = "", "Standard Webhooks"
        TWILIO = "twilio", "Twilio"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.ENDPOINT, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    url = models.CharField(max_length=500)
    events = models.JSONField(default=list, blank=True)
    dialect = models.CharField(
        max_length=8, choices=Dialect.choices, blank=True, default=Dialect.STANDARD, db_default=""
    )
    # Only what is sent from, or received at, this number of ours; all if empty.
    number = models.CharField(max_length=MAX_PARTY_LENGTH, blank=True, default="", db_default="")
    description = models.CharField(max_length=200, blank=True)
    is_enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=100, blank=True)
    # Start of the current series of failures; null after a success.
    failing_since = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["id"]
        indexes = [
            # Reader: GET /webhook-endpoints/, event_log.number
            models.Index(name="endpoint_owner", fields=["owner", "id"]),
        ]
        constraints = [
            models.UniqueConstraint(
                name="endpoint_one_per_origin", fields=["owner", "url"], condition=Q(kind="origin")
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class WebhookSecret(models.Model):
    """A signing secret: an endpoint's or, without an endpoint, the owner's default.

    The current one has no `expires_at`; the previous one signs too until its `expires_at`. `sealed` is encrypted.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    endpoint = models.ForeignKey(
        WebhookEndpoint, null=True, on_delete=models.CASCADE, related_name="secrets", db_index=False
    )
    sealed = models.TextField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # Reader: secrets.valid, for the callbacks of an endpoint
            models.Index(name="webhooksecret_endpoint", fields=["endpoint"], condition=Q(endpoint__isnull=False)),
            # Reader: secrets.valid, for callback_urls
            models.Index(name="webhooksecret_owner", fields=["owner"], condition=Q(endpoint__isnull=True)),
        ]
        constraints = [
            models.UniqueConstraint(
                name="webhooksecret_one_current_of_endpoint",
                fields=["endpoint"],
                condition=Q(endpoint__isnull=False, expires_at__isnull=True),
            ),
            models.UniqueConstraint(
                name="webhooksecret_one_current_default",
                fields=["owner"],
                condition=Q(endpoint__isnull=True, expires_at__isnull=True),
            ),
        ]


class WebhookDelivery(models.Model):
    """One event for one endpoint; a test delivery has no event. `claim_id` and `lease_until` belong to its worker."""

    class State(models.TextChoices):
        PENDING = "pending"
        SENDING = "sending"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    event = models.ForeignKey(
        ClientEvent, null=True, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    state = models.CharField(max_length=9, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    claim_id = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    response_status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    attempted_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # A reply that its answer asked for was stored, even if it has been deleted since.
    is_replied = models.BooleanField(default=False, db_default=False, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "webhook deliveries"
        indexes = [
            # Reader: webhooks.claim.claim, endpoints with due deliveries, and the deliveries
            models.Index(name="delivery_due", fields=["endpoint", "next_attempt_at"], condition=Q(state="pending")),
            # Reader: webhooks.claim.return_expired_claims
            models.Index(name="delivery_lease", fields=["lease_until"], condition=Q(state="sending")),
            # Reader: GET /webhook-endpoints/{id}/deliveries/
            models.Index(name="delivery_endpoint", fields=["endpoint", "id"]),
            # Reader: GET /webhook-endpoints/{id}/deliveries/?status=
            models.Index(name="delivery_endpoint_state", fields=["endpoint", "state", "id"]),
        ]
        constraints = [
            # Reader: event_log.purge
            models.UniqueConstraint(name="delivery_once_per_event_and_endpoint", fields=["event", "endpoint"]),
            models.CheckConstraint(
                name="delivery_sending_has_claim",
                condition=Q(state="sending", claim_id__isnull=False, lease_until__isnull=False)
                | (~Q(state="sending") & Q(claim_id__isnull=True, lease_until__isnull=True)),
            ),
            models.CheckConstraint(
                name="delivery_pending_has_time",
                condition=Q(state="pending", next_attempt_at__isnull=False)
                | (~Q(state="pending") & Q(next_attempt_at__isnull=True)),
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)
