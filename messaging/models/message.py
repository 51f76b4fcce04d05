"""The message: one text to one number, or from one."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Cast, Length
from django.db.models.lookups import StartsWith
from uuid_utils.compat import uuid7

from messaging import states
from messaging.categories import Category, Priority
from messaging.encryption import MARK
from messaging.models.encrypted import EncryptedTextField
from messaging.models.queue import OutboundQueue
from messaging.policy.hours import OUTSIDE_HOURS
from messaging.retry_policy import WAITING_FOR_PROVIDER
from messaging.segments import MAX_OUTBOUND_CHARACTERS, MAX_SEGMENTS, Encoding
from messaging.states import Direction, Status
from providers.models import ProviderAccount

MAX_INBOUND_CHARACTERS = 1600
# The longest number in E.164. A longer sender of an inbound text is abridged: `inbound.incoming`.
MAX_PARTY_LENGTH = 16

# The longest text in the widest characters, encrypted.
MAX_SEALED_CHARACTERS = 9_000

models.CharField.register_lookup(Length)  # for the first migration, in which `text` was a CharField
models.TextField.register_lookup(Length)


class Message(models.Model):
    """One row per text. Only `messaging.services.transitions` changes `status`.

    A `queued` message is *ready* while `next_attempt_at` is null; a time there defers it, and the tick clears it when due.
    Within a queue the order is by `priority`, then by age: one-time passwords and emergencies go first, and bulk messages (of
    a schedule's run, in a queue without a pace) after all single ones.
    `claim_id` and `lease_until` belong to the worker that is sending it.
    """

    # In memory only, while it is accepted: the sender that was asked for, if the recipient's country does not take it.
    replaced_sender: str = ""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    direction = models.CharField(max_length=8, choices=[(d, d) for d in Direction])
    status = models.CharField(max_length=12, choices=[(s, s) for s in Status])
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="messages", db_index=False
    )
    queue = models.ForeignKey(
        OutboundQueue, null=True, on_delete=models.PROTECT, related_name="messages", db_index=False
    )
    # The schedule and run that created this message. Not foreign keys: `messaging` does not depend on `scheduling`.
    schedule_id = models.UUIDField(null=True)
    run_id = models.UUIDField(null=True)
    is_bulk = models.BooleanField(default=False)
    category = models.CharField(
        max_length=13,
        choices=[(c, c) for c in Category],
        default=Category.TRANSACTIONAL,
        db_default=Category.TRANSACTIONAL.value,
    )
    # `categories.Priority`
    priority = models.PositiveSmallIntegerField(default=Priority.NORMAL.value, db_default=Priority.NORMAL.value)
    # What the carrier is told beside the text, by name; null if there is nothing.
    parameters = models.JSONField(null=True)
    # The template and the version that the text was made of. Not foreign keys: a message outlives its template.
    template_id = models.UUIDField(null=True)
    template_version = models.PositiveIntegerField(null=True)
    # The verification whose code the text tells. The code is filled in at the call: `services.verification`.
    verification_id = models.UUIDField(null=True)
    from_number = models.CharField(max_length=MAX_PARTY_LENGTH, blank=True)
    # Empty for an inbound text whose provider does not name the number that received it: it belongs to the account.
    to_number = models.CharField(max_length=MAX_PARTY_LENGTH, blank=True)
    text = EncryptedTextField()
    # When the text and the media were erased, by a retention rule or on the person's request.
    erased_at = models.DateTimeField(null=True)
    encoding = models.CharField(max_length=4, choices=[(e, e) for e in Encoding])
    segments = models.PositiveSmallIntegerField()
    reference = models.CharField(max_length=100, blank=True)
    callback_url = models.CharField(max_length=500, blank=True)
    # In which form `callback_url` is called: `messaging.callback_dialects`.
    callback_dialect = models.CharField(max_length=16, blank=True, default="", db_default="")
    media_count = models.PositiveSmallIntegerField(default=0)
    # The reply to a keyword: it also goes to a recipient who has just opted out.
    is_automatic = models.BooleanField(default=False)

    provider = models.ForeignKey(
        ProviderAccount, null=True, on_delete=models.PROTECT, related_name="messages", db_index=False
    )
    provider_message_id = models.CharField(max_length=128, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    rounds_failed = models.PositiveSmallIntegerField(default=0)
    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.CharField(max_length=300, blank=True)

    send_at = models.DateTimeField(null=True)
    valid_for = models.PositiveIntegerField(null=True)
    expires_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(null=True)
    # Set while a call is in flight: unless the provider accepts the message, it is canceled and not tried again.
    cancel_requested = models.BooleanField(default=False)
    claim_id = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    created_at = models.DateTimeField()
    received_at = models.DateTimeField(null=True)
    # Inbound only: when the keyword (STOP …) was applied, which is at acceptance. Null only for a text that an older version
    # accepted, until a worker applies its keyword.
    keyword_read_at = models.DateTimeField(null=True)
    # The action (`keywords.Action`) whose automatic reply a worker has yet to send; empty if there is none.
    pending_reply = models.CharField(max_length=8, blank=True, default="", db_default="")
    # The keyword action as the provider reports it, if the provider recognises and answers keywords itself.
    provider_keyword = models.CharField(max_length=8, blank=True)
    sent_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("retry_message", "Can put an ended message back into its queue"),
            ("resolve_message", "Can say what became of an unknown message"),
            ("view_text", "Can read the texts of messages"),
            ("send_emergency", "Can send emergency messages, at any hour"),
        ]
        indexes = [
            # Reader: GET /messages/ of one owner, newest first
            models.Index(name="message_owner", fields=["owner", "id"]),
            # Reader: GET /messages/?status=
            models.Index(name="message_owner_status", fields=["owner", "status", "id"]),
            # Reader: GET /messages/?status= by staff, and the console's lists of one status, of all owners
            models.Index(name="message_status", fields=["status", "id"]),
            # Reader: GET /messages/?to= and ?search=, the conversation with one number
            models.Index(name="message_to", fields=["to_number", "id"], opclasses=["varchar_pattern_ops", "uuid_ops"]),
            # Reader: GET /messages/?from= and ?search=, the conversation with one number
            models.Index(
                name="message_from", fields=["from_number", "id"], opclasses=["varchar_pattern_ops", "uuid_ops"]
            ),
            # Reader: inbound.receive, the rate limit and the search for repeats
            models.Index(
                name="message_inbound_recent",
                fields=["from_number", "received_at"],
                condition=Q(direction=Direction.INBOUND),
            ),
            # Reader: GET /messages/?reference= and ?search=
            models.Index(
                name="message_reference",
                fields=["reference"],
                opclasses=["varchar_pattern_ops"],
                condition=~Q(reference=""),
            ),
            # Reader: GET /messages/?search= by the provider's id
            models.Index(
                name="message_provider_message_id",
                fields=["provider_message_id"],
                opclasses=["varchar_pattern_ops"],
                condition=~Q(provider_message_id=""),
            ),
            # Reader: GET /schedules/{id}/messages/, counts by status of one schedule
            models.Index(
                name="message_schedule",
                fields=["schedule_id", "id", "status"],
                condition=Q(schedule_id__isnull=False),
            ),
            # Reader: twilio.queries.page, the messages of one owner by the time at which they were sent
            models.Index(name="message_owner_sent", fields=["owner", "sent_at"], condition=Q(sent_at__isnull=False)),
            # Reader: dispatch.claim, the oldest ready messages of one queue by priority
            models.Index(
                name="message_ready",
                fields=["queue", "priority", "id"],
                condition=Q(status=Status.QUEUED, next_attempt_at__isnull=True),
            ),
            # Reader: order.older_active, older messages to the same number that are ready or in flight
            models.Index(
                name="message_active_by_number",
                fields=["queue", "to_number", "id"],
                condition=Q(status__in=list(states.IN_DISPATCH), next_attempt_at__isnull=True),
            ),
            # Reader: order.older_retried_soon, older messages to the same number that are tried again soon
            models.Index(
                name="message_retried_by_number",
                fields=["queue", "to_number", "next_attempt_at"],
                condition=Q(status=Status.QUEUED, next_attempt_at__isnull=False) & ~Q(error_code=WAITING_FOR_PROVIDER),
            ),
            # Reader: recovery.release_due, deferred and scheduled messages by their time
            models.Index(
                name="message_deferred",
                fields=["next_attempt_at"],
                condition=Q(status__in=list(states.DEFERRABLE), next_attempt_at__isnull=False),
            ),
            # Reader: recovery.release_due, those of them that are not held by hours
            models.Index(
                name="message_deferred_not_held",
                fields=["next_attempt_at"],
                condition=Q(status__in=list(states.DEFERRABLE), next_attempt_at__isnull=False)
                & ~Q(error_code=OUTSIDE_HOURS),
            ),
            # Reader: held.judged_before, messages held by rules of hours that have changed since
            models.Index(
                name="message_held_judged",
                fields=["updated_at"],
                condition=Q(status=Status.QUEUED, error_code=OUTSIDE_HOURS, next_attempt_at__isnull=False),
            ),
            # Reader: held.judge_anew, those of an owner whose policy has changed
            models.Index(
                name="message_held_owner",
                fields=["owner", "updated_at"],
                condition=Q(status=Status.QUEUED, error_code=OUTSIDE_HOURS, next_attempt_at__isnull=False),
            ),
            # Reader: held.groups, messages held by rules of hours, by moment and reason
            models.Index(
                name="message_held_until",
                fields=["next_attempt_at", "error_detail"],
                condition=Q(status=Status.QUEUED, error_code=OUTSIDE_HOURS, next_attempt_at__isnull=False),
            ),
            # Reader: recovery.expire, queued messages whose validity has ended
            models.Index(name="message_expiry", fields=["expires_at"], condition=Q(status=Status.QUEUED)),
            # Reader: inbound.process, inbound texts that are not processed yet
            models.Index(
                name="message_inbound_open",
                fields=["id"],
                condition=Q(direction=Direction.INBOUND, status__in=list(states.INBOUND_OPEN)),
            ),
            # Reader: missing_receipts.mark, the messages of one account that wait for a receipt
            models.Index(
                name="message_without_receipt",
                fields=["provider", "sent_at"],
                condition=Q(status=Status.SENT, error_code=""),
            ),
            # Reader: recovery.return_expired_claims
            models.Index(name="message_lease", fields=["lease_until"], condition=Q(status=Status.SENDING)),
        ]
        constraints = [
            # Reader: canceling a schedule finds the unsent messages of its runs
            models.UniqueConstraint(
                name="message_once_per_run_and_recipient",
                fields=["run_id", "to_number"],
                condition=Q(run_id__isnull=False),
            ),
            # Reader: inbound.receive, the stored text with the same provider id
            models.UniqueConstraint(
                name="message_inbound_provider_id",
                fields=["provider", "provider_message_id"],
                condition=Q(direction=Direction.INBOUND) & ~Q(provider_message_id=""),
            ),
            models.CheckConstraint(
                name="message_category_known", condition=Q(category__in=[c.value for c in Category])
            ),
            models.CheckConstraint(
                name="message_inbound_has_time",
                condition=Q(direction=Direction.OUTBOUND) | Q(received_at__isnull=False),
            ),
            models.CheckConstraint(
                name="message_status_of_direction",
                condition=Q(direction=Direction.OUTBOUND, status__in=sorted(states.OUTBOUND))
                | Q(direction=Direction.INBOUND, status__in=sorted(states.INBOUND)),
            ),
            models.CheckConstraint(
                name="message_text_length",
                condition=Q(direction=Direction.OUTBOUND, text__length__lte=MAX_OUTBOUND_CHARACTERS)
                | Q(direction=Direction.INBOUND, text__length__lte=MAX_INBOUND_CHARACTERS)
                # The database sees only the length of the encrypted text.
                | (StartsWith(Cast("text", models.TextField()), MARK) & Q(text__length__lte=MAX_SEALED_CHARACTERS)),
            ),
            models.CheckConstraint(
                name="message_segments_range",
                condition=Q(segments__gte=1) & (Q(direction=Direction.INBOUND) | Q(segments__lte=MAX_SEGMENTS)),
            ),
            models.CheckConstraint(
                name="message_outbound_has_queue_and_owner",
                condition=Q(direction=Direction.INBOUND)
                | Q(queue__isnull=False, owner__isnull=False, valid_for__isnull=False, expires_at__isnull=False),
            ),
            models.CheckConstraint(
                name="message_sending_has_claim",
                condition=Q(status=Status.SENDING, claim_id__isnull=False, lease_until__isnull=False)
                | (~Q(status=Status.SENDING) & Q(claim_id__isnull=True, lease_until__isnull=True)),
            ),
            models.CheckConstraint(
                name="message_delivered_has_time",
                condition=~Q(status=Status.DELIVERED) | Q(delivered_at__isnull=False),
            ),
            models.CheckConstraint(
                name="message_valid_after_due",
                condition=Q(expires_at__isnull=True) | Q(send_at__isnull=True) | Q(expires_at__gt=F("send_at")),
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)
