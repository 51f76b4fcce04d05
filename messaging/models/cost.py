"""What sending has cost, by day."""

from django.db import models


class CostTotal(models.Model):
    """What accepted attempts of one kind cost on one day of UTC: `units` are millionths of the currency's unit.

    `account` is the slug of the provider account, `template` the id of the message's template; both may be empty, as
    `currency` may where the account names none. Totals stay when users, accounts and messages are deleted.
    """

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    owner_id = models.BigIntegerField()
    account = models.CharField(max_length=40, blank=True)
    country = models.CharField(max_length=3, blank=True)
    category = models.CharField(max_length=13)
    template = models.CharField(max_length=36, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    attempts = models.BigIntegerField()
    segments = models.BigIntegerField()
    units = models.BigIntegerField()

    class Meta:
        constraints = [
            # Reader: services.costs.cost_totals
            models.UniqueConstraint(
                name="cost_total_once",
                fields=["day", "owner_id", "account", "country", "category", "template", "currency"],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.account}: {self.units}"


class CostJournal(models.Model):
    """The costs of one transaction, until `services.costs.cost_totals.compact` adds them to the totals.

    Each transaction appends a row of its own, so that workers never wait for each other's rows. `costs` is JSON: a list of the
    columns of `CostTotal`, in their order, without the id.
    """

    id = models.BigAutoField(primary_key=True)
    costs = models.TextField()

    def __str__(self) -> str:
        return self.costs
