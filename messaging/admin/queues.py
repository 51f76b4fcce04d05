"""The streams of outbound messages and their pace."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone
from django.utils.timesince import timesince
from unfold.decorators import display

from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import ModelAdmin
from messaging.console.row_actions import RowAction
from messaging.models import OutboundQueue
from messaging.services.errors import InvalidField
from messaging.services.outbound import queues

MAY_CHANGE = "messaging.change_outboundqueue"
HALF_A_PACE = "Give both the batch size and the interval, or neither."
TONES = {"open": "success", "paused": "warning"}


def _switch(is_paused: bool, pk: Any, _user: User, _reason: str) -> OutboundQueue:
    return queues.change(name=pk, changes={"is_paused": is_paused})


ACTIONS = (
    RowAction(
        name="pause_selected",
        title="Pause",
        done="paused",
        permission=MAY_CHANGE,
        icon="pause",
        run=partial(_switch, True),
        warning="Messages are still accepted, and wait.",
        is_available=lambda row: not row.is_paused,
    ),
    RowAction(
        name="resume_selected",
        title="Resume",
        done="resumed",
        permission=MAY_CHANGE,
        icon="play_arrow",
        run=partial(_switch, False),
        is_available=lambda row: row.is_paused,
    ),
)


class QueueForm(StyledModelForm):
    class Meta:
        model = OutboundQueue
        fields = [
            "name",
            "description",
            "batch_size",
            "interval_seconds",
            "routing_strategy",
            "preserve_order",
            "is_paused",
        ]
        help_texts = {
            "batch_size": "So many messages at each tick; empty together with the interval: as fast as providers take them.",
            "interval_seconds": "Seconds from one tick to the next.",
            "preserve_order": "No second message to somebody while an older one of this queue is unsent.",
            "is_paused": "Messages are still accepted, and wait.",
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
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
    list_display = ["name", "state", "pace", "waiting", "oldest", "routing_strategy", "preserve_order", "description"]
    sortable_by = ["name"]
    row_actions = ACTIONS

    def get_fields(self, request: HttpRequest, obj: OutboundQueue | None = None) -> list[str]:
        """A queue that is there is paused and resumed by an act, with a reason."""
        form = ["name", "description", "batch_size", "interval_seconds", "routing_strategy", "preserve_order"]
        return ["name", "state", *form[1:]] if obj else [*form, "is_paused"]

    def get_readonly_fields(self, request: HttpRequest, obj: OutboundQueue | None = None) -> list[str]:
        return ["name", "state"] if obj else []

    def save_model(self, request: HttpRequest, obj: OutboundQueue, form: QueueForm, change: bool) -> None:
        if not change:
            queues.create(obj)
        else:
            queues.change(name=obj.name, changes={field: getattr(obj, field) for field in queues.EDITABLE})

    def prepare(self, request: HttpRequest, rows: list[OutboundQueue]) -> None:
        names, now = [row.name for row in rows], timezone.now()
        depths, oldest = queues.depths(names), queues.oldest_queued(names)
        for row in rows:
            row.depth = depths[row.name]
            row.age = timesince(oldest[row.name], now) if row.name in oldest else "-"

    @display(description="State", label=TONES)
    def state(self, row: OutboundQueue) -> str:
        return "paused" if row.is_paused else "open"

    @display(description="Pace")
    def pace(self, row: OutboundQueue) -> str:
        return f"{row.batch_size} every {row.interval_seconds} s" if row.is_paced else "as fast as it goes"

    @display(description="Waiting")
    def waiting(self, row: OutboundQueue) -> str:
        return f"{row.depth:,}"

    @display(description="Oldest")
    def oldest(self, row: OutboundQueue) -> str:
        return row.age
