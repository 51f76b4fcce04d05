"""The streams of outbound messages and their pace."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from messaging.models import OutboundQueue
from messaging.services import queues
from messaging.services.errors import InvalidField


class QueueForm(forms.ModelForm):
    class Meta:
        model = OutboundQueue
        fields = ["name", "description", "batch_size", "interval_seconds", "preserve_order", "is_paused"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        pace = OutboundQueue(batch_size=cleaned.get("batch_size"), interval_seconds=cleaned.get("interval_seconds"))
        try:
            queues.check_pace(pace)
        except InvalidField as error:
            self.add_error(error.field, error.detail)
        return cleaned


@admin.register(OutboundQueue)
class OutboundQueueAdmin(admin.ModelAdmin):
    form = QueueForm
    list_display = ["name", "description", "batch_size", "interval_seconds", "preserve_order", "is_paused"]

    def get_readonly_fields(self, request: HttpRequest, obj: OutboundQueue | None = None) -> list[str]:
        return ["name"] if obj else []

    def save_model(self, request: HttpRequest, obj: OutboundQueue, form: QueueForm, change: bool) -> None:
        if not change:
            queues.create(obj)
        else:
            queues.change(name=obj.name, changes={field: getattr(obj, field) for field in queues.EDITABLE})
