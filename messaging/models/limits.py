"""Which prefixes get texts, how many texts in a time, and prefixes to which too many codes go."""

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from uuid_utils.compat import uuid7

from messaging.policy.prefixes import COUNTRY, PREFIX


class PrefixRule(models.Model):
    """Texts to a prefix or a country are allowed or blocked: for one owner or, without one, for everybody."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    prefix = models.CharField(
        max_length=16, blank=True, validators=[RegexValidator(rf"\A{PREFIX.pattern}\Z", "Write a prefix as +881.")]
    )
    country = models.CharField(
        max_length=2, blank=True, validators=[RegexValidator(rf"\A{COUNTRY.pattern}\Z", "Write a country as FR.")]
    )
    is_allowed = models.BooleanField()
    reason = models.CharField(max_length=200)
    changed_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["prefix", "country", "id"]
        constraints = [
            models.CheckConstraint(
                name="prefix_rule_prefix_or_country",
                condition=(Q(prefix="") & ~Q(country="")) | (~Q(prefix="") & Q(country="")),
                violation_error_message="Give a prefix or a country, one of them.",
            ),
            models.UniqueConstraint(
                name="prefix_rule_once_per_owner",
                fields=["owner", "prefix", "country"],
                condition=Q(owner__isnull=False),
                violation_error_message="There is a rule for this already.",
            ),
            models.UniqueConstraint(
                name="prefix_rule_once_for_everybody",
                fields=["prefix", "country"],
                condition=Q(owner__isnull=True),
                violation_error_message="There is a rule for this already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix or self.country} is {'allowed' if self.is_allowed else 'blocked'}"


class VelocityLimit(models.Model):
    """How many texts an owner may send in a time; without an owner, how many each owner may that has no limit of its own.

    Null: no limit, or that of the row without an owner. 0: no limit for this owner. `recipient_of_all_per_hour` counts the
    texts of all owners together.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    recipient_per_hour = models.PositiveIntegerField(null=True, blank=True)
    recipient_of_all_per_hour = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    new_recipients_per_minute = models.PositiveIntegerField(null=True, blank=True)
    calling_code_per_hour = models.PositiveIntegerField(null=True, blank=True)
    changed_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                Coalesce("owner", 0),
                name="velocity_limit_once_per_owner",
                violation_error_message="There are limits for this already.",
            ),
            models.CheckConstraint(
                name="velocity_limit_of_all_owners",
                condition=Q(owner__isnull=True) | Q(recipient_of_all_per_hour__isnull=True),
                violation_error_message="Texts of all owners together are limited in the row without an owner.",
            ),
        ]

    def __str__(self) -> str:
        return f"limits of {self.owner}" if self.owner_id else "limits of all owners"


class CodeCount(models.Model):
    """How many one-time passwords one owner sent to a prefix in one hour (UTC, its beginning). Counted afterwards."""

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    owner_id = models.BigIntegerField()
    prefix = models.CharField(max_length=8)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            # Also the index of its reader, limits.pumping, which reads the last days
            models.UniqueConstraint(name="code_count_once_an_hour", fields=["hour", "owner_id", "prefix"]),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}: {self.count}"


class CodeScan(models.Model):
    """One row: until when messages have been counted in `CodeCount`, and since when."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    since = models.DateTimeField()
    counted_until = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(name="code_scan_only_one", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"counted until {self.counted_until:%Y-%m-%d %H:%M}"


class PumpingAlert(models.Model):
    """One episode of SMS pumping: many codes to a prefix, few confirmed. While it is holding, codes to the prefix wait."""

    id = models.BigAutoField(primary_key=True)
    prefix = models.CharField(max_length=8)
    since = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=300)
    started = models.PositiveIntegerField(default=0)
    approved = models.PositiveIntegerField(default=0)
    codes = models.PositiveIntegerField(default=0)
    is_holding = models.BooleanField(default=False)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    class Meta:
        ordering = ["-since", "-id"]
        indexes = [
            # Reader: limits.rules.read, the prefixes that are held
            models.Index(name="pumping_alert_holding", fields=["prefix"], condition=Q(is_holding=True)),
        ]
        constraints = [
            models.UniqueConstraint(
                name="pumping_alert_one_open", fields=["prefix"], condition=Q(ended_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"codes to {self.prefix} since {self.since:%Y-%m-%d %H:%M}"
