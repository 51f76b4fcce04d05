"""What an owner has decided for its texts: quiet hours, the time zone of numbers without one, and the fallback sender."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from messaging.admin.quiet_hours import QUIET_HELP, QUIET_LABELS, QuietHoursForm
from messaging.console.columns import name_of
from messaging.console.model_admin import ModelAdmin
from messaging.models import OwnerPolicy
from messaging.policy import zones
from messaging.services.errors import InvalidField
from messaging.services.outbound import owner_policies

OF_INSTALLATION = "of the installation"


class OwnerPolicyForm(QuietHoursForm):
    class Meta:
        model = OwnerPolicy
        fields = ["owner", "quiet_from", "quiet_until", "default_time_zone", "fallback_sender"]
        labels = {**QUIET_LABELS, "default_time_zone": "Time zone of numbers without one"}
        help_texts = {
            **QUIET_HELP,
            "default_time_zone": "Such as Europe/Berlin, for numbers of no zone, such as satellite phones. "
            "Empty: that of the installation.",
            "fallback_sender": "A number or short code, used where the recipient's country does not take a text's sender.",
        }

    def clean_default_time_zone(self) -> str:
        name: str = self.cleaned_data["default_time_zone"]
        if name and not zones.is_zone(name):
            raise forms.ValidationError("There is no time zone of this name.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        owner = cleaned.get("owner") or (self.instance.owner if self.instance.owner_id else None)
        if owner is not None and not self.errors:
            try:
                owner_policies.check(OwnerPolicy(owner=owner, fallback_sender=cleaned.get("fallback_sender")))
            except InvalidField as error:
                self.add_error(error.field, error.detail)
        return cleaned


@admin.register(OwnerPolicy)
class OwnerPolicyAdmin(ModelAdmin):
    """A policy is emptied, not deleted: what was held by it has to be judged anew."""

    form = OwnerPolicyForm
    list_title = "Owner policies"
    empty_list_note = "Quiet hours of a queue are on the page of the queue."
    list_display = ["owner", "quiet_hours", "time_zone", "fallback_sender"]
    list_select_related = ["owner", "fallback_sender"]
    search_fields = ["owner__username"]
    autocomplete_fields = ["owner", "fallback_sender"]
    owner_name = name_of("owner", "Owner")

    def get_fields(self, request: HttpRequest, obj: OwnerPolicy | None = None) -> tuple[str, ...]:
        return ("owner_name" if obj else "owner", *QUIET_LABELS, "default_time_zone", "fallback_sender")

    def get_readonly_fields(self, request: HttpRequest, obj: OwnerPolicy | None = None) -> tuple[str, ...]:
        return ("owner_name",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: OwnerPolicy | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: OwnerPolicy, form: OwnerPolicyForm, change: bool) -> None:
        changes = {field: getattr(obj, field) for field in owner_policies.EDITABLE}
        owner_policies.change(owner=obj.owner, changes=changes, now=timezone.now())

    @display(description="Quiet hours")
    def quiet_hours(self, row: OwnerPolicy) -> str:
        return row.quiet_in_words or "-"

    @display(description="Numbers without a zone")
    def time_zone(self, row: OwnerPolicy) -> str:
        return row.default_time_zone or OF_INSTALLATION
