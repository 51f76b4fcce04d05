"""Rules of the hours in which texts may be sent, and when they were last changed."""

from django.db import models
from django.db.models import Q

from messaging.policy.hours import Rule
from messaging.policy.rules import in_words


class HoursRule(models.Model):
    """One rule. Those that are shipped are kept equal to `messaging/policy/rules.toml`; staff only switch them on and off.

    `hours` are of the seven days, Monday first: of each a list of pairs, in minutes after midnight.
    """

    id = models.SlugField(max_length=40, primary_key=True)
    name = models.CharField(max_length=100)
    countries = models.JSONField(default=list, blank=True)
    prefixes = models.JSONField(default=list, blank=True)
    categories = models.JSONField()
    hours = models.JSONField()
    holidays = models.CharField(max_length=13, blank=True)
    effective_from = models.DateField(null=True, blank=True)
    effective_until = models.DateField(null=True, blank=True)
    source = models.CharField(max_length=200, blank=True)
    is_shipped = models.BooleanField(default=False, editable=False)
    is_enabled = models.BooleanField(default=True)
    changed_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["id"]
        verbose_name = "rule of hours"
        verbose_name_plural = "rules of hours"
        constraints = [
            models.CheckConstraint(
                name="hours_rule_dates_in_order",
                condition=Q(effective_from__isnull=True)
                | Q(effective_until__isnull=True)
                | Q(effective_until__gte=models.F("effective_from")),
                violation_error_message="The last day comes before the first.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def hours_in_words(self) -> str:
        return in_words(self.as_rule().hours)

    def as_rule(self) -> Rule:
        return Rule(
            id=self.pk,
            name=self.name,
            categories=frozenset(self.categories),
            hours=tuple(tuple((opens, closes) for opens, closes in day) for day in self.hours),
            countries=frozenset(self.countries),
            prefixes=tuple(self.prefixes),
            holidays=self.holidays,
            effective_from=self.effective_from,
            effective_until=self.effective_until,
            source=self.source,
        )


class HoursRevision(models.Model):
    """One row: when the rules last changed. Messages that were held before are judged anew."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(name="hours_revision_only_one", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"rules of hours as of {self.changed_at:%Y-%m-%d %H:%M}"
