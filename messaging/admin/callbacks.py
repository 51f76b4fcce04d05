"""What providers told us, as they told it."""

from django.contrib import admin

from messaging.admin.read_only import ReadOnlyAdmin
from messaging.models import ProviderCallback


@admin.register(ProviderCallback)
class ProviderCallbackAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "provider", "word", "error_code", "state", "provider_message_id", "note"]
    list_filter = ["state", "provider"]
    list_select_related = ["provider"]
    search_fields = ["provider_message_id__startswith"]
    ordering = ["-pk"]
