"""Outbound queues, each with its own pace."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from messaging.models.owner_policy import QuietHours, quiet_hours_are_whole
from providers.models import SenderNumber
from providers.routing import Strategy

MAX_BATCH, MAX_INTERVAL = 100_000, 86_400


class OutboundQueue(QuietHours):
    """Sends `batch_size` messages every `interval_seconds`; both null means as fast as the providers accept them."""

    name = models.SlugField(max_length=40, primary_key=True)
    description = models.CharField(max_length=200, blank=True)
    batch_size = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MAX_BATCH)]
    )
    interval_seconds = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MAX_INTERVAL)]
    )
    routing_strategy = models.CharField(
        max_length=10, choices=[(s.value, s.value) for s in Strategy], default=Strategy.WEIGHTED.value
    )
    preserve_order = models.BooleanField(default=True)
    use_conversion = models.BooleanField(default=False, db_default=False)
    sender_pool = models.ManyToManyField(SenderNumber, blank=True, related_name="+")
    is_paused = models.BooleanField(default=False)
    last_tick_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="queue_pace_both_or_neither",
                # `isnull=False` is needed: a check constraint that evaluates to null passes.
                condition=Q(batch_size__isnull=True, interval_seconds__isnull=True)
                | Q(
                    batch_size__isnull=False, interval_seconds__isnull=False, batch_size__gte=1, interval_seconds__gte=1
                ),
            ),
            quiet_hours_are_whole("queue_quiet_both_or_neither"),
            models.CheckConstraint(
                name="queue_routing_strategy_word", condition=Q(routing_strategy__in=[s.value for s in Strategy])
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_paced(self) -> bool:
        return self.batch_size is not None
