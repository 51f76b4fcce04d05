"""How many verifications of a prefix were begun, and how many approved, by hour."""

from django.db import models


class VerificationCount(models.Model):
    """Counts of one hour (UTC, its beginning). `prefix` is the country code and the first digits of the numbers, with a +.

    `provider_slug` is the account that sent the code; empty for codes that have not been sent yet.
    """

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    prefix = models.CharField(max_length=8)
    provider_slug = models.CharField(max_length=40, blank=True)
    started = models.PositiveIntegerField(default=0)
    approved = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="verification_count_once_an_hour", fields=["hour", "prefix", "provider_slug"]),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}: {self.approved} of {self.started}"
