"""API tokens: staff create them, see them once, and revoke them."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.formats import date_format
from unfold.decorators import display

from messaging.admin import shown_once
from messaging.console.attached import Attached
from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import ModelAdmin
from messaging.models import ApiToken

ALREADY_SHOWN = "This token was already created and shown. Create a new one."
NEW_TOKEN = Attached[str]("new_api_token")


class NewTokenForm(StyledModelForm):
    days = forms.IntegerField(
        label="Valid for days",
        min_value=1,
        max_value=3650,
        required=False,
        help_text="Empty: the token does not expire.",
    )

    form_id = shown_once.form_id_field()

    class Meta:
        model = ApiToken
        fields = ["user", "name"]


@admin.register(ApiToken)
class ApiTokenAdmin(ModelAdmin):
    list_display = ["label", "user", "token_key", "created", "ends"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]
    form = NewTokenForm

    @display(description="Token")
    def label(self, row: ApiToken) -> str:
        return row.name or "unnamed"

    @display(description="Valid until")
    def ends(self, row: ApiToken) -> str:
        return date_format(row.expiry, "DATETIME_FORMAT") if row.expiry else "never expires"

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        return ("label", "user", "token_key", "created", "ends") if obj else ("user", "name", "days", "form_id")

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if shown_once.is_used(request):
            return shown_once.to_list(self, request, ALREADY_SHOWN)
        return super().add_view(request, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: NewTokenForm, change: bool) -> None:
        days = form.cleaned_data.get("days")
        created, token = ApiToken.objects.create(
            user=obj.user, name=obj.name, expiry=timedelta(days=days) if days else None
        )
        obj.pk, obj.token_key, obj.created, obj.expiry = created.pk, created.token_key, created.created, created.expiry
        NEW_TOKEN.set(request, token)
        shown_once.use(request, form.cleaned_data[shown_once.FORM_ID])

    def response_add(self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None) -> HttpResponse:
        context = {"title": "New API token", "token": NEW_TOKEN.of(request), "row": obj}
        return shown_once.page(self, request, "admin/api_token_created.html", context)
