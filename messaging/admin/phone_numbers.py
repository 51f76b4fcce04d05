"""Which numbers can be reached, and why not."""

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from messaging.admin.read_only import BoundedPaginator
from messaging.models import PhoneNumber
from messaging.services import phone_numbers


@admin.register(PhoneNumber)
class PhoneNumberAdmin(admin.ModelAdmin):
    list_display = ["number", "status", "reason", "changed_at"]
    list_filter = ["status"]
    search_fields = ["number__startswith"]
    readonly_fields = ["number", "changed_at"]
    show_full_result_count = False
    paginator = BoundedPaginator

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: PhoneNumber, form: ModelForm, change: bool) -> None:
        phone_numbers.set_status(number=obj.number, status=obj.status, reason=obj.reason, now=timezone.now())
