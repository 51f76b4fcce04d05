"""Which kinds of sender an installation uses to a country."""

from django.db import models
from django.db.models import Q

from messaging.policy.sender_rules import SenderRule
from providers.senders import SenderKind


class CountrySenders(models.Model):
    """One country. One without an enabled row takes every kind of sender. `setup` adds the shipped ones, switched off."""

    country = models.CharField(max_length=2, primary_key=True)
    takes_numbers = models.BooleanField(default=True)
    takes_short_codes = models.BooleanField(default=True)
    takes_names = models.BooleanField(default=True)
    source = models.CharField(max_length=200, blank=True)
    is_enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["country"]
        verbose_name = "country rule for senders"
        verbose_name_plural = "senders by country"
        constraints = [
            models.CheckConstraint(
                name="country_takes_a_sender",
                condition=Q(takes_numbers=True) | Q(takes_short_codes=True) | Q(takes_names=True),
                violation_error_message="A country takes at least one kind of sender.",
            ),
        ]

    def __str__(self) -> str:
        return self.country

    def as_rule(self) -> SenderRule:
        takes = {
            SenderKind.NUMBER: self.takes_numbers,
            SenderKind.SHORT_CODE: self.takes_short_codes,
            SenderKind.NAME: self.takes_names,
        }
        return SenderRule(self.country, frozenset(kind for kind, is_taken in takes.items() if is_taken), self.source)
