"""Queues of outbound messages: their pace, and pause and resume."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone
from django.utils.timesince import timesince
from unfold.decorators import display

from messaging.admin.quiet_hours import QUIET_HELP, QUIET_LABELS, QuietHoursForm
from messaging.console.attached import Attached
from messaging.console.model_admin import ModelAdmin
from messaging.console.row_actions import RowAction
from messaging.models import OutboundQueue
from messaging.services.errors import InvalidField
from messaging.services.outbound import queues, sender_pools
from providers.models import SenderNumber

MAY_CHANGE = "messaging.change_outboundqueue"
HALF_A_PACE = "Set both the batch size and the interval, or neither."
DEPTH, AGE = Attached[int]("depth"), Attached[str]("age")
TONES = {"open": "success", "paused": "warning"}


def _set_paused(is_paused: bool, pk: Any, _user: User, _reason: str) -> OutboundQueue:
    return queues.change(name=pk, changes={"is_paused": is_paused})


ACTIONS = (
    RowAction(
        name="pause_selected",
        title="Pause",
        done="paused",
        permission=MAY_CHANGE,
        icon="pause",
        run=partial(_set_paused, True),
        warning="New messages are still accepted, but wait until the queue is resumed.",
        is_available=lambda row: not row.is_paused,
    ),
    RowAction(
        name="resume_selected",
        title="Resume",
        done="resumed",
        permission=MAY_CHANGE,
        icon="play_arrow",
        run=partial(_set_paused, False),
        is_available=lambda row: row.is_paused,
    ),
)


class QueueForm(QuietHoursForm):
    class Meta:
        model = OutboundQueue
        fields = [
            "name",
            "description",
            "batch_size",
            "interval_seconds",
            "routing_strategy",
            "preserve_order",
            "use_conversion",
            "sender_pool",
            "quiet_from",
            "quiet_until",
            "is_paused",
        ]
        labels = QUIET_LABELS
        help_texts = {
            "batch_size": "Messages sent at each tick. Leave this and the interval empty to send as fast as possible.",
            "interval_seconds": "Seconds between two ticks.",
            "preserve_order": "Send a recipient's messages in order: each waits until the older ones in this queue are sent.",
            "use_conversion": "One-time passwords go less often through accounts whose codes to a prefix are confirmed far "
            "less often than those of another one.",
            "sender_pool": "For messages that name no sender. A recipient always gets the same one, of its own country if "
            "there is one. Senders of a user cannot be in it.",
            "is_paused": "New messages are still accepted, but wait.",
            **QUIET_HELP,
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields.get("sender_pool")
        if isinstance(field, forms.ModelMultipleChoiceField):
            field.queryset = SenderNumber.objects.filter(owner__isnull=True)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if queues.PACE & self.errors.keys():
            return cleaned
        pace = OutboundQueue(batch_size=cleaned.get("batch_size"), interval_seconds=cleaned.get("interval_seconds"))
        try:
            queues.check_pace(pace)
        except InvalidField as error:
            self.add_error(error.field, HALF_A_PACE if error.field_code == "half_a_pace" else error.detail)
        return cleaned


@admin.register(OutboundQueue)
class OutboundQueueAdmin(ModelAdmin):
    form = QueueForm
    list_title = "Queues"
    list_display = (
        *("name", "state", "pace", "waiting", "oldest", "routing_strategy", "preserve_order", "quiet_hours"),
        "description",
    )
    sortable_by = ["name"]
    row_actions = ACTIONS

    def get_fields(self, request: HttpRequest, obj: OutboundQueue | None = None) -> tuple[str, ...]:
        """An existing queue is paused and resumed by row actions, which ask for a reason."""
        settings = (
            "description",
            "batch_size",
            "interval_seconds",
            "routing_strategy",
            "preserve_order",
            "use_conversion",
            "sender_pool",
            *queues.QUIET,
        )
        return ("name", "state", *settings) if obj else ("name", *settings, "is_paused")

    def get_readonly_fields(self, request: HttpRequest, obj: OutboundQueue | None = None) -> tuple[str, ...]:
        return ("name", "state") if obj else ()

    def save_model(self, request: HttpRequest, obj: OutboundQueue, form: QueueForm, change: bool) -> None:
        if not change:
            queues.create(obj)
        else:
            queues.change(name=obj.name, changes={field: getattr(obj, field) for field in queues.EDITABLE})

    def save_related(self, request: HttpRequest, form: QueueForm, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        sender_pools.expire()

    def prepare(self, request: HttpRequest, rows: list[OutboundQueue]) -> None:
        names, now = [row.name for row in rows], timezone.now()
        depths, oldest = queues.depths(names), queues.oldest_queued(names)
        for row in rows:
            DEPTH.set(row, depths[row.name])
            AGE.set(row, timesince(oldest[row.name], now) if row.name in oldest else "-")

    @display(description="State", label=TONES)
    def state(self, row: OutboundQueue) -> str:
        return "paused" if row.is_paused else "open"

    @display(description="Pace")
    def pace(self, row: OutboundQueue) -> str:
        return f"{row.batch_size} every {row.interval_seconds} s" if row.is_paced else "unlimited"

    @display(description="Waiting")
    def waiting(self, row: OutboundQueue) -> str:
        return f"{DEPTH.of(row):,}"

    @display(description="Oldest")
    def oldest(self, row: OutboundQueue) -> str:
        return AGE.of(row)

    @display(description="Quiet hours")
    def quiet_hours(self, row: OutboundQueue) -> str:
        return row.quiet_in_words or "-"
