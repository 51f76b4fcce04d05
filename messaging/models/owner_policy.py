"""What an owner has decided for its own texts."""

from datetime import time
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from providers.models import SenderNumber


class QuietHours(models.Model):
    """Wall times in the recipient's zone between which texts wait; an end before the beginning is on the next day."""

    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def quiet_in_words(self) -> str:
        """Such as `21:00-08:00`, or nothing."""
        if self.quiet_from is None or self.quiet_until is None:
            return ""
        return f"{self.quiet_from:%H:%M}-{self.quiet_until:%H:%M}"


def quiet_hours_are_whole(name: str) -> models.CheckConstraint:
    # `isnull=False` is needed: a check constraint that evaluates to null passes.
    is_whole = Q(quiet_from__isnull=False, quiet_until__isnull=False) & ~Q(quiet_from=models.F("quiet_until"))
    return models.CheckConstraint(
        name=name,
        condition=Q(quiet_from__isnull=True, quiet_until__isnull=True) | is_whole,
        violation_error_message="Set the beginning and the end of quiet hours, at different times, or neither.",
    )


class OwnerPolicy(QuietHours):
    """One row of a user that has decided something; without a row nothing is decided.

    `effective_at` is when all processes know the last change; from then on what was held before is judged anew. None if
    that is done.
    """

    owner = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="policy"
    )
    default_time_zone = models.CharField(max_length=64, blank=True)
    # Used where the recipient's country does not take the sender of a text.
    fallback_sender = models.ForeignKey(
        SenderNumber, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    effective_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["owner"]
        verbose_name = "owner policy"
        verbose_name_plural = "owner policies"
        constraints = [quiet_hours_are_whole("owner_quiet_both_or_neither")]
        indexes = [
            # Reader: held.changed_policies, changes after which messages have to be judged anew
            models.Index(name="owner_policy_changed", fields=["effective_at"], condition=Q(effective_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return str(self.owner)

    def decided(self) -> dict[str, str | time | None]:
        """Every value that takes effect when texts are judged."""
        names = ("default_time_zone", "quiet_from", "quiet_until")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        return found
