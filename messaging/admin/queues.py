"""The streams of outbound messages and their pace."""

from django.contrib import admin

from messaging.models import OutboundQueue


@admin.register(OutboundQueue)
class OutboundQueueAdmin(admin.ModelAdmin):
    list_display = ["name", "description", "batch_size", "interval_seconds", "preserve_order", "is_paused"]

    def get_readonly_fields(self, request, obj=None):
        return ["name"] if obj else []
