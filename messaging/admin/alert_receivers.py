"""Alert receivers: whom monitoring systems alert, and the hooks that send one-time passwords."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from messaging.console.columns import name_of
from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import ModelAdmin
from messaging.models import AlertReceiver
from messaging.services.alerts import receivers, texts
from messaging.services.errors import InvalidField
from providers import senders

FIELDS = ("sender", "queue", "template", "max_segments")
OF_ALERTS = ("recipients_text", *FIELDS, "max_per_minute", "sends_resolved")
OF_HOOKS = ("new_secret", *FIELDS)
VARIABLES = ", ".join(f"{{{name}}}" for name in sorted(texts.ALERT_VARIABLES))
FORM_FIELDS = {"recipients": "recipients_text", "secret": "new_secret"}


class AlertReceiverForm(StyledModelForm):
    recipients_text = forms.CharField(
        label="Recipients",
        required=False,
        max_length=5_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Numbers in international notation, one a line. For alerts only.",
    )
    new_secret = forms.CharField(
        label="Secret",
        required=False,
        max_length=1_000,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="For a Supabase hook: v1,whsec_… as its settings show it. It is not shown again. Empty: unchanged.",
    )

    class Meta:
        model = AlertReceiver
        fields = [
            "name",
            "kind",
            "owner",
            "sender",
            "queue",
            "template",
            "max_segments",
            "max_per_minute",
            "sends_resolved",
        ]
        widgets = {"template": forms.Textarea(attrs={"rows": 3})}
        labels = {"sender": "From", "sends_resolved": "Report alerts that have ended", "template": "Text"}
        help_texts = {
            "name": "Requests name it: ?receiver=…",
            "owner": "Alerts are taken with a token of this user, and messages are theirs.",
            "sender": "One of the owner's senders. Empty: the default.",
            "queue": "Empty: the default queue.",
            "template": f"Empty: {texts.DEFAULT_ALERT_TEMPLATE}. Values: {VARIABLES}. For a Supabase hook: {{otp}}.",
            "max_segments": "Longer texts are cut.",
            "max_per_minute": "Texts to each recipient. What comes on top is summed up when the minute ends.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["recipients_text"].initial = "\n".join(self.instance.recipients)

    def clean_sender(self) -> str:
        text: str = self.cleaned_data["sender"]
        try:
            return senders.normalise(text) if text else ""
        except senders.InvalidSender as error:
            raise forms.ValidationError(str(error)) from None

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        try:
            self._read(cleaned)
        except InvalidField as error:
            self._refuse(error)
        return cleaned

    def _read(self, cleaned: dict[str, Any]) -> None:
        """Set what the form writes in its own way, and check it. Raises `InvalidField`."""
        row = self.instance
        row.kind, row.template = cleaned.get("kind", row.kind), cleaned.get("template", "")
        if "recipients_text" in self.fields:
            numbers = cleaned.get("recipients_text", "").replace(",", "\n").splitlines()
            row.recipients = list(receivers.read_recipients(filter(str.strip, numbers), field="recipients"))
        receivers.check(row)
        secret = cleaned.get("new_secret", "")
        if row.kind != AlertReceiver.Kind.SUPABASE:
            if secret:
                raise InvalidField("secret", "not_for_alerts", "Only a Supabase hook has a secret.")
        elif secret:
            receivers.set_secret(row, secret)
        elif not row.secret:
            raise InvalidField("secret", "required", "Enter the hook's secret.")

    def _refuse(self, error: InvalidField) -> None:
        name = FORM_FIELDS.get(error.field, error.field)
        self.add_error(name if name in self.fields else None, error.detail)


@admin.register(AlertReceiver)
class AlertReceiverAdmin(ModelAdmin):
    form = AlertReceiverForm
    list_display = ["name", "kind", "owner_name", "numbers", "limit", "ended", "updated_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__username"]
    owner_name = name_of("owner", "Owner")

    @display(description="Recipients")
    def numbers(self, row: AlertReceiver) -> str:
        return str(len(row.recipients)) if row.kind == AlertReceiver.Kind.ALERTS else "-"

    @display(description="Limit")
    def limit(self, row: AlertReceiver) -> str:
        return f"{row.max_per_minute} a minute" if row.kind == AlertReceiver.Kind.ALERTS else "-"

    @display(description="Ended alerts")
    def ended(self, row: AlertReceiver) -> str:
        return "reported" if row.sends_resolved else "-"

    def get_fields(self, request: HttpRequest, obj: AlertReceiver | None = None) -> tuple[str, ...]:
        if obj is None:
            return (
                "name",
                "kind",
                "owner",
                "recipients_text",
                "new_secret",
                *FIELDS,
                "max_per_minute",
                "sends_resolved",
            )
        own: tuple[str, ...] = OF_HOOKS if obj.kind == AlertReceiver.Kind.SUPABASE else OF_ALERTS
        if not self.has_change_permission(request, obj):
            own = tuple({"recipients_text": "numbers"}.get(name, name) for name in own if name != "new_secret")
            return ("name", "kind", "owner_name", *own)
        return ("name", "kind", "owner", *own)

    def get_readonly_fields(self, request: HttpRequest, obj: AlertReceiver | None = None) -> tuple[str, ...]:
        return ("kind", "owner_name", "numbers") if obj else ()

    def save_model(self, request: HttpRequest, obj: AlertReceiver, form: AlertReceiverForm, change: bool) -> None:
        obj.updated_at = timezone.now()
        obj.created_at = obj.created_at or obj.updated_at
        obj.save()
