"""Recipients' numbers."""

from django.db import models


class PhoneNumber(models.Model):
    """A recipient's number (E.164). Inactive numbers get no new messages."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        INACTIVE = "inactive"

    number = models.CharField(max_length=16, primary_key=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)
    reason = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(null=True, blank=True)
    # Time of the last automatic reply: prevents endless replies between two machines.
    auto_replied_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]
        permissions = [("export_number", "Can export everything that is kept of a person")]
        indexes = [
            # Reader: GET /phone-numbers/?status=inactive
            models.Index(name="number_inactive", fields=["number"], condition=models.Q(status="inactive")),
        ]
        constraints = [
            models.CheckConstraint(name="number_status_word", condition=models.Q(status__in=["active", "inactive"])),
        ]

    def __str__(self) -> str:
        return self.number
