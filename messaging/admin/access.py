"""API tokens: staff create them, see them once, and revoke them."""

import secrets
from datetime import timedelta
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format
from unfold.decorators import display

from messaging.console.attached import Attached
from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import ModelAdmin
from messaging.models import ApiToken

USED_FORMS = "used_token_forms"
USED_FORMS_KEPT = 20
NEW_TOKEN = Attached[str]("new_api_token")


class NewTokenForm(StyledModelForm):
    days = forms.IntegerField(
        label="Valid for days",
        min_value=1,
        max_value=3650,
        required=False,
        help_text="Empty: the token does not expire.",
    )

    form_id = forms.CharField(required=False, initial=partial(secrets.token_urlsafe, 16), widget=forms.HiddenInput)

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
        """Accept each form once: the token is shown in the response to the POST, and a reload sends that POST again."""
        form_id = request.POST.get("form_id")
        if form_id and form_id in request.session.get(USED_FORMS, ()):
            self.message_user(request, "This token was already created and shown. Create a new one.", messages.WARNING)
            return HttpResponseRedirect(reverse("admin:messaging_apitoken_changelist"))
        return super().add_view(request, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: NewTokenForm, change: bool) -> None:
        days = form.cleaned_data.get("days")
        created, token = ApiToken.objects.create(
            user=obj.user, name=obj.name, expiry=timedelta(days=days) if days else None
        )
        obj.pk, obj.token_key, obj.created, obj.expiry = created.pk, created.token_key, created.created, created.expiry
        NEW_TOKEN.set(request, token)
        used = [*request.session.get(USED_FORMS, ()), form.cleaned_data["form_id"]]
        request.session[USED_FORMS] = used[-USED_FORMS_KEPT:]

    def response_add(self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None) -> HttpResponse:
        """Show the token at once: a redirect would have to keep it in a cookie or in the session."""
        context = {
            **self.admin_site.each_context(request),
            "title": "New API token",
            "token": NEW_TOKEN.of(request),
            "row": obj,
        }
        response = TemplateResponse(request, "admin/api_token_created.html", context)
        response["Cache-Control"] = "no-store"
        return response
