"""Budgets of owners: how much may be sent in a day or a month, and how much of it is used."""

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging.policy import budgets
from messaging.policy.budgets import BudgetPeriod


class Budget(models.Model):
    """One limit of one owner: of segments or, with a currency, of money; to all countries, or to one.

    `limit_units` are segments, or millionths of the currency's unit. `warned_for` is the first day of the last period in which
    80 % were reached.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="budgets", db_index=False
    )
    country = models.CharField(max_length=2, blank=True)
    period = models.CharField(max_length=5, choices=[(period, period) for period in BudgetPeriod])
    currency = models.CharField(max_length=3, blank=True)
    limit_units = models.BigIntegerField()
    warned_for = models.DateField(null=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            # Reader: GET /budgets/ of one owner
            models.UniqueConstraint(
                name="budget_once",
                fields=["owner", "country", "period", "currency"],
                violation_error_message="There is a budget of this owner, country, period and currency already.",
            ),
            models.CheckConstraint(name="budget_limit_not_negative", condition=Q(limit_units__gte=0)),
            models.CheckConstraint(name="budget_period_word", condition=Q(period__in=sorted(BudgetPeriod))),
        ]

    def __str__(self) -> str:
        unit = self.currency or "segments"
        return f"{self.limit:f} {unit} a {self.period}{f' to {self.country}' if self.country else ''}"

    @property
    def limit(self) -> Decimal:
        return budgets.to_amount(self.limit_units, self.currency)


class BudgetSlot(models.Model):
    """A part of the counter of one budget and period, so that concurrent requests seldom wait for the same row.

    A charge needs room in one slot (`used` + amount <= `granted`), or the locks of all of them. No constraint in the database:
    each charge would check it. Slots of deleted budgets are swept.
    """

    id = models.BigAutoField(primary_key=True)
    budget = models.ForeignKey(
        Budget, on_delete=models.CASCADE, related_name="slots", db_index=False, db_constraint=False
    )
    period_start = models.DateField()
    number = models.PositiveSmallIntegerField()
    granted = models.BigIntegerField(default=0)
    used = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["id"]
        constraints = [
            # Reader: services.costs, the slots of a budget's period
            models.UniqueConstraint(name="budget_slot_once", fields=["budget", "period_start", "number"]),
        ]

    def __str__(self) -> str:
        return f"slot {self.number} of {self.budget_id}: {self.used}"


class BudgetCharge(models.Model):
    """What a message has taken from a budget, until a carrier has accepted it or it has ended without.

    A charge of money stays, with `is_kept`, until its period is over: the carrier's own price may correct it.
    """

    id = models.BigAutoField(primary_key=True)
    # No foreign keys: the charge is written in the statement that accepts the message, and swept after its period.
    message_id = models.UUIDField()
    budget_id = models.UUIDField()
    period_start = models.DateField()
    number = models.PositiveSmallIntegerField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3, blank=True)
    is_kept = models.BooleanField(default=False)

    class Meta:
        indexes = [
            # Reader: services.charges, when a message is accepted, ends or gets a price
            models.Index(name="budget_charge_of_message", fields=["message_id"]),
        ]

    def __str__(self) -> str:
        return f"{self.amount} for {self.message_id}"
