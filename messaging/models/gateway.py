"""Credentials of clients that speak SMPP (or another gateway's HTTP), their sessions, and what they still have to be told."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from uuid_utils.compat import uuid7

from messaging.models.encrypted import EncryptedTextField
from messaging.models.message import MAX_PARTY_LENGTH, Message

MAX_SYSTEM_ID = 15
MAX_ADDRESS = 21
MAX_SESSIONS = 100


class GatewayCredential(models.Model):
    """System id and password of one client of a user. Only a hash of the password is stored.

    An empty list of `allowed_addresses` (networks, such as `10.1.0.0/16`) allows every address.
    With `receives_texts` the client gets what people send to the user.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    system_id = models.CharField("system ID", max_length=MAX_SYSTEM_ID, unique=True)
    password = models.CharField(max_length=128, editable=False)
    label = models.CharField(max_length=100, blank=True)
    allowed_addresses = models.JSONField(default=list, blank=True)
    max_sessions = models.PositiveSmallIntegerField(
        default=2, validators=[MinValueValidator(1), MaxValueValidator(MAX_SESSIONS)]
    )
    receives_texts = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Deliver what people send to the user to sessions that are bound as receivers.",
    )
    created_at = models.DateTimeField(editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="gateway_credential_sessions_range",
                condition=Q(max_sessions__gte=1, max_sessions__lte=MAX_SESSIONS),
            ),
        ]

    def __str__(self) -> str:
        return self.system_id


class GatewaySession(models.Model):
    """A bound session, kept by its server process until `lease_until`: a process that died frees its sessions."""

    class Bind(models.TextChoices):
        TRANSMITTER = "transmitter"
        RECEIVER = "receiver"
        TRANSCEIVER = "transceiver"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    credential = models.ForeignKey(GatewayCredential, on_delete=models.CASCADE, related_name="sessions", db_index=False)
    bind = models.CharField(max_length=11, choices=Bind.choices)
    address = models.CharField(max_length=45, blank=True)
    bound_at = models.DateTimeField()
    lease_until = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        indexes = [
            # Reader: gateway.sessions.bind, the sessions of one credential
            models.Index(name="gateway_session_credential", fields=["credential", "lease_until"]),
        ]

    def __str__(self) -> str:
        return f"{self.bind} from {self.address}"


class GatewayPart(models.Model):
    """One part of a long text that a client submits in parts, stored before it is answered.

    The first part that arrives has the id of the message to be; `group` is that id, in all parts. When the message is stored,
    the parts lose their octets (hexadecimal, with the header removed) and stay for a while, so that a repeat is recognised and
    the client can ask for the message by the id of each part.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    credential = models.ForeignKey(GatewayCredential, on_delete=models.CASCADE, related_name="+", db_index=False)
    group = models.UUIDField()
    from_number = models.CharField(max_length=MAX_PARTY_LENGTH, blank=True)
    to_number = models.CharField(max_length=MAX_PARTY_LENGTH)
    reference = models.CharField(max_length=16)
    count = models.PositiveSmallIntegerField()
    number = models.PositiveSmallIntegerField()
    octets = EncryptedTextField(blank=True)
    data_coding = models.PositiveSmallIntegerField()
    # Of the content: tells a repeat.
    digest = models.CharField(max_length=64)
    received_at = models.DateTimeField()
    # When the text is given up unless all parts have arrived; null when it is a message, or given up.
    due_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            # Reader: gateway.parts, the parts of one text
            models.UniqueConstraint(name="gateway_part_once", fields=["group", "number"]),
            models.CheckConstraint(
                name="gateway_part_number_range", condition=Q(number__gte=1, number__lte=F("count"))
            ),
        ]
        indexes = [
            # Reader: gateway.parts, the texts of one reference; privacy.erasure
            models.Index(name="gateway_part_reference", fields=["to_number", "reference", "received_at"]),
            # Reader: gateway.parts.give_up
            models.Index(name="gateway_part_due", fields=["due_at"], condition=Q(due_at__isnull=False)),
            # Reader: gateway.parts.purge
            models.Index(name="gateway_part_received", fields=["received_at"]),
        ]

    def __str__(self) -> str:
        return f"part {self.number} of {self.count}"


class GatewayReceipt(models.Model):
    """A receipt that a client asked for with a submission, until the client has acknowledged it; then the row is deleted.

    The key is the id that the client was given: that of the message, or of one part of it. While `waiting`, the message has not
    ended; a text that never became a message has none. `claim_id` and `lease_until` belong to the server process that is
    delivering the receipt.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        PENDING = "pending"
        SENDING = "sending"

    id = models.UUIDField(primary_key=True, editable=False)
    credential = models.ForeignKey(GatewayCredential, on_delete=models.CASCADE, related_name="receipts", db_index=False)
    message = models.ForeignKey(Message, null=True, on_delete=models.CASCADE, related_name="+", db_index=False)
    # The low two bits of `registered_delivery`: 1 always, 2 of a failure, 3 of a success.
    wanted = models.PositiveSmallIntegerField()
    # The addresses as the client wrote them, with type of number and numbering plan.
    source = models.CharField(max_length=MAX_ADDRESS, blank=True)
    source_ton = models.PositiveSmallIntegerField(default=0)
    source_npi = models.PositiveSmallIntegerField(default=0)
    destination = models.CharField(max_length=MAX_ADDRESS)
    destination_ton = models.PositiveSmallIntegerField(default=0)
    destination_npi = models.PositiveSmallIntegerField(default=0)
    submitted_at = models.DateTimeField()
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    # When a message without a known end is reported as unknown.
    give_up_at = models.DateTimeField()
    # `MessageState` of SMPP, and three digits of an error.
    message_state = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=3, default="000")
    done_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    claim_id = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            # Reader: gateway_receipts.make_due, the receipts of messages that have ended; deleting a message
            models.Index(name="gateway_receipt_message", fields=["message"], condition=Q(message__isnull=False)),
            # Reader: gateway_claims.claim
            models.Index(
                name="gateway_receipt_due", fields=["credential", "next_attempt_at"], condition=Q(state="pending")
            ),
            # Reader: gateway_claims.return_expired
            models.Index(name="gateway_receipt_lease", fields=["lease_until"], condition=Q(state="sending")),
            # Reader: gateway_receipts.give_up
            models.Index(name="gateway_receipt_overdue", fields=["give_up_at"], condition=Q(state="waiting")),
            # Reader: gateway_receipts.purge
            models.Index(name="gateway_receipt_done", fields=["done_at"], condition=Q(done_at__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(
                name="gateway_receipt_sending_has_claim",
                condition=Q(state="sending", claim_id__isnull=False, lease_until__isnull=False)
                | (~Q(state="sending") & Q(claim_id__isnull=True, lease_until__isnull=True)),
            ),
            models.CheckConstraint(
                name="gateway_receipt_pending_has_time",
                condition=Q(state="pending", next_attempt_at__isnull=False)
                | (~Q(state="pending") & Q(next_attempt_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="gateway_receipt_ended_has_result",
                condition=Q(state="waiting", message_state__isnull=True, done_at__isnull=True)
                | (~Q(state="waiting") & Q(message_state__isnull=False, done_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class GatewayText(models.Model):
    """A person's text that a client is to get, until the client has acknowledged all of its parts; then the row is deleted.

    The text itself is read from the message. Bit 0 of `parts_taken` is set when the first part is acknowledged, and so on.
    `claim_id` and `lease_until` belong to the server process that is delivering the text.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        SENDING = "sending"

    credential = models.ForeignKey(GatewayCredential, on_delete=models.CASCADE, related_name="+", db_index=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+", db_index=False)
    created_at = models.DateTimeField()
    state = models.CharField(max_length=7, choices=State.choices, default=State.PENDING)
    parts_taken = models.PositiveBigIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    claim_id = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            # Reader: gateway_claims.claim
            models.Index(
                name="gateway_text_due", fields=["credential", "next_attempt_at"], condition=Q(state="pending")
            ),
            # Reader: gateway_claims.return_expired
            models.Index(name="gateway_text_lease", fields=["lease_until"], condition=Q(state="sending")),
            # Reader: gateway_texts.purge
            models.Index(name="gateway_text_created", fields=["created_at"]),
        ]
        constraints = [
            # Reader: retention.erase_texts; deleting a message
            models.UniqueConstraint(name="gateway_text_once", fields=["message", "credential"]),
            models.CheckConstraint(
                name="gateway_text_sending_has_claim",
                condition=Q(
                    state="sending", claim_id__isnull=False, lease_until__isnull=False, next_attempt_at__isnull=True
                )
                | Q(state="pending", claim_id__isnull=True, lease_until__isnull=True, next_attempt_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)
