"""Gateway credentials: staff create them, see the password once, and revoke them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import display

from messaging.admin import shown_once
from messaging.console.attached import Attached
from messaging.console.forms import StyledModelForm
from messaging.console.keyset import KeysetAdmin
from messaging.console.row_actions import RowAction
from messaging.models import GatewayCredential
from messaging.models.gateway import MAX_SYSTEM_ID
from messaging.services.errors import InvalidField
from messaging.services.gateway import credentials, sessions

MAY_CHANGE = "messaging.change_gatewaycredential"
ALREADY_SHOWN = "This credential was already created and shown. Create a new one."
NEW_PASSWORD = Attached[str]("new_gateway_password")
OPEN_SESSIONS = Attached[int]("open_sessions")
TONES = {"valid": "success", "revoked": "danger"}


def _revoke(pk: Any, _user: User, _reason: str) -> GatewayCredential:
    return credentials.revoke(credential_id=pk, now=timezone.now())


CREDENTIAL_ACTIONS = (
    RowAction(
        name="revoke_selected",
        title="Revoke",
        done="revoked",
        permission=MAY_CHANGE,
        icon="block",
        run=_revoke,
        is_danger=True,
        warning="Its sessions are closed within seconds. It cannot be made valid again; issue a new one instead.",
        is_available=lambda row: row.revoked_at is None,
    ),
)


class NewCredentialForm(StyledModelForm):
    system_id = forms.CharField(
        label="System ID",
        max_length=MAX_SYSTEM_ID,
        required=False,
        help_text="Letters, digits, hyphens and underscores. Empty: made from the user name.",
    )
    allowed = forms.CharField(
        label="Allowed addresses",
        required=False,
        max_length=2_000,
        help_text="Addresses or networks, separated by blanks or commas, such as 192.0.2.7 or 10.1.0.0/16. Empty: any.",
    )
    form_id = shown_once.form_id_field()

    class Meta:
        model = GatewayCredential
        fields = ["user", "label", "max_sessions", "receives_texts"]

    def clean_system_id(self) -> str:
        text: str = self.cleaned_data["system_id"]
        try:
            return credentials.check_system_id(text) if text else ""
        except InvalidField as refusal:
            raise forms.ValidationError(refusal.detail) from None

    def clean_allowed(self) -> list[str]:
        try:
            return credentials.read_networks(self.cleaned_data["allowed"].replace(",", " ").split())
        except InvalidField as refusal:
            raise forms.ValidationError(refusal.detail) from None


@admin.register(GatewayCredential)
class GatewayCredentialAdmin(KeysetAdmin):
    """A password is shown once, when it is made. A credential is revoked, not deleted: receipts may still wait for it."""

    list_display = ["system_id", "label", "user", "state", "sessions_open", "last_used_at", "created_at"]
    list_select_related = ["user"]
    search_fields = ["system_id", "label", "user__username"]
    form = NewCredentialForm
    row_actions = CREDENTIAL_ACTIONS

    @display(description="State", label=TONES)
    def state(self, row: GatewayCredential) -> str:
        return "revoked" if row.revoked_at else "valid"

    @display(description="Sessions")
    def sessions_open(self, row: GatewayCredential) -> str:
        return f"{OPEN_SESSIONS.of(row)} of {row.max_sessions}"

    @display(description="Allowed addresses")
    def allowed_networks(self, row: GatewayCredential) -> str:
        return ", ".join(row.allowed_addresses) or "any"

    def prepare(self, request: HttpRequest, rows: list[Any]) -> None:
        counts = sessions.counts([row.pk for row in rows], now=timezone.now())
        for row in rows:
            OPEN_SESSIONS.set(row, counts.get(row.pk, 0))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            self.prepare(request, [row])
        return row

    def get_fields(self, request: HttpRequest, obj: GatewayCredential | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("user", "system_id", "label", "allowed", "max_sessions", "receives_texts", "form_id")
        return (
            *("system_id", "label", "user", "state", "sessions_open", "allowed_networks", "receives_texts"),
            *("created_at", "last_used_at", "revoked_at"),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: GatewayCredential | None = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if shown_once.is_used(request):
            return shown_once.to_list(self, request, ALREADY_SHOWN)
        return super().add_view(request, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: GatewayCredential, form: NewCredentialForm, change: bool) -> None:
        created, password = credentials.issue(
            user=obj.user,
            system_id=form.cleaned_data["system_id"],
            label=obj.label,
            allowed_addresses=form.cleaned_data["allowed"],
            max_sessions=obj.max_sessions,
            receives_texts=obj.receives_texts,
            now=timezone.now(),
        )
        vars(obj).update({name: value for name, value in vars(created).items() if name != "_state"})
        NEW_PASSWORD.set(request, password)
        shown_once.use(request, form.cleaned_data[shown_once.FORM_ID])

    def response_add(
        self, request: HttpRequest, obj: GatewayCredential, post_url_continue: str | None = None
    ) -> HttpResponse:
        context = {"title": "New gateway credential", "password": NEW_PASSWORD.of(request), "row": obj}
        return shown_once.page(self, request, "admin/gateway_credential_created.html", context)
