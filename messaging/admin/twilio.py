"""Credentials of clients of Twilio's API: staff issue them, see each secret once, rotate and revoke them."""

import secrets
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import display

from messaging.admin import shown_once
from messaging.console import audit
from messaging.console.attached import Attached
from messaging.console.forms import StyledModelForm
from messaging.console.keyset import KeysetAdmin
from messaging.console.row_actions import ReasonForm, RowAction
from messaging.console.staff import staff_of
from messaging.models import TwilioAccount, TwilioApiKey
from messaging.services.errors import InvalidField
from messaging.services.twilio import credentials

MAY_CHANGE = "messaging.change_twilioaccount"
MAY_CHANGE_KEYS = "messaging.change_twilioapikey"
NEW_SECRET = Attached[str]("new_twilio_secret")
TONES = {"valid": "success", "revoked": "danger"}
ALREADY_SHOWN = "This secret was already created and shown. Create a new one."


def _promote(pk: Any, _user: User, _reason: str) -> TwilioAccount:
    return credentials.promote(account_id=pk)


def _revoke(pk: Any, _user: User, _reason: str) -> TwilioAccount:
    return credentials.revoke(account_id=pk, now=timezone.now())


def _revoke_key(pk: Any, _user: User, _reason: str) -> TwilioApiKey:
    return credentials.revoke_key(key_id=pk, now=timezone.now())


ACCOUNT_ACTIONS = (
    RowAction(
        name="promote_selected",
        title="Promote the secondary token",
        done="rotated",
        permission=MAY_CHANGE,
        icon="upgrade",
        run=_promote,
        refusals=InvalidField,
        is_danger=True,
        warning="The primary auth token is refused from now on, and callbacks are signed with the promoted one.",
        is_available=lambda row: row.revoked_at is None and bool(row.secondary_token),
    ),
    RowAction(
        name="revoke_selected",
        title="Revoke",
        done="revoked",
        permission=MAY_CHANGE,
        icon="block",
        run=_revoke,
        is_danger=True,
        warning="Its auth tokens and API keys are refused within a second.",
        is_available=lambda row: row.revoked_at is None,
    ),
)
KEY_ACTIONS = (
    RowAction(
        name="revoke_selected",
        title="Revoke",
        done="revoked",
        permission=MAY_CHANGE_KEYS,
        icon="block",
        run=_revoke_key,
        is_danger=True,
        warning="It is refused within a second, and cannot be made valid again.",
        is_available=lambda row: row.revoked_at is None,
    ),
)


def _shown_once(model_admin: Any, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    list_url = reverse(f"admin:messaging_{model_admin.opts.model_name}_changelist")
    return shown_once.page(model_admin, request, "admin/twilio_secret_created.html", {"list_url": list_url, **context})


class NewAccountForm(StyledModelForm):
    user = forms.ModelChoiceField(
        User.objects.order_by("username"), help_text="Whose messages the client sends and sees."
    )
    form_id = shown_once.form_id_field()

    class Meta:
        model = TwilioAccount
        fields: ClassVar[list[str]] = []

    def clean_user(self) -> User:
        user: User = self.cleaned_data["user"]
        if TwilioAccount.objects.filter(user=user, revoked_at=None).exists():
            raise forms.ValidationError("This user has a credential; open it to issue a secondary token.")
        return user

    def validate_unique(self) -> None:
        """A revoked credential of this user is issued anew."""


class NewKeyForm(StyledModelForm):
    account = forms.ModelChoiceField(TwilioAccount.objects.filter(revoked_at=None).order_by("user__username"))
    form_id = shown_once.form_id_field()

    class Meta:
        model = TwilioApiKey
        fields = ["account", "label"]


class ShownOnceAdmin(KeysetAdmin):
    """Rows with a secret that is shown when it is made. They are revoked, neither changed nor deleted."""

    fields_of_new: ClassVar[tuple[str, ...]] = ()
    fields_of_row: ClassVar[tuple[str, ...]] = ()

    @display(description="State", label=TONES)
    def state(self, row: TwilioAccount | TwilioApiKey) -> str:
        return "revoked" if row.revoked_at else "valid"

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return self.fields_of_row if obj else self.fields_of_new

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return self.fields_of_row if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if shown_once.is_used(request):
            return shown_once.to_list(self, request, ALREADY_SHOWN)
        try:
            return super().add_view(request, form_url, extra_context)
        except InvalidField as refusal:
            return shown_once.to_list(self, request, refusal.detail)


def secondary_page(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """Ask for a reason, then issue a secondary token and show it once."""
    row = model_admin.get_object(request, object_id)
    if row is None:
        raise Http404
    if not staff_of(request).has_perm(MAY_CHANGE):
        raise PermissionDenied
    back = reverse("admin:messaging_twilioaccount_change", args=[row.pk])
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        context = {
            **model_admin.admin_site.each_context(request),
            "title": "Issue a secondary token?",
            "row": row,
            "form": form,
            "form_id": request.POST.get(shown_once.FORM_ID) or secrets.token_urlsafe(16),
            "back": back,
        }
        return TemplateResponse(request, "admin/twilio_secondary.html", context)
    if shown_once.is_used(request):
        model_admin.message_user(request, ALREADY_SHOWN, messages.WARNING)
        return HttpResponseRedirect(back)
    shown_once.use(request, request.POST.get(shown_once.FORM_ID, ""))
    try:
        account, token = credentials.issue_secondary(account_id=row.pk)
    except InvalidField as refusal:
        model_admin.message_user(request, refusal.detail, messages.WARNING)
        return HttpResponseRedirect(back)
    audit.record(staff_of(request), [account], "Issue a secondary token", reason=form.cleaned_data["reason"])
    context = {"title": "New secondary token", "row": account, "user": account.user, "secret": token}
    return _shown_once(model_admin, request, {**context, "secret_name": "Secondary auth token"})


@admin.register(TwilioAccount)
class TwilioAccountAdmin(ShownOnceAdmin):
    list_display = ["sid", "user", "state", "has_secondary", "last_used_at", "created_at"]
    list_select_related = ["user"]
    search_fields = ["sid", "user__username"]
    form = NewAccountForm
    row_actions = ACCOUNT_ACTIONS
    fields_of_new = ("user", "form_id")
    fields_of_row = ("sid", "user", "state", "has_secondary", "created_at", "last_used_at", "revoked_at")
    custom_urls = (("<path:object_id>/secondary/", "messaging_twilioaccount_secondary", secondary_page),)

    @display(description="Secondary token", boolean=True)
    def has_secondary(self, row: TwilioAccount) -> bool:
        return bool(row.secondary_token)

    def page_links(self, request: HttpRequest, obj: TwilioAccount) -> list[dict[str, str]]:
        if obj.revoked_at is not None or not staff_of(request).has_perm(MAY_CHANGE):
            return []
        url = reverse("admin:messaging_twilioaccount_secondary", args=[obj.pk])
        return [{"title": "Issue a secondary token", "icon": "key", "url": url}]

    def save_model(self, request: HttpRequest, obj: TwilioAccount, form: NewAccountForm, change: bool) -> None:
        created, token = credentials.issue(user=form.cleaned_data["user"], now=timezone.now())
        vars(obj).update({name: value for name, value in vars(created).items() if name != "_state"})
        NEW_SECRET.set(request, token)
        shown_once.use(request, form.cleaned_data[shown_once.FORM_ID])

    def response_add(
        self, request: HttpRequest, obj: TwilioAccount, post_url_continue: str | None = None
    ) -> HttpResponse:
        context = {"title": "New Twilio credential", "row": obj, "user": obj.user, "secret": NEW_SECRET.of(request)}
        return _shown_once(self, request, {**context, "secret_name": "Auth token"})


@admin.register(TwilioApiKey)
class TwilioApiKeyAdmin(ShownOnceAdmin):
    list_display = ["sid", "label", "account", "user", "state", "last_used_at", "created_at"]
    list_select_related = ["account__user"]
    search_fields = ["sid", "label", "account__user__username"]
    form = NewKeyForm
    row_actions = KEY_ACTIONS
    fields_of_new = ("account", "label", "form_id")
    fields_of_row = ("sid", "label", "account", "user", "state", "created_at", "last_used_at", "revoked_at")

    @display(description="User")
    def user(self, row: TwilioApiKey) -> str:
        return row.account.user.get_username()

    def save_model(self, request: HttpRequest, obj: TwilioApiKey, form: NewKeyForm, change: bool) -> None:
        created, secret = credentials.issue_key(account_id=obj.account_id, label=obj.label, now=timezone.now())
        vars(obj).update({name: value for name, value in vars(created).items() if name != "_state"})
        NEW_SECRET.set(request, secret)
        shown_once.use(request, form.cleaned_data[shown_once.FORM_ID])

    def response_add(
        self, request: HttpRequest, obj: TwilioApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        user, secret = obj.account.user, NEW_SECRET.of(request)
        context = {"title": "New Twilio API key", "row": obj, "user": user, "secret": secret, "secret_name": "Secret"}
        return _shown_once(self, request, {**context, "account": obj.account})
