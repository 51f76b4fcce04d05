"""API tokens: staff make them, see them once, and revoke them."""

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

from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import ModelAdmin
from messaging.models import ApiToken

MADE = "forms_of_tokens_made"
FORMS_REMEMBERED = 20


class NewTokenForm(StyledModelForm):
    days = forms.IntegerField(
        label="Valid for days", min_value=1, max_value=3650, required=False, help_text="Empty: no end."
    )

    once = forms.CharField(required=False, initial=partial(secrets.token_urlsafe, 16), widget=forms.HiddenInput)

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
        return row.name or "without a name"

    @display(description="Valid until")
    def ends(self, row: ApiToken) -> str:
        return date_format(row.expiry, "DATETIME_FORMAT") if row.expiry else "no end"

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> list[str]:
        return ["label", "user", "token_key", "created", "ends"] if obj else ["user", "name", "days", "once"]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> list[str]:
        return self.get_fields(request, obj) if obj else []

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict | None = None) -> HttpResponse:
        """The page with a token is the answer to the form: loading it again sends the form again, and makes no second one."""
        once = request.POST.get("once")
        if once and once in request.session.get(MADE, ()):
            self.message_user(request, "The token of this form was made and shown; make another one.", messages.WARNING)
            return HttpResponseRedirect(reverse("admin:messaging_apitoken_changelist"))
        return super().add_view(request, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: NewTokenForm, change: bool) -> None:
        days = form.cleaned_data.get("days")
        made, token = ApiToken.objects.create(
            user=obj.user, name=obj.name, expiry=timedelta(days=days) if days else None
        )
        obj.pk, obj.token_key, obj.created, obj.expiry = made.pk, made.token_key, made.created, made.expiry
        request.new_api_token = token
        request.session[MADE] = [*request.session.get(MADE, ()), form.cleaned_data["once"]][-FORMS_REMEMBERED:]

    def response_add(self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None) -> HttpResponse:
        """Straight onto the page: a redirect would have to keep the token in a cookie or in the session."""
        context = {
            **self.admin_site.each_context(request),
            "title": "New API token",
            "token": request.new_api_token,
            "row": obj,
        }
        response = TemplateResponse(request, "admin/api_token_made.html", context)
        response["Cache-Control"] = "no-store"
        return response
