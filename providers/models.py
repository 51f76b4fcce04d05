"""Provider accounts and the numbers we send from."""

import os
from decimal import Decimal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from providers import senders
from providers.contract.config_types import is_reference
from providers.numbers import Notation, NumberFormat
from providers.routing import Candidate
from providers.secret_names import may_be_read

MAX_WEIGHT = 1000
SENDER_FORM = r"^(\+[0-9]{7,15}|[^+].{0,10})$"  # E.164, or the length of a name

validate_slug = RegexValidator(r"\A[a-z0-9][a-z0-9_-]{0,39}\Z", "Use lower-case letters, digits, - and _; at most 40.")


def validate_sender(value: str) -> None:
    try:
        normal = senders.normalise(value)
    except senders.InvalidSender as error:
        raise ValidationError(str(error), code=error.code) from None
    if normal != value:
        raise ValidationError("Write a number in E.164, such as +14155550101.", code="invalid_number")


class ProviderAccount(models.Model):
    """One account at one provider. `config` contains secrets only as references: `{"env": "NAME"}`."""

    slug = models.CharField(max_length=40, primary_key=True, validators=[validate_slug])
    backend = models.CharField(max_length=40)
    weight = models.PositiveIntegerField(default=100, validators=[MaxValueValidator(MAX_WEIGHT)])
    is_enabled = models.BooleanField(default=True)
    config = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(name="provider_weight_range", condition=Q(weight__gte=0, weight__lte=MAX_WEIGHT)),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def from_number(self) -> str | None:
        """The sender of messages that name none, with a number in E.164 however the account writes it.

        None without one, or if its environment variable is not set or may not be read: then the account is misconfigured and
        carries no messages.
        """
        value = self.config.get("from_number")
        if is_reference(value):
            name = value["env"]
            value = os.environ.get(name) if may_be_read(name, settings.PROVIDER_SECRET_NAMES) else None
        return (self._numbers.read(value) or value) if value else None

    @property
    def _numbers(self) -> NumberFormat:
        notation = self.config.get("number_format", Notation.E164)
        return NumberFormat(Notation(notation), self.config.get("default_country"))

    @property
    def max_per_second(self) -> float | None:
        """The limit in segments per second over all workers; None without one."""
        value: float | None = self.config.get("max_per_second")
        return value

    @property
    def prices(self) -> dict[str, Decimal]:
        """The price of one segment by prefix, exactly as it is written: 0.1 is a tenth."""
        return {prefix: Decimal(str(price)) for prefix, price in (self.config.get("price_per_segment") or {}).items()}

    def as_candidate(self, health: float = 1.0) -> Candidate:
        """The account as routing sees it. `health` is the factor that scales its weight, from 0 (exclusive) to 1."""
        return Candidate(
            slug=self.slug,
            weight=self.weight,
            allowed_prefixes=tuple(self.config.get("allowed_prefixes") or ()),
            denied_prefixes=tuple(self.config.get("denied_prefixes") or ()),
            health=health,
            prices=self.prices,
            currency=self.config.get("currency") or "",
        )


class ProviderEvent(models.Model):
    """An event of an account, for example an opened circuit or an operator's action."""

    class Kind(models.TextChoices):
        CIRCUIT_OPENED = "circuit_opened"
        CIRCUIT_CLOSED = "circuit_closed"
        NEEDS_OPERATOR = "needs_operator"
        MANY_REFUSED = "many_refused"
        FEW_REFUSED = "few_refused"
        HELD_OPEN = "held_open"
        RESET = "reset"
        ENABLED = "enabled"
        DISABLED = "disabled"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE, related_name="events", db_index=False)
    at = models.DateTimeField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    detail = models.CharField(max_length=300, blank=True)
    # Empty for events that no user caused.
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            # Reader: the admin's page of one account
            models.Index(name="provider_event_account", fields=["account", "id"]),
        ]

    def __str__(self) -> str:
        return f"{self.account_id}: {self.kind}"


class SenderNumber(models.Model):
    """A number (E.164), short code or name that messages may be sent from.

    Without an owner every user of the installation may use it; with an account only that account can carry it. There is one
    row for each, so a name that several clients use has no owner.
    """

    number = models.CharField(max_length=16, unique=True, validators=[validate_sender])
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="sender_numbers"
    )
    account = models.ForeignKey(
        ProviderAccount, null=True, blank=True, on_delete=models.CASCADE, related_name="sender_numbers"
    )
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(
                name="sender_one_default_per_owner",
                fields=["owner"],
                condition=Q(is_default=True, owner__isnull=False),
                violation_error_message="This owner has a default number already; take that away first.",
            ),
            models.UniqueConstraint(
                name="sender_one_shared_default",
                fields=["is_default"],
                condition=Q(is_default=True, owner__isnull=True),
                violation_error_message="There is a default number for everybody already; take that away first.",
            ),
            models.CheckConstraint(name="sender_form", condition=Q(number__regex=SENDER_FORM)),
        ]

    def __str__(self) -> str:
        return self.number

    @classmethod
    def default_of(cls, owner_id: int) -> str:
        """The default sender of an owner, or else of all; empty if there is none. One query."""
        usable = cls.objects.filter(Q(owner=owner_id) | Q(owner__isnull=True), is_default=True)
        found = usable.order_by(models.F("owner").asc(nulls_last=True)).first()
        return found.number if found else ""


class SmppBind(models.Model):
    """One bind of an SMPP account: the connector that holds it, and its state. Only connectors write it.

    A connector holds a bind until `lease_until`, which it extends while it lives; after that another one may take it.
    """

    class State(models.TextChoices):
        CONNECTING = "connecting"
        BOUND = "bound"
        DOWN = "down"
        REFUSED = "refused"  # the carrier does not accept our credentials; an operator has to act
        UNBOUND = "unbound"

    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE, related_name="smpp_binds", db_index=False)
    number = models.PositiveSmallIntegerField()
    # The connector: its host, its process and a random part.
    holder = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.UNBOUND)
    state_since = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=200, blank=True)
    in_flight = models.PositiveIntegerField(default=0)
    window = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["account", "number"]
        constraints = [
            # Reader: smpp_leases, the console's page of an account, GET /providers/
            models.UniqueConstraint(name="smpp_bind_once", fields=["account", "number"]),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.number}"
