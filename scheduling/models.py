"""Schedules, their recipients, and their runs."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging.categories import Category
from messaging.models import MessageTemplate, OutboundQueue
from messaging.models.encrypted import EncryptedJSONField, EncryptedTextField
from messaging.segments import MAX_OUTBOUND_CHARACTERS


class Schedule(models.Model):
    """One text for a list of recipients, sent once or repeatedly.

    `start_wall`, `last_wall` and `next_wall` are wall times in `time_zone` (ISO 8601 without an offset): a recurrence keeps its
    wall time when clocks change. `next_run_at` is the next run in UTC, or null if there is none. `start_moment` (UTC) is set if
    the start was given with an offset; a change of zone then moves the wall time instead. `zone_release` is the tzdata release
    that `next_run_at` was computed with, `moved_from` its previous value if newer data moved it.

    `left_out_dates` and `added_dates` are dates beside the rule as `recurrence_dates.stored` writes them, `holidays` is the
    code of a holiday calendar. `last_wall` and `occurrences` are the rule's last occurrence and their number; `last_added_wall`
    is the last run if that was an added date after `last_wall`.
    """

    class Status(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"
        COMPLETED = "completed"
        CANCELED = "canceled"

    class Missed(models.TextChoices):
        """Which of the occurrences run that came due during an outage or a pause, within SCHEDULE_MAX_LATENESS."""

        LATEST = "latest", "only the latest"
        ALL = "all", "all of them"
        NONE = "none", "none"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="schedules", db_index=False
    )
    name = models.CharField(max_length=100)
    text = EncryptedTextField(max_length=MAX_OUTBOUND_CHARACTERS)
    # Each run has the text, category and parameters of the newest version, in the nearest language: `services.texts`.
    template = models.ForeignKey(MessageTemplate, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    language = models.CharField(max_length=35, blank=True, default="", db_default="")
    queue = models.ForeignKey(OutboundQueue, on_delete=models.PROTECT, related_name="schedules", db_index=False)
    from_number = models.CharField(max_length=16, blank=True)
    valid_for = models.PositiveIntegerField()
    # As of the messages: `messaging.models.Message`.
    category = models.CharField(
        max_length=13,
        choices=[(c, c) for c in Category],
        default=Category.TRANSACTIONAL,
        db_default=Category.TRANSACTIONAL.value,
    )
    parameters = models.JSONField(null=True)
    time_zone = models.CharField(max_length=64)
    recurrence = models.CharField(max_length=510, blank=True)
    left_out_dates = models.TextField(blank=True, default="", db_default="")
    added_dates = models.TextField(blank=True, default="", db_default="")
    holidays = models.CharField(max_length=40, blank=True, default="", db_default="")
    missed = models.CharField(max_length=6, choices=Missed.choices, default=Missed.LATEST, db_default="latest")
    start_wall = models.CharField(max_length=26)
    start_moment = models.DateTimeField(null=True)
    last_wall = models.CharField(max_length=26, blank=True)
    last_added_wall = models.CharField(max_length=26, blank=True, default="", db_default="")
    occurrences = models.PositiveIntegerField(default=0)
    next_wall = models.CharField(max_length=26, blank=True)
    next_run_at = models.DateTimeField(null=True)
    # The default is also in the database: during an upgrade, processes of the previous version insert rows.
    zone_release = models.CharField(max_length=20, blank=True, default="", db_default="")
    moved_from = models.DateTimeField(null=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    recipient_count = models.PositiveIntegerField(default=0)
    # Set while a cancel runs. When it expires, the process has died, and the tick resumes the cancel.
    cancel_lease_until = models.DateTimeField(null=True)
    canceled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [
            # Reader: GET /schedules/ of one owner
            models.Index(name="schedule_owner", fields=["owner", "id"]),
            # Reader: runs.start_due
            models.Index(
                name="schedule_due", fields=["next_run_at"], condition=Q(status="active", next_run_at__isnull=False)
            ),
            # Reader: zone_update.recompute_waiting
            models.Index(
                name="schedule_zone_release",
                fields=["zone_release", "next_run_at"],
                condition=Q(next_run_at__isnull=False),
            ),
            # Reader: schedules.finish_cancels
            models.Index(
                name="schedule_canceling",
                fields=["cancel_lease_until"],
                condition=Q(cancel_lease_until__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="schedule_status_word", condition=Q(status__in=["active", "paused", "completed", "canceled"])
            ),
            models.CheckConstraint(
                name="schedule_category_known", condition=Q(category__in=[c.value for c in Category])
            ),
            models.CheckConstraint(
                name="schedule_next_wall_and_moment",
                condition=Q(next_wall="", next_run_at__isnull=True) | (~Q(next_wall="") & Q(next_run_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="schedule_ended_has_no_next_run",
                condition=Q(status__in=["active", "paused"]) | Q(next_run_at__isnull=True),
            ),
            models.CheckConstraint(
                name="schedule_canceling_is_canceled",
                condition=Q(cancel_lease_until__isnull=True) | Q(status="canceled"),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_begun(self) -> bool:
        """Whether any occurrence is over, also one that was missed."""
        return self.occurrences > 0 or self.last_added_wall != ""


class ScheduleRecipient(models.Model):
    """One phone number of a schedule, with values for the variables of the text. Ordered by id, which is the list's order."""

    id = models.BigAutoField(primary_key=True)
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="recipients", db_index=False)
    number = models.CharField(max_length=16)
    variables = EncryptedJSONField(default=dict)

    class Meta:
        ordering = ["id"]
        indexes = [
            # Reader: expansion.expand_chunk, the next recipients after the cursor
            models.Index(name="recipient_order", fields=["schedule", "id"]),
        ]
        constraints = [
            models.UniqueConstraint(name="recipient_once_per_schedule", fields=["schedule", "number"]),
        ]

    def __str__(self) -> str:
        return self.number


class ListImport(models.Model):
    """A list of recipients that staff sent: saved, waiting to be saved after a look at it, or discarded.

    While it waits (`checked`), its file is in the media storage, and `taken`, `duplicates` and `refused` are what saving would
    do. `mapping` is a `ListMapping`; `row_offset` is how many rows were put before a pasted list. `problem` says why the list
    cannot be read with this mapping, or not to its end. `refusals` has the first refused rows as `RowError` has them.
    """

    class Status(models.TextChoices):
        CHECKED = "checked", "waiting to be saved"
        SAVED = "saved", "saved"
        DISCARDED = "discarded", "discarded"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="imports", db_index=False)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    file_name = models.CharField(max_length=100, blank=True)
    mapping = models.JSONField()
    row_offset = models.PositiveSmallIntegerField(default=0)
    taken = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    refusals = models.JSONField(default=list)
    problem = models.CharField(max_length=300, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.CHECKED)
    # Saving it starts the schedule, which was created paused.
    activates = models.BooleanField(default=False)
    # Set while it is being saved. When it expires, the process has died, and the list can be saved again.
    saving_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            # Reader: the page of a schedule
            models.Index(name="list_import_of_schedule", fields=["schedule", "id"]),
            # Reader: list_retention.expire, list_erasure.discard_with
            models.Index(name="list_import_waiting", fields=["created_at"], condition=Q(status="checked")),
            # Reader: list_retention.forget
            models.Index(name="list_import_named", fields=["created_at"], condition=~Q(file_name="")),
        ]
        constraints = [
            models.CheckConstraint(
                name="list_import_status_word", condition=Q(status__in=["checked", "saved", "discarded"])
            ),
            models.CheckConstraint(
                name="list_import_saving_is_checked", condition=Q(saving_until__isnull=True) | Q(status="checked")
            ),
        ]

    def __str__(self) -> str:
        return self.file_name or "a list"


class ScheduleRun(models.Model):
    """One occurrence of a schedule. `cursor` is the id of the last expanded recipient, at which the next chunk continues."""

    class Status(models.TextChoices):
        PENDING = "pending"
        EXPANDING = "expanding"
        DONE = "done"
        MISSED = "missed"
        SKIPPED = "skipped"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="runs", db_index=False)
    due_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    detail = models.CharField(max_length=200, blank=True)
    cursor = models.BigIntegerField(default=0)
    # Of the schedule's template, fixed when the run begins.
    template_version = models.PositiveIntegerField(null=True)
    created_messages = models.PositiveIntegerField(default=0)
    skipped_inactive = models.PositiveIntegerField(default=0)
    skipped_opted_out = models.PositiveIntegerField(default=0)
    skipped_invalid = models.PositiveIntegerField(default=0)
    skipped_over_budget = models.PositiveIntegerField(default=0, db_default=0)
    lease_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-due_at"]
        indexes = [
            # Reader: expansion.unfinished
            models.Index(name="run_unfinished", fields=["due_at"], condition=Q(status__in=["pending", "expanding"])),
        ]
        constraints = [
            # Also the reader's index: GET /schedules/{id}/runs/
            models.UniqueConstraint(name="run_once_per_schedule_and_time", fields=["schedule", "due_at"]),
            models.CheckConstraint(
                name="run_status_word",
                condition=Q(status__in=["pending", "expanding", "done", "missed", "skipped"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} at {self.due_at}"
